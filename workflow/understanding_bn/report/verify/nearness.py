"""How near the numbers of two tables are, one of them a record and the other a run of the same preset.

The same code on the same kind of machine gives the same bits. Elsewhere sums are rounded otherwise: by little at
initialisation, by as much as another seed after training, which is chaotic. So a number is near if it is within
`RELATIVE` of the record's, or within `SPREADS` standard deviations over the record's seeds. What has one seed, or none,
can only be near in the first way.
"""

import warnings
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pandas as pd

RELATIVE = 1e-3  # of the larger of the two numbers
SPREADS = 5.0
# Numbers that say what a row is about; what else is a number was measured. Texts say so too, but for OUTCOMES.
CELLS = {
    "alpha",
    "at_loss",
    "batch_size",
    "depth",
    "epoch",
    "epochs",
    "factors",
    "fraction",
    "momentum",
    "size",
    "step_size",
}
PLACES = {"channel", "class", "in_channel", "index", "layer", "out_channel", "percent"}
SAMPLES = {"draw", "image", "label", "minibatch", "probe", "seed"}
FACTORS = CELLS | PLACES | SAMPLES
MEASURED = {"max_learning_rate": {"alpha"}}  # the factors that are results of a table
OUTCOMES = {"failure", "fails_by", "limit", "outcome", "paper_origin"}
LEFT_OUT = {"test_correct"}  # which test images are right, packed: accuracies count them
REPLICATES = ("seed", "draw")
DIGITS = 9  # of a factor: powers of ten may differ in their last bits
NUMBERS = "iufb"  # NumPy's kinds: whole, unsigned, floating, true or false


class Near(IntEnum):
    """How near numbers are, the nearest first; the nearness of several is the largest."""

    IDENTICAL = 0
    ROUNDING = 1
    SPREAD = 2
    DIFFERENT = 3


@dataclass(frozen=True)
class Column:
    """A measured column of two tables, over the rows that both have.

    Attributes:
        counts: how many of its values are identical, within rounding, within the spread over seeds, and different.
        relative: the largest relative difference; infinite where texts differ, or just one of two numbers is finite.
        spreads: the largest difference in standard deviations over seeds; NaN where there are no several seeds.
    """

    name: str
    counts: tuple[int, ...]
    relative: float
    spreads: float

    @property
    def near(self) -> Near:
        """How near the value is that differs most."""
        return max((near for near in Near if self.counts[near]), default=Near.IDENTICAL)


@dataclass(frozen=True)
class Comparison:
    """Two tables.

    Attributes:
        rows: how many both have.
        missing: how many only the record has.
        added: how many only the run has.
        columns: those that were measured; a column that one side lacks counts as different throughout.
        by_seed: whether the table has a row for each seed. One that has not follows from others, such as means.
    """

    name: str
    rows: int
    missing: int
    added: int
    columns: tuple[Column, ...]
    by_seed: bool

    @property
    def near(self) -> Near:
        """How near the value is that differs most; different if either side has rows of its own."""
        lost = Near.DIFFERENT if self.missing or self.added else Near.IDENTICAL
        return max([lost, *(column.near for column in self.columns)])

    @property
    def counts(self) -> Counter[Near]:
        """How many values are how near."""
        pairs = [(near, count) for column in self.columns for near, count in zip(Near, column.counts, strict=True)]
        return sum((Counter({near: count}) for near, count in pairs), Counter())


def compare(name: str, record: pd.DataFrame, run: pd.DataFrame, chance: bool = True) -> Comparison:
    """Compare two tables of one kind, row by row. Rows that share all their factors are matched in their order.

    `chance`: whether chance can have a part in a difference, so that the spread over seeds counts.
    """
    record, run = (table.drop(columns=[*LEFT_OUT & set(table)]) for table in (record, run))
    factors = [column for column in record if column in run and _is_factor(name, column, record, run)]
    replicate = next((column for column in REPLICATES if column in factors), None)
    keys, found = _keys(record, factors), _keys(run, factors)
    places = pd.MultiIndex.from_frame(found).get_indexer(pd.MultiIndex.from_frame(keys))
    both = places >= 0
    theirs, ours = record[both], run.iloc[places[both]]
    # Rows that differ in their seed alone are a group.
    groups = keys[both].groupby([*keys.columns.drop(replicate)], sort=False).ngroup().to_numpy() if replicate else None
    columns = []
    for column in dict.fromkeys([*record, *run]):
        if column in factors:
            continue
        if column in record and column in run:
            columns.append(_column(column, theirs[column], ours[column], groups if chance else None))
        else:
            columns.append(Column(column, (0, 0, 0, max(1, len(theirs))), np.inf, np.nan))
    return Comparison(
        name, len(theirs), len(record) - len(theirs), len(run) - len(theirs), tuple(columns), groups is not None
    )


