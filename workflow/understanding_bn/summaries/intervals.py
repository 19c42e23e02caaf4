"""95 % intervals, the exact test of a direction, and Holm's correction. docs/verdicts.md says which is used where.

The unit of replication is the seed: every function takes one value a seed (or draw), already reduced to it.
"""

import functools
import itertools
from collections.abc import Sequence

import numpy as np
from scipy import special

LEVEL = 0.95
MOST_ENUMERATED = 16  # seeds whose 2ⁿ sign flips are all taken; of more, so many are drawn
DRAWS = 65_536

Interval = tuple[float, float]


def mean_interval(values: np.ndarray) -> Interval | None:
    """Student's t interval of the mean of one value a seed, (n,).

    Returns:
        (low, high); a point where all values are equal, from which t cannot tell the doubt. None for fewer than two
        values, or where one is not finite.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    mean, error = values.mean(), values.std(ddof=1) / len(values) ** 0.5
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    reach = special.stdtrit(len(values) - 1, (1 + LEVEL) / 2) * error
    return float(mean - reach), float(mean + reach)


def geometric_interval(values: np.ndarray) -> Interval | None:
    """Student's t interval of the geometric mean: that of the logarithms. None if a value is not positive, too."""
    values = np.asarray(values, dtype=float)
    if not (values > 0).all():
        return None
    interval = mean_interval(np.log(values))
    return (float(np.exp(interval[0])), float(np.exp(interval[1]))) if interval else None


def difference_interval(left: np.ndarray, right: np.ndarray) -> Interval | None:
    """Welch's t interval of the difference of two means, left − right, of independent samples. None as above."""
    left, right = (np.asarray(side, dtype=float) for side in (left, right))
    if min(len(left), len(right)) < 2 or not (np.isfinite(left).all() and np.isfinite(right).all()):
        return None
    difference, error, freedom = _welch(left, right)
    if error == 0:
        return difference, difference
    reach = special.stdtrit(freedom, (1 + LEVEL) / 2) * error
    return float(difference - reach), float(difference + reach)


def ratio_interval(numerator: np.ndarray, denominator: np.ndarray) -> Interval | None:
    """Fieller's interval of the ratio of two means, paired by seed: all ratios r for which t allows Σ(x − r·y) = 0.

    Fieller (1954), "Some problems in interval estimation". None if it is no bounded interval, as where the denominator
    may be zero.
    """
    x, y = (np.asarray(side, dtype=float) for side in (numerator, denominator))
    n = len(x)
    if n < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    return fieller(x.mean(), y.mean(), np.cov(x, y) / n, float(special.stdtrit(n - 1, (1 + LEVEL) / 2)))


def fieller(x: float, y: float, covariance: np.ndarray, t: float) -> Interval | None:
    """All r with (x − r·y)² ≤ t²·Var(x − r·y), of two means with their covariance, (2, 2). None if unbounded."""
    (xx, xy), (_, yy) = t * t * np.asarray(covariance)
    a, b, c = y * y - yy, x * y - xy, x * x - xx
    root = b * b - a * c
    if a <= 0 or root < 0:
        return None
    return float((b - root**0.5) / a), float((b + root**0.5) / a)


def correlation_interval(rho: float, pairs: int, given: int = 0) -> Interval | None:
    """The interval of Spearman's ρ over independent pairs, by Fisher's z with Bonett and Wright's (2000) variance.

    The variance is (1 + ρ²/2)/(n − 3 − k), for residuals of k coefficients. None if n − 3 − k is not positive.
    """
    if pairs - 3 - given < 1:
        return None
    if abs(rho) == 1:
        return float(rho), float(rho)
    reach = special.ndtri((1 + LEVEL) / 2) * _error_of_z(rho, pairs, given)
    return float(np.tanh(np.arctanh(rho) - reach)), float(np.tanh(np.arctanh(rho) + reach))


