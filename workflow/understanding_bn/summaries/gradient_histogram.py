"""One layer's kernel gradient. `gradient_histogram` has a row for each norm, seed and kernel entry."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

BINS = 81
COLUMNS = ["norm", "layer", "seed", "bin_left", "bin_right", "count", "density"]


def bins(gradient_histogram: pd.DataFrame) -> pd.DataFrame:
    """norm, layer, seed, bin_left, bin_right, count, density: bins of equal width for every network.

    They reach to a network's largest |entry| on both sides of zero, so that every finite entry is in a bin. The density
    is the share of entries per standard deviation of that network; it is NaN where all entries are equal.
    """
    parts = []
    for keys, entries in _networks(gradient_histogram):
        finite = entries[np.isfinite(entries)]
        if not len(finite):
            continue
        largest = np.abs(finite).max() or 1.0
        edges = np.linspace(-largest, largest, BINS + 1)
        counts, _ = np.histogram(finite, edges)
        sd = finite.std()
        density = counts * sd / (len(finite) * (edges[1] - edges[0])) if sd > 0 else np.nan
        found = {"bin_left": edges[:-1], "bin_right": edges[1:], "count": counts, "density": density}
        parts.append(pd.DataFrame(keys | found))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def shapes(gradient_histogram: pd.DataFrame) -> pd.DataFrame:
    """norm, layer, seed, sd, kurtosis (3 for a Gaussian) and the numbers of entries and of those that are not finite.

    The moments are those of the finite entries, NaN where there are none; where all are equal, the kurtosis is NaN.
    """
    rows = []
    for keys, entries in _networks(gradient_histogram):
        finite = entries[np.isfinite(entries)]
        sd = finite.std() if len(finite) else np.nan
        kurtosis = float(stats.kurtosis(finite, fisher=False)) if sd > 0 else np.nan
        counts = {"entries": len(entries), "not_finite": len(entries) - len(finite)}
        rows.append(keys | {"sd": sd, "kurtosis": kurtosis} | counts)
    columns = ["norm", "layer", "seed", "sd", "kurtosis", "entries", "not_finite"]
    return pd.DataFrame(rows, columns=columns)


def _networks(gradient_histogram: pd.DataFrame) -> Iterator[tuple[dict, np.ndarray]]:
    """norm, layer and seed of every network, and its entries in float64."""
    for norm, of_norm in gradient_histogram.groupby("norm", sort=False):
        layer = int(of_norm["layer"].iloc[0])
        for seed, entries in of_norm.groupby("seed")["gradient"]:
            yield {"norm": norm, "layer": layer, "seed": seed}, entries.to_numpy(dtype=np.float64)
