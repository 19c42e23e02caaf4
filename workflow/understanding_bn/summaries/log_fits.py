"""Straight lines through logarithms: a power law's exponent, an exponential's rate, and how well either fits."""

import math

import numpy as np

LEAST_POINTS = 3  # two always lie on a line


def logarithm(values: np.ndarray) -> np.ndarray:
    """Natural logarithms; NaN for what has none."""
    values = np.asarray(values, dtype=float)
    return np.log(np.where(np.isfinite(values) & (values > 0), values, math.nan))


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and R² of the least-squares line through (x, y).

    Both are NaN where a value is not finite, or x has fewer than three; R² also where all y are the same.
    """
    x, y = (np.asarray(values, dtype=float) for values in (x, y))
    if len(np.unique(x)) < LEAST_POINTS or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return math.nan, math.nan
    dx, dy = x - x.mean(), y - y.mean()
    covariance, spread = float(dx @ dy), float(dy @ dy)
    return covariance / float(dx @ dx), covariance**2 / (float(dx @ dx) * spread) if spread > 0 else math.nan
