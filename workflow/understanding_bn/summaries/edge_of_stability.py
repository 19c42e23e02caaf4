"""Sharpness beside the edge of stability. `edge_of_stability` has a row for each descent and snapshot."""

import math

import numpy as np
import pandas as pd

RUN = ["norm", "loss", "momentum", "alpha", "seed"]
# What became of a descent that did not fail.
SETTLED, NEVER, ENDED = "settled", "never crossed", "ended as it crossed"


def with_share(edge_of_stability: pd.DataFrame) -> pd.DataFrame:
    """The table with the column `share`: sharpness · α / (2 + 2β), which is 1 at the edge.

    Gradient descent with Polyak's momentum β on a quadratic of curvature λ is stable for λ < (2 + 2β)/α (Cohen et al.
    2021, their Sec. 2 and appendix B).
    """
    table = edge_of_stability
    return table.assign(share=table["sharpness"] * table["alpha"] / (2 + 2 * table["momentum"]))


def by_descent(edge_of_stability: pd.DataFrame, least_loss: float) -> pd.DataFrame:
    """One row per descent: RUN, crossed (the update at which it did; NaN), outcome and median.

    Only snapshots at a loss above `least_loss` count. `crossed` is the first whose share is at least 1, and `median`
    that of the share over later ones; NaN where a descent has none. The outcome of one that failed is its failure.
    """
    rows = []
    for key, descent in with_share(edge_of_stability).groupby(RUN, sort=False):
        descent = descent.sort_values("update")
        failure = descent["failure"].iloc[-1]
        counted = descent[descent["training_loss"] > least_loss]
        over = counted.loc[counted["share"] >= 1, "update"]
        crossed = float(over.min()) if len(over) else math.nan
        later = counted.loc[counted["update"] > crossed, "share"].dropna()
        outcome = failure or (NEVER if over.empty else ENDED if later.empty else SETTLED)
        rows.append((*key, crossed, outcome, later.median() if outcome == SETTLED else math.nan))
    return pd.DataFrame(rows, columns=[*RUN, "crossed", "outcome", "median"])


def by_seed(descents: pd.DataFrame) -> pd.Series:
    """The geometric mean over learning rates of the medians of a seed's descents, by seed; those without one left out.

    `descents`: rows of `by_descent` of one norm, loss and momentum.
    """
    settled = descents[(descents["outcome"] == SETTLED) & (descents["median"] > 0)]
    return np.exp(np.log(settled["median"]).groupby(settled["seed"]).mean())
