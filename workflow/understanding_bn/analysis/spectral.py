"""What is read from the nodes of stochastic Lanczos quadrature. Imports no torch: figures must not wait for it."""

import math

import numpy as np


def trace(forms: np.ndarray) -> tuple[float, float]:
    """Mean of v·Hv over probes, and its standard error: NaN for a single probe."""
    error = np.std(forms, ddof=1) / math.sqrt(len(forms)) if len(forms) > 1 else math.nan
    return float(np.mean(forms)), float(error)


def density(nodes: np.ndarray, weights: np.ndarray, grid: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    """Σ_k w_k N(grid; λ_k, width²): (g,) for nodes and weights (m,), per unit of the grid.

    `width`: one number, or one per node.
    """
    width = np.broadcast_to(width, nodes.shape)
    distances = (grid[:, None] - nodes) / width
    return (weights / (width * math.sqrt(2 * math.pi)) * np.exp(-(distances**2) / 2)).sum(1)