def correlation_p(rho: float, pairs: int, given: int = 0) -> float:
    """Two-sided p of ρ = 0 by which the interval above would end there; NaN without an interval."""
    if pairs - 3 - given < 1 or np.isnan(rho):
        return float("nan")
    if abs(rho) == 1:
        return 0.0
    return float(2 * special.ndtr(-abs(np.arctanh(rho)) / _error_of_z(rho, pairs, given)))


def _error_of_z(rho: float, pairs: int, given: int) -> float:
    return ((1 + rho**2 / 2) / (pairs - 3 - given)) ** 0.5


def share_interval(successes: int, total: int) -> Interval:
    """The exact (Clopper–Pearson) interval of a share."""
    tail = (1 - LEVEL) / 2
    low = special.betaincinv(successes, total - successes + 1, tail) if successes else 0.0
    high = special.betaincinv(successes + 1, total - successes, 1 - tail) if successes < total else 1.0
    return float(low), float(high)


def t_p(values: np.ndarray, bound: float) -> float:
    """Two-sided p of Student's t that the mean of `values`, (n,), is `bound`; NaN where it has none.

    If all values are equal, t has no p; the sign flip's stands in for it.
    """
    values = np.asarray(values, dtype=float) - bound
    if len(values) < 2 or not np.isfinite(values).all():
        return float("nan")
    if np.ptp(values) == 0:
        return sign_flip_p(values)
    return float(2 * special.stdtr(len(values) - 1, -abs(values.mean()) * len(values) ** 0.5 / values.std(ddof=1)))


def welch_p(left: np.ndarray, right: np.ndarray, bound: float) -> float:
    """Two-sided p of Welch's t that the means of two independent samples differ by `bound`."""
    difference, error, freedom = _welch(np.asarray(left, dtype=float), np.asarray(right, dtype=float))
    return float(2 * special.stdtr(freedom, -abs(difference - bound) / error)) if error > 0 else float("nan")


def sign_flip_p(values: np.ndarray) -> float:
    """Exact two-sided p that `values`, one a seed, are symmetric about zero: no distribution is assumed.

    The share of all 2ⁿ choices of signs whose sum is as far from zero as the values' own; at least 2^(1 − n). Beyond 16
    values, of 65,536 random choices and their own. NaN where a value is not finite, or there is none.
    """
    values = np.asarray(values, dtype=float)
    n = len(values)
    if n == 0 or not np.isfinite(values).all():
        return float("nan")
    if n <= MOST_ENUMERATED:
        signs = _signs(n)
    else:
        signs = np.random.default_rng(0).choice((1, -1), size=(DRAWS, n))
        signs[0] = 1
    sums = np.abs(signs @ values)
    return float((sums >= abs(values.sum()) * (1 - 1e-12)).mean())


@functools.cache
def _signs(n: int) -> np.ndarray:
    """All choices of n signs, (2ⁿ, n)."""
    return np.array(list(itertools.product((1, -1), repeat=n)))


def holm(p: Sequence[float] | np.ndarray, tests: int | None = None) -> np.ndarray:
    """Holm's (1979) adjusted p, (n,): at most 0.05 are those that his step-down procedure finds at that level.

    `tests`: how many were made in all, if more than these have been; those left out are the least significant. NaN is
    no test, and stays.
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p)[: np.isfinite(p).sum()]  # NaN comes last
    left = (len(order) if tests is None else tests) - np.arange(len(order))
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(left * p[order]), 1)
    return adjusted


def _welch(left: np.ndarray, right: np.ndarray) -> tuple[float, float, float]:
    """Difference of the means, its standard error, and Satterthwaite's degrees of freedom."""
    parts = [side.var(ddof=1) / len(side) for side in (left, right)]
    variance = sum(parts)
    spread = sum(part**2 / (len(side) - 1) for part, side in zip(parts, (left, right), strict=True))
    return float(left.mean() - right.mean()), variance**0.5, variance**2 / spread if spread > 0 else float("inf")
