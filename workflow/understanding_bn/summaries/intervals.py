"""Intervals over seeds."""

import itertools
from collections.abc import Callable

import numpy as np
from scipy import stats

LEVEL = 0.95
EXHAUSTIVE = 4000  # up to this many resamples, all of them are taken, and nothing is left to chance
DRAWS = 10_000
ROUNDING = 1e-12  # of the largest resample: what float64 leaves of a sum that cancels, on one side of 0 or the other


def bootstrap(statistic: Callable[[np.ndarray], np.ndarray], seeds: int) -> tuple[float, float] | None:
    """The 95 % percentile-bootstrap interval of a statistic, seeds resampled with replacement.

    Args:
        statistic: from resampled seed positions, (resamples, seeds) int, to a number for each, (resamples,). Seeds
            are resampled for all cells at once, so that a difference between cells of the same seeds stays paired.
        seeds: how many there are. Up to five, all seedsⁿ resamples are enumerated; beyond, 10,000 are drawn.

    Returns:
        (low, high), or None for a single seed or where a resample gives no finite number. With few seeds the
        interval is too narrow (two and three seeds: it is their range); read it as a lower limit on the doubt.
    """
    if seeds < 2:
        return None
    if seeds**seeds <= EXHAUSTIVE:
        resamples = np.array(list(itertools.product(range(seeds), repeat=seeds)))
    else:
        resamples = np.random.default_rng(0).integers(seeds, size=(DRAWS, seeds))
    values = statistic(resamples)
    if not np.isfinite(values).all():
        return None
    values = np.where(np.abs(values) < ROUNDING * np.abs(values).max(), 0, values)
    tail = (1 - LEVEL) / 2
    # The quantile of the distribution itself: one interpolated between resamples would cut off a part of its ends,
    # which with two or three seeds are more likely than a tail.
    low, high = np.quantile(values, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def bootstrap_interval(values: np.ndarray) -> tuple[float, float] | None:
    """The interval of the mean of one value per seed, (n,)."""
    return bootstrap(lambda index: values[index].mean(axis=-1), len(values))


def share_interval(successes: int, total: int) -> tuple[float, float]:
    """The exact (Clopper–Pearson) 95 % interval of a share."""
    interval = stats.binomtest(successes, total).proportion_ci(LEVEL, method="exact")
    return float(interval.low), float(interval.high)
