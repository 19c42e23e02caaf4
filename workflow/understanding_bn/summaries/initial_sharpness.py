"""Sharpness before training and the largest stable learning rate. `initial_sharpness` has a row for each α tried."""

import math

import numpy as np
import pandas as pd

from understanding_bn.summaries.max_learning_rate import SEARCH, largest_stable

LEAST_NETWORKS = 4  # for a fit
NO_SHARPNESS = "no sharpness"
# Why a network has no part in the fit, in words.
LEFT_OUT = {
    "above": "stable at every α tried",
    "below": "stable at no α tried",
    NO_SHARPNESS: "without a positive λ_max",
}


def by_network(initial_sharpness: pd.DataFrame) -> pd.DataFrame:
    """One row per network and seed: SEARCH, sharpness, alpha (the largest stable one), limit and left_out.

    left_out is a key of LEFT_OUT, or "" where the network is fitted: a search without a bound says only where α is not,
    and a network without a positive λ_max has no logarithm of it.
    """
    table = largest_stable(initial_sharpness, SEARCH)
    starts = initial_sharpness.groupby(SEARCH, sort=False)["sharpness"].first().reset_index()
    table = table.merge(starts, on=SEARCH)
    known = np.isfinite(table["sharpness"]) & (table["sharpness"] > 0)
    return table.assign(left_out=table["limit"].where(known, NO_SHARPNESS))


def fits(networks: pd.DataFrame) -> pd.DataFrame:
    """By seed: networks (how many are fitted), slope, intercept and r2 of log10 α on log10 λ_max by least squares.

    NaN where fewer than LEAST_NETWORKS are left, or all have the same λ_max. `networks`: rows of `by_network`.
    """
    rows = []
    for seed, of_seed in networks.groupby("seed"):
        fitted = of_seed[of_seed["left_out"] == ""]
        rows.append((seed, len(fitted), *_line(np.log10(fitted["sharpness"]), np.log10(fitted["alpha"]))))
    return pd.DataFrame(rows, columns=["seed", "networks", "slope", "intercept", "r2"])


def left_out(networks: pd.DataFrame) -> str:
    """How many networks of all seeds are left out and why, for a name: "; 3 stable at every α tried"; "" if none is."""
    counts = networks["left_out"].value_counts()
    return "".join(f"; {counts[key]} {words}" for key, words in LEFT_OUT.items() if key in counts)


def _line(x: pd.Series, y: pd.Series) -> tuple[float, float, float]:
    """Slope, intercept and R² of y on x."""
    if len(x) < LEAST_NETWORKS or np.ptp(x) == 0:
        return math.nan, math.nan, math.nan
    slope, intercept = np.polyfit(x, y, 1)
    total = ((y - y.mean()) ** 2).sum()
    r2 = 1 - ((y - slope * x - intercept) ** 2).sum() / total if total > 0 else math.nan
    return float(slope), float(intercept), float(r2)
