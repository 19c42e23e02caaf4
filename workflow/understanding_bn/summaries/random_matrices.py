"""Singular values of products of Gaussian matrices. `random_matrices`: a row for each draw and singular value."""

import numpy as np
import pandas as pd

from understanding_bn.analysis.random_matrices import ks_statistic, upper_edge

COLUMNS = ["factors", "draw", "bin_left", "bin_right", "count"]
BINS = 50
MOST = 4 * BINS  # a value further out than so many bins is in the last one, which is wider


def bin_width(factors: int) -> float:
    """A fiftieth of the range that Theorem 1 allows."""
    return upper_edge(factors) / BINS


def bins(random_matrices: pd.DataFrame) -> pd.DataFrame:
    """factors, draw, bin_left, bin_right, count.

    50 bins reach from 0 to Theorem 1's upper edge. More bins of the same width follow where finite matrices overshoot
    it, so that no finite value is dropped.
    """
    parts = []
    for factors, of_factors in random_matrices.groupby("factors"):
        width = bin_width(factors)
        finite = of_factors[np.isfinite(of_factors["singular_value"].astype(float))]
        largest = finite["singular_value"].max() if len(finite) else 0.0
        edges = width * np.arange(min(MOST, max(BINS, int(largest / width) + 1)) + 1)
        edges[-1] = max(edges[-1], largest)
        for draw, values in finite.groupby("draw")["singular_value"]:
            counts, _ = np.histogram(values.to_numpy(), edges)
            keys = {"factors": factors, "draw": draw}
            parts.append(pd.DataFrame(keys | {"bin_left": edges[:-1], "bin_right": edges[1:], "count": counts}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def draws(random_matrices: pd.DataFrame) -> pd.DataFrame:
    """factors, size, draw, condition_number σ₁/σ_N, and the Kolmogorov–Smirnov distance from Theorem 1.

    The condition number is infinite where the least singular value is zero; both are NaN where a value is not finite.
    """
    rows = []
    for (factors, draw), values in random_matrices.groupby(["factors", "draw"])["singular_value"]:
        singular = values.to_numpy(dtype=np.float64)
        condition = distance = np.nan
        if np.isfinite(singular).all():
            condition = singular.max() / singular.min() if singular.min() > 0 else np.inf
            distance = ks_statistic(singular, factors)
        keys = {"factors": factors, "size": len(singular), "draw": draw}
        rows.append(keys | {"condition_number": condition, "ks_statistic": distance})
    return pd.DataFrame(rows)
