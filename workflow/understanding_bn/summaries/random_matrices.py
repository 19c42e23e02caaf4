"""Singular values of products of Gaussian matrices. `random_matrices`: a row for each draw and singular value."""

import numpy as np
import pandas as pd

from understanding_bn.analysis.random_matrices import ks_statistic, upper_edge

BINS = 50


def bin_width(factors: int) -> float:
    """A fiftieth of the range that Theorem 1 allows."""
    return upper_edge(factors) / BINS


def bins(random_matrices: pd.DataFrame) -> pd.DataFrame:
    """factors, draw, bin_left, bin_right, count.

    50 bins reach from 0 to Theorem 1's upper edge. More bins of the same width follow where finite matrices overshoot
    it, so that no value is dropped.
    """
    parts = []
    for factors, of_factors in random_matrices.groupby("factors"):
        width = bin_width(factors)
        edges = width * np.arange(max(BINS, int(of_factors["singular_value"].max() / width) + 1) + 1)
        for draw, values in of_factors.groupby("draw")["singular_value"]:
            counts, _ = np.histogram(values.to_numpy(), edges)
            keys = {"factors": factors, "draw": draw}
            parts.append(pd.DataFrame(keys | {"bin_left": edges[:-1], "bin_right": edges[1:], "count": counts}))
    return pd.concat(parts, ignore_index=True)


def draws(random_matrices: pd.DataFrame) -> pd.DataFrame:
    """factors, size, draw, condition_number σ₁/σ_N, and the Kolmogorov–Smirnov distance from Theorem 1."""
    rows = []
    for (factors, draw), values in random_matrices.groupby(["factors", "draw"])["singular_value"]:
        singular = values.to_numpy()
        rows.append(
            {"factors": factors, "size": len(singular), "draw": draw}
            | {"condition_number": singular.max() / singular.min(), "ks_statistic": ks_statistic(singular, factors)}
        )
    return pd.DataFrame(rows)
