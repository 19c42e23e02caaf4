"""Weight decay as an effective learning rate. `effective_learning_rate` has a row for each run: see the measurement.

What is compared is fixed here. Runs of one seed and one set of decayed parameters are cells (α, λ) of a grid.

1. Accuracy: two cells are neighbours of equal product if they share αλ, and of unequal product if they share α or λ,
   with no cell between them. A pair counts where both its runs are sound, settled or not. How much of a difference is
   chance is told by one run's difference between its last quarter's beginning and end.
2. Norm: a run has settled where ‖w‖ changes by at most SETTLED of itself over the last quarter of its updates. The
   slope is that of log ‖w‖⁴ against log(α/λ) in a least-squares fit over the settled runs, beside log(αλ), on which the
   gradients depend, too. Over a whole grid the two are uncorrelated, and the slope is that of the simple line.
"""

import math

import numpy as np
import pandas as pd

from understanding_bn.summaries.learning_rate_grid import pairs_along

SETTLED = 0.05  # of the norm
LEAST_RATIOS = 3  # different α/λ for a slope
CELL = ["alpha", "weight_decay"]
RUN = ["decayed", *CELL, "seed"]
SOUND, UNSETTLED = "settled", "not settled"
Cell = tuple[float, float]


def runs(effective_learning_rate: pd.DataFrame) -> pd.DataFrame:
    """The table with product (αλ), ratio (α/λ), change (of the norm, relative), norm4 (‖w‖⁴ at the end) and outcome.

    The outcome is the failure, or SOUND or UNSETTLED.
    """
    table = effective_learning_rate
    change = table["norm_after"] / table["norm_before"] - 1
    outcome = pd.Series(np.where(change.abs() <= SETTLED, SOUND, UNSETTLED), index=table.index)
    return table.assign(
        product=_rounded(table["alpha"] * table["weight_decay"]),
        ratio=_rounded(table["alpha"] / table["weight_decay"]),
        change=change,
        norm4=table["norm_after"] ** 4,
        outcome=outcome.where(table["failure"] == "", table["failure"]),
    )


def neighbours(table: pd.DataFrame) -> tuple[list[tuple[Cell, Cell]], list[tuple[Cell, Cell]]]:
    """Pairs of neighbouring cells of equal αλ, and of unequal αλ (see above)."""
    cells = sorted(set(table[CELL].itertuples(index=False, name=None)))
    equal = pairs_along(cells, lambda alpha, decay: float(f"{alpha * decay:.6g}"), 0)
    others = pairs_along(cells, lambda alpha, decay: decay, 0) + pairs_along(cells, lambda alpha, decay: alpha, 1)
    first, then = ([(a, b) for a, b, _ in pairs] for pairs in (equal, others))
    return first, then


def differences(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """|difference| of accuracy in points between neighbours of equal αλ, and of unequal αλ.

    A row per seed and a column per pair; NaN where a run failed.

    Args:
        table: of `runs`, for one set of decayed parameters.
    """
    sound = table.assign(accuracy=100 * table["accuracy"].where(table["failure"] == ""))
    wide = sound.pivot_table(index="seed", columns=CELL, values="accuracy", dropna=False)
    first, then = ({pair: (wide[pair[1]] - wide[pair[0]]).abs() for pair in pairs} for pairs in neighbours(table))
    return pd.DataFrame(first, index=wide.index), pd.DataFrame(then, index=wide.index)


def fluctuation(table: pd.DataFrame) -> pd.Series:
    """By seed, the mean |difference| of accuracy in points that a sound run shows over the last quarter of training."""
    change = 100 * (table["accuracy"] - table["accuracy_before"]).abs().where(table["failure"] == "")
    return change.groupby(table["seed"]).mean()


def slopes(table: pd.DataFrame) -> pd.Series:
    """The slope of log ‖w‖⁴ against log(α/λ) of each seed's settled runs; NaN where they have too few different α/λ."""
    return pd.Series({seed: _slope(rows) for seed, rows in table.groupby("seed")}, name="slope", dtype=float)


def by_seed(effective_learning_rate: pd.DataFrame) -> pd.DataFrame:
    """A row per set of decayed parameters and seed: what the claim is judged on.

    Columns: decayed, seed, equal and unequal (mean |difference| in points), fluctuation, slope, and how many runs
    settled, not settled, and failed.
    """
    parts = []
    for decayed, table in runs(effective_learning_rate).groupby("decayed", sort=False):
        equal, unequal = differences(table)
        counts = [table["outcome"] == SOUND, table["outcome"] == UNSETTLED, table["failure"] != ""]
        columns = {"equal": equal.mean(axis=1), "unequal": unequal.mean(axis=1)}
        columns |= {"fluctuation": fluctuation(table), "slope": slopes(table)}
        for name, flags in zip(("settled", "not_settled", "failed"), counts, strict=True):
            columns[name] = flags.groupby(table["seed"]).sum()
        parts.append(pd.DataFrame(columns).rename_axis("seed").reset_index().assign(decayed=decayed))
    names = ["decayed", "seed", "equal", "unequal", "fluctuation", "slope", "settled", "not_settled", "failed"]
    return pd.concat(parts, ignore_index=True)[names] if parts else pd.DataFrame(columns=names)


def _slope(rows: pd.DataFrame) -> float:
    rows = rows[(rows["outcome"] == SOUND) & (rows["norm4"] > 0)]
    if rows["ratio"].nunique() < LEAST_RATIOS:
        return math.nan
    logs = np.log(rows[["ratio", "product"]].to_numpy())
    (slope, *_), _, rank, _ = np.linalg.lstsq(np.column_stack([logs, np.ones(len(logs))]), np.log(rows["norm4"]))
    return float(slope) if rank == 3 else math.nan


def _rounded(values: pd.Series) -> pd.Series:
    """Values that are equal but for rounding made equal."""
    return values.map(lambda value: float(f"{value:.6g}"))
