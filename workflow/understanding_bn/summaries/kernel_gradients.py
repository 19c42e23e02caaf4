"""Singular values of |gradient| between channels. `kernel_gradients`: a row for each norm, seed, pair of channels."""

from collections.abc import Iterator

import numpy as np
import pandas as pd


def energy(kernel_gradients: pd.DataFrame) -> pd.DataFrame:
    """norm, seed, layer, top_share, flat_share of each seed's out × in matrix.

    `top_share` is the top singular value's share of the energy, σ₁²/Σσ². No entry is negative, so that it is large
    even if all that the channels have in common is their mean: `flat_share`, mean²/mean of squares, is the energy of a
    matrix with that mean everywhere. `top_share` is never below it. Both are NaN where an entry is not finite or all
    are zero.
    """
    rows = [(*key, energy_shares(matrix)[0], _flat_share(matrix)) for key, matrix in matrices(kernel_gradients)]
    return pd.DataFrame(rows, columns=["norm", "seed", "layer", "top_share", "flat_share"])


def energy_left_out(kernel_gradients: pd.DataFrame) -> pd.DataFrame:
    """norm, seed, rank, left_out: the share of the energy beyond the first `rank` singular values, 1 ≤ rank < all."""
    parts = []
    for (norm, seed, _), matrix in matrices(kernel_gradients):
        left_out = 1 - energy_shares(matrix).cumsum()[:-1]
        ranks = np.arange(1, len(left_out) + 1)
        parts.append(pd.DataFrame({"norm": norm, "seed": seed, "rank": ranks, "left_out": left_out}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["norm", "seed", "rank", "left_out"])


def matrices(kernel_gradients: pd.DataFrame) -> Iterator[tuple[tuple, np.ndarray]]:
    """((norm, seed, layer), matrix of out × in channels) of every seed."""
    for key, group in kernel_gradients.groupby(["norm", "seed", "layer"], sort=False):
        yield key, group.pivot(index="out_channel", columns="in_channel", values="gradient").to_numpy(dtype=np.float64)


def energy_shares(matrix: np.ndarray) -> np.ndarray:
    """σ²/Σσ², descending, of a matrix; NaN where an entry is not finite or all are zero."""
    if not np.isfinite(matrix).all() or not matrix.any():
        return np.full(min(matrix.shape), np.nan)
    squares = np.linalg.svd(matrix / np.abs(matrix).max(), compute_uv=False) ** 2
    return squares / squares.sum()


def _flat_share(matrix: np.ndarray) -> float:
    """The share of the energy in the mean of all entries."""
    if not np.isfinite(matrix).all() or not matrix.any():
        return np.nan
    scaled = matrix / np.abs(matrix).max()
    return float(scaled.mean() ** 2 / (scaled**2).mean())
