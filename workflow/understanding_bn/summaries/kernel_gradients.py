"""Singular values of |gradient| between channels. `kernel_gradients`: a row for each norm, seed, pair of channels."""

from collections.abc import Iterator

import numpy as np
import pandas as pd


def energy(kernel_gradients: pd.DataFrame) -> pd.DataFrame:
    """norm, seed, layer, top_share: the top singular value's share σ₁²/Σσ² of each seed's out × in matrix."""
    rows = [(*key, energy_shares(matrix)[0]) for key, matrix in matrices(kernel_gradients)]
    return pd.DataFrame(rows, columns=["norm", "seed", "layer", "top_share"])


def energy_left_out(kernel_gradients: pd.DataFrame) -> pd.DataFrame:
    """norm, seed, rank, left_out: the share of the energy beyond the first `rank` singular values, 1 ≤ rank < all."""
    parts = []
    for (norm, seed, _), matrix in matrices(kernel_gradients):
        left_out = 1 - energy_shares(matrix).cumsum()[:-1]
        ranks = np.arange(1, len(left_out) + 1)
        parts.append(pd.DataFrame({"norm": norm, "seed": seed, "rank": ranks, "left_out": left_out}))
    return pd.concat(parts, ignore_index=True)


def matrices(kernel_gradients: pd.DataFrame) -> Iterator[tuple[tuple, np.ndarray]]:
    """((norm, seed, layer), matrix of out × in channels) of every seed."""
    for key, group in kernel_gradients.groupby(["norm", "seed", "layer"], sort=False):
        yield key, group.pivot(index="out_channel", columns="in_channel", values="gradient").to_numpy()


def energy_shares(matrix: np.ndarray) -> np.ndarray:
    """σ²/Σσ², descending, of a matrix."""
    squares = np.linalg.svd(matrix, compute_uv=False) ** 2
    return squares / squares.sum()
