"""Intervals, checks and verdicts."""

import itertools
import math

import numpy as np
import pytest

from understanding_bn.claims.checks import (
    INCONCLUSIVE,
    NOT_RUN,
    REFUTED,
    REPRODUCED,
    Check,
    combine,
    every,
    mean_check,
)
from understanding_bn.summaries import intervals


@pytest.mark.parametrize("values", [[0.0, 1.0], [3.0, 1.0, 2.0]])
def test_bootstrap_of_two_or_three_seeds_is_their_range(values):
    # All of them the smallest one: 1 of 4 resamples, or 1 of 27; either is more than a tail of 2.5 %.
    assert intervals.bootstrap_interval(np.array(values)) == (min(values), max(values))


def test_rounding_puts_no_end_of_an_interval_beside_zero():
    crumb = 0.3 - 0.1 - 0.2
    assert crumb < 0
    assert intervals.bootstrap_interval(np.array([0.5, crumb, 0.2])) == (0, 0.5)


def test_bootstrap_enumerates_up_to_five_seeds_and_samples_beyond():
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    means = np.sort([np.mean(c) for c in itertools.product(values, repeat=5)])
    assert len(means) == 3125
    # The ends are resamples themselves: the first at which 2.5 % (78.1 of them) and 97.5 % (3046.9) are reached.
    assert intervals.bootstrap_interval(values) == pytest.approx((means[79 - 1], means[3047 - 1]))
    many = np.random.default_rng(1).normal(size=400)
    low, high = intervals.bootstrap_interval(many)
    assert high - low == pytest.approx(2 * 1.96 * many.std() / 20, rel=0.05)
    assert intervals.bootstrap_interval(many) == (low, high)


def test_bootstrap_does_not_depend_on_the_order_of_seeds():
    values = np.array([3.0, 1.0, 2.0])
    assert intervals.bootstrap_interval(values) == pytest.approx(intervals.bootstrap_interval(values[::-1]))


def test_no_interval_without_spread_or_with_infinities():
    assert intervals.bootstrap_interval(np.array([1.0])) is None
    assert intervals.bootstrap_interval(np.array([1.0, math.inf])) is None


def test_share_interval_is_clopper_pearson():
    low, high = intervals.share_interval(3, 3)
    assert (low, high) == pytest.approx((0.025 ** (1 / 3), 1))


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([9, 10, 11], REPRODUCED),
        ([8, 8, 8], REPRODUCED),
        ([7, 8, 9], INCONCLUSIVE),
        ([5, 6, 7], REFUTED),
        ([20], INCONCLUSIVE),
        ([20, np.inf], INCONCLUSIVE),
        ([], INCONCLUSIVE),
    ],
)
def test_verdict_is_where_the_interval_lies(values, verdict):
    assert mean_check("x", np.array(values, float), "≥", 8).verdict == verdict


@pytest.mark.parametrize(
    ("relation", "holds"),
    [("≥", (True, False)), (">", (False, False)), ("≤", (True, True)), ("<", (False, True))],
)
def test_relations(relation, holds):
    for value, expected in zip((8.0, 7.0), holds, strict=True):
        assert (Check("x", value, (value, value), relation, 8, 3).verdict == REPRODUCED) == expected


def test_one_exception_refutes_a_claim_about_every_run():
    assert every("x", [True, True]).verdict == REPRODUCED
    assert every("x", [True] * 99 + [False]).verdict == REFUTED


def test_combination():
    good, open_, bad = (mean_check("x", np.array(v, float), "≥", 8) for v in ([9, 9], [7, 9], [1, 1]))
    assert combine([good, good]) == REPRODUCED
    assert combine([good, open_]) == INCONCLUSIVE
    assert combine([open_, bad, good]) == REFUTED
    assert combine([]) == NOT_RUN
