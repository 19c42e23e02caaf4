"""The gradient's noise and structure by architecture, and how it goes with the generalisation gap over cells."""

import numpy as np
import pandas as pd

from understanding_bn.summaries import intervals
from understanding_bn.summaries.partial_correlation import partial_spearman, spearman
from understanding_bn.summaries.trained_runs import OF_WHAT
from understanding_bn.summaries.training import CELL

GAP = "loss_gap"  # the gap that is drawn; the summary has the accuracies' gap, too
# Quantities of a network that are set against the gap, in the order of the summary, and whether α and B act on them as
# factors, so that they are taken as logarithms where α and B are given.
RELATED = {
    "constant": True,
    "noise_scale": True,
    "mean_entry_variance": True,
    "mean_unit_variation": True,
    "layer_variation": False,
    "rank_share": False,
    "update_noise": True,
    "minibatch_rank": False,
    "noise": True,
    "sharpness": True,
}
ALL = "all"  # norms together
LEAST_CELLS = 4  # that a correlation is taken over
COLUMNS = ["norm", "quantity", "gap", "cells", "incomplete", "rho", "low", "high"]
COLUMNS += ["compared", "given", "partial", "partial_low", "partial_high", "p"]


def most_shared_setting(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the (init, α, B, epochs) that most architectures and norms share.

    This is not `training.main_network`, which is of one architecture.
    """
    setting = ["init", "alpha", "batch_size", "epochs"]
    counts = table.groupby(setting, sort=False)[["arch", "norm"]].apply(lambda rows: len(rows.drop_duplicates()))
    return table[(table[setting] == pd.Series(counts.idxmax(), index=setting)).all(axis=1)]


def by_cell(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over the sound seeds of every cell: its gaps and the quantities at the end of training.

    Beside each mean, NAME_seeds counts the seeds that have a value. `incomplete` names the quantities that some of the
    cell's sound seeds have and others do not; `seeds` and `sound_seeds` count its seeds.
    """
    measured = [name for name in runs.columns if name not in (*CELL, "seed", "failure", *OF_WHAT)]
    cells = runs.groupby(CELL)
    means, counts = cells[measured].mean(), cells[measured].count()
    sound = (runs["failure"] == "").groupby([runs[name] for name in CELL]).sum()
    partly = (counts > 0) & counts.lt(sound, axis=0)
    incomplete = [" ".join(name for name in measured if row[name]) for _, row in partly.iterrows()]
    facts = pd.DataFrame({"seeds": cells.size(), "sound_seeds": sound, "incomplete": incomplete})
    beside = [part for name in measured for part in (means[name], counts[name].rename(f"{name}_seeds"))]
    return pd.concat([facts, *beside], axis=1).reset_index().dropna(subset=[GAP, "noise"]).reset_index(drop=True)


def correlations(cells: pd.DataFrame) -> pd.DataFrame:
    """Spearman's ρ between each quantity and either gap over the cells, for all norms together and one by one.

    Columns: norm ("all" or one), quantity, gap; cells with both, and how many of them are incomplete (see `by_cell`);
    rho, low, high (95 %, by Fisher's z, as if cells were independent; NaN for few cells). Then the same given α and B,
    which may act otherwise in each norm: compared (cells), given (coefficients), partial, partial_low, partial_high, p
    (see `partial_correlation`). p_holm is p after Holm's correction for all quantities and norms of that gap.
    """
    rows = []
    for norm in (ALL, *cells["norm"].unique()):
        of_norm = cells if norm == ALL else cells[cells["norm"] == norm]
        for gap in ("gap", GAP):
            rows += [(norm, name, gap, *_correlation(of_norm, name, gap)) for name in RELATED if name in cells]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.assign(p_holm=table.groupby("gap")["p"].transform(intervals.holm))


def _correlation(cells: pd.DataFrame, quantity: str, gap: str) -> tuple[float, ...]:
    """A row of `correlations` from `cells` on."""
    known = cells.dropna(subset=[quantity, gap])
    incomplete = int(known["incomplete"].str.split().map(lambda names: quantity in names).sum())
    pairs = known[[quantity, gap]].to_numpy(float)
    rho, low, high = np.nan, np.nan, np.nan
    if len(pairs) >= LEAST_CELLS:
        rho = float(spearman(pairs))
        low, high = intervals.correlation_interval(rho, len(pairs)) or (low, high)
    if RELATED[quantity]:
        pairs[:, 0] = np.log(pairs[:, 0], out=np.full(len(pairs), np.nan), where=pairs[:, 0] > 0)
    finite = np.isfinite(pairs).all(axis=1)
    of_norm = pd.DataFrame({name: known["norm"] + known[name].astype(str) for name in ("alpha", "batch_size")})
    found = partial_spearman(pairs[finite], of_norm[finite])
    ends = intervals.correlation_interval(found.rho, found.cells, found.given) or (np.nan, np.nan)
    p = intervals.correlation_p(found.rho, found.cells, found.given)
    return len(pairs), incomplete, rho, low, high, found.cells, found.given, found.rho, *ends, p
