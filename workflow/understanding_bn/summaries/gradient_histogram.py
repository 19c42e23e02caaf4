"""One layer's kernel gradient. `gradient_histogram` has a row for each norm, seed and kernel entry."""

import numpy as np
import pandas as pd
from scipy import stats

BINS = 81


def bins(gradient_histogram: pd.DataFrame) -> pd.DataFrame:
    """norm, layer, seed, bin_left, bin_right, count: bins of equal width, the same for all seeds of a norm.

    They reach to a norm's largest |entry| on both sides of zero, so that every entry is in a bin.
    """
    parts = []
    for norm, of_norm in gradient_histogram.groupby("norm", sort=False):
        largest = float(of_norm["gradient"].abs().max())
        edges = np.linspace(-largest, largest, BINS + 1)
        for seed, entries in of_norm.groupby("seed")["gradient"]:
            counts, _ = np.histogram(entries.to_numpy(dtype=np.float64), edges)
            keys = {"norm": norm, "layer": int(of_norm["layer"].iloc[0]), "seed": seed}
            parts.append(pd.DataFrame(keys | {"bin_left": edges[:-1], "bin_right": edges[1:], "count": counts}))
    return pd.concat(parts, ignore_index=True)


def shapes(gradient_histogram: pd.DataFrame) -> pd.DataFrame:
    """norm, layer, seed, sd, kurtosis (3 for a Gaussian) and the number of entries of every network."""
    rows = []
    for norm, of_norm in gradient_histogram.groupby("norm", sort=False):
        for seed, entries in of_norm.groupby("seed")["gradient"]:
            gradient = entries.to_numpy(dtype=np.float64)
            keys = {"norm": norm, "layer": int(of_norm["layer"].iloc[0]), "seed": seed}
            kurtosis = float(stats.kurtosis(gradient, fisher=False))
            rows.append(keys | {"sd": gradient.std(), "kurtosis": kurtosis, "entries": len(gradient)})
    return pd.DataFrame(rows)
