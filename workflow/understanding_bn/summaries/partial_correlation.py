"""Rank correlation of two quantities over cells, given the factors in which the cells differ.

Each quantity is regressed on the factors as categories, by least squares, and Spearman's ρ is that of the residuals.
It has the interval of Spearman's ρ (`intervals.correlation_interval`) with n − 3 − k in place of n − 3, for n cells and
k coefficients beside the constant. p is that at which this interval would end at 0.

Ranks are taken last on purpose. Ranks of a sum of effects are no sum of effects: residuals of ranks keep a part of what
strong factors did to both quantities, and ranks of α in place of categories keep all of it where the effect rises and
falls again. Here the level holds if the factors' effects add up in one of the two quantities, whatever their shape and
strength (tests/unit/test_partial_correlation.py). It does not where an interaction of factors moves both.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

NOTHING = 1e-9  # of a quantity's spread: below it, a residual is rounding error
LEAST_FREE = 4  # n − 3 − k; with less, p is too small too often


@dataclass(frozen=True)
class Partial:
    """A rank correlation given some factors.

    Attributes:
        rho: NaN if too few cells are compared, or nothing varies among them.
        cells: how many are compared: those that share each level of a factor with another cell.
        given: k, the coefficients of the factors among these, beside the constant.
    """

    rho: float
    cells: int
    given: int


def partial_spearman(pairs: np.ndarray, categories: pd.DataFrame) -> Partial:
    """Of (n, 2) pairs, given (n, factors) categories."""
    basis = _basis(categories)
    # A cell with a level of its own is fitted exactly, and has nothing to say.
    compared = (basis**2).sum(axis=1) < 1 - NOTHING
    if not compared.all():
        pairs, basis = pairs[compared], _basis(categories[compared])
    cells, given = len(pairs), max(basis.shape[1] - 1, 0)
    if cells - 3 - given < LEAST_FREE:
        return Partial(np.nan, cells, given)
    centred = pairs - pairs.mean(axis=0)
    spread = np.abs(centred).max(axis=0)
    residuals = np.divide(centred - basis @ (basis.T @ centred), spread, out=np.zeros_like(centred), where=spread > 0)
    residuals[np.abs(residuals) < NOTHING] = 0
    rho = float(spearman(residuals)) if np.ptp(residuals, axis=0).all() else np.nan
    return Partial(rho, cells, given)


def spearman(pairs: np.ndarray) -> np.ndarray:
    """Spearman's ρ of (..., n, 2) pairs; 0 where one side is constant, as resamples of few cells can be."""
    ranks = stats.rankdata(pairs, axis=-2)
    x, y = np.moveaxis(ranks - ranks.mean(axis=-2, keepdims=True), -1, 0)
    covariance, spread = (x * y).sum(axis=-1), np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    return np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)


def _basis(categories: pd.DataFrame) -> np.ndarray:
    """An orthonormal basis, (n, 1 + k), of what a constant and the levels of all factors span."""
    factors = categories.to_numpy().T
    columns = np.hstack([np.ones((len(categories), 1)), *(values[:, None] == np.unique(values) for values in factors)])
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, sizes > NOTHING]
