"""The gradient's noise and structure by architecture, and how it goes with the generalisation gap over cells."""

import numpy as np
import pandas as pd
from scipy import stats

from understanding_bn.summaries.intervals import correlation_interval
from understanding_bn.summaries.trained_runs import OF_WHAT
from understanding_bn.summaries.training import CELL

GAP = "loss_gap"  # the gap that is drawn; the summary has the accuracies' gap, too
# Quantities of a network that are set against the gap, in the order of the summary.
RELATED = (
    *("constant", "noise_scale", "mean_entry_variance", "mean_unit_variation", "layer_variation", "rank_share"),
    *("update_noise", "minibatch_rank", "noise", "sharpness"),
)
LEAST_CELLS = 4  # that a correlation is taken over


def most_shared_setting(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the (init, α, B, epochs) that most architectures and norms share.

    This is not `training.main_network`, which is of one architecture.
    """
    setting = ["init", "alpha", "batch_size", "epochs"]
    counts = table.groupby(setting, sort=False)[["arch", "norm"]].apply(lambda rows: len(rows.drop_duplicates()))
    return table[(table[setting] == pd.Series(counts.idxmax(), index=setting)).all(axis=1)]


def by_cell(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over the sound seeds of every cell: its gaps and the quantities at the end of training."""
    measured = [name for name in runs.columns if name not in (*CELL, "seed", "failure", *OF_WHAT)]
    means = runs.groupby(CELL, as_index=False)[measured].mean()
    return means.dropna(subset=[GAP, "noise"]).reset_index(drop=True)


def correlations(cells: pd.DataFrame) -> pd.DataFrame:
    """Spearman's ρ between each quantity and either gap over the cells, for all norms together and one by one.

    Columns: norm ("all" or one), quantity, gap, cells, rho, low, high (95 %, by Fisher's z, as if
    cells were independent; NaN for few cells).
    """
    rows = []
    for norm in ("all", *cells["norm"].unique()):
        of_norm = cells if norm == "all" else cells[cells["norm"] == norm]
        for gap in ("gap", GAP):
            for quantity in (name for name in RELATED if name in cells):
                pairs = of_norm[[quantity, gap]].dropna().to_numpy()
                rho, low, high = np.nan, np.nan, np.nan
                if len(pairs) >= LEAST_CELLS:
                    rho = float(spearman(pairs))
                    low, high = correlation_interval(rho, len(pairs)) or (low, high)
                rows.append((norm, quantity, gap, len(pairs), rho, low, high))
    return pd.DataFrame(rows, columns=["norm", "quantity", "gap", "cells", "rho", "low", "high"])


def spearman(pairs: np.ndarray) -> np.ndarray:
    """Spearman's ρ of (..., n, 2) pairs; 0 where one side is constant, as resamples of few cells can be."""
    ranks = stats.rankdata(pairs, axis=-2)
    x, y = np.moveaxis(ranks - ranks.mean(axis=-2, keepdims=True), -1, 0)
    covariance, spread = (x * y).sum(axis=-1), np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    return np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)