def _is_factor(name: str, column: str, *tables: pd.DataFrame) -> bool:
    """Whether a column says what a row is about."""
    if any(table[column].dtype.kind not in NUMBERS and table[column].notna().any() for table in tables):
        return column not in OUTCOMES
    return column in FACTORS - MEASURED.get(name, set())


def _keys(table: pd.DataFrame, factors: list[str]) -> pd.DataFrame:
    """The factors of every row as texts, and the row's number among those that share all of them."""
    keys = pd.DataFrame({name: _as_text(table[name]) for name in factors}, index=table.index)
    alike = keys.groupby(factors, sort=False).cumcount() if factors else np.arange(len(table))
    return keys.assign(**{"": alike})


def _as_text(column: pd.Series) -> pd.Series:
    """Factors as texts: numbers to some digits, whatever their type, and one text for all that is missing."""
    if column.dtype.kind not in NUMBERS:
        return column.astype(object).where(column.notna(), "nan").map(str)
    known = {value: f"{value:.{DIGITS}g}" for value in column.unique()}
    return column.map(known).fillna("nan")


def _column(name: str, record: pd.Series, run: pd.Series, groups: np.ndarray | None) -> Column:
    """Compare the values of a column; `groups` are numbers, the same for rows that differ in their seed alone."""
    record, run = record.reset_index(drop=True), run.reset_index(drop=True)
    if not all(values.dtype.kind in NUMBERS or values.isna().all() for values in (record, run)):
        same = (record.astype(object) == run.astype(object)) | (record.isna() & run.isna())
        return Column(name, (int(same.sum()), 0, 0, int((~same).sum())), 0.0 if same.all() else np.inf, np.nan)
    before, now = (pd.to_numeric(values).to_numpy(dtype=float, na_value=np.nan) for values in (record, run))
    relative = relative_difference(before, now)
    spreads = np.full(len(before), np.nan) if groups is None else _in_spreads(before, now, groups)
    near = np.select(
        [relative == 0, relative <= RELATIVE, spreads <= SPREADS],
        [Near.IDENTICAL, Near.ROUNDING, Near.SPREAD],
        Near.DIFFERENT,
    )
    counts = tuple(map(int, np.bincount(near, minlength=len(Near))))
    largest = np.nanmax(spreads) if np.isfinite(spreads).any() else np.nan
    return Column(name, counts, float(relative.max(initial=0)), float(largest))


def relative_difference(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """|now − before| / max(|now|, |before|): 0 between equals, also NaN or infinities; else infinite with those."""
    same = (before == now) | (np.isnan(before) & np.isnan(now))
    finite = np.isfinite(before) & np.isfinite(now)
    with np.errstate(all="ignore"):
        ratio = np.abs(now - before) / np.maximum(np.abs(now), np.abs(before))
    return np.where(same, 0.0, np.where(finite, ratio, np.inf))


def _in_spreads(before: np.ndarray, now: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Each difference in standard deviations over the record's seeds; NaN where that is not known.

    The standard deviation is that of the row's own group or, where that is larger, the root mean square over all
    groups: a few seeds may agree by chance. Positive values are compared by their logarithms, as they may span many
    powers of ten.
    """
    finite = np.isfinite(before) & np.isfinite(now)
    if (before[finite] > 0).all() and (now[finite] > 0).all():
        with np.errstate(all="ignore"):
            before, now = np.log(before), np.log(now)
    known = pd.Series(np.where(np.isfinite(before), before, np.nan)).groupby(groups)
    own = known.transform("std").to_numpy()
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning), np.errstate(all="ignore"):
        common = np.sqrt(np.nanmean(known.std().to_numpy() ** 2))
        return np.where(finite, np.abs(now - before) / np.fmax(own, common), np.nan)
