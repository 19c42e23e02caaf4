"""Intervals and exact tests, against closed forms, other implementations and brute force."""

import itertools
import math

import numpy as np
import pytest
from scipy import optimize, stats

from understanding_bn.summaries import intervals

RNG = np.random.default_rng(0)
VALUES = np.array([3.0, 1.0, 2.0, 7.0])


def test_the_mean_has_students_interval():
    expected = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert intervals.mean_interval(VALUES) == pytest.approx(tuple(expected))
    assert intervals.mean_interval(VALUES[::-1]) == pytest.approx(tuple(expected))
    # Two seeds: t with one degree of freedom has its 97.5 % point at tan(0.475 π) = 12.7.
    assert intervals.mean_interval(np.array([0.0, 2.0])) == pytest.approx((1 - 12.7062, 1 + 12.7062), abs=1e-4)


def test_the_geometric_mean_has_that_of_the_logarithms():
    low, high = intervals.geometric_interval(VALUES)
    assert (math.log(low), math.log(high)) == pytest.approx(intervals.mean_interval(np.log(VALUES)))
    assert intervals.geometric_interval(np.array([1.0, 2.0, 0.0])) is None


@pytest.mark.parametrize("values", [[], [1.0], [1.0, math.inf], [1.0, math.nan, 2.0]])
def test_no_interval_of_one_value_or_of_infinities(values):
    assert intervals.mean_interval(np.array(values)) is None
    assert math.isnan(intervals.t_p(np.array(values), 0))


def test_equal_values_have_a_point():
    assert intervals.mean_interval(np.full(3, 0.1)) == (0.1, 0.1)
    assert intervals.t_p(np.full(3, 0.1), 0) == intervals.sign_flip_p(np.full(3, 0.1)) == 0.25


def test_independent_means_differ_by_welchs_interval():
    left, right = RNG.normal(1, 2, 7), RNG.normal(0, 0.5, 4)
    test = stats.ttest_ind(left, right, equal_var=False)
    assert intervals.difference_interval(left, right) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert intervals.welch_p(left, right, 0) == pytest.approx(test.pvalue)
    assert intervals.difference_interval(left, right[:1]) is None


def test_a_ratio_of_means_has_fiellers_interval():
    denominator = RNG.normal(10, 1, 5)
    numerator = 0.7 * denominator + RNG.normal(0, 0.5, 5)

    def just_allowed(ratio):
        return stats.ttest_1samp(numerator - ratio * denominator, 0).pvalue - 0.05

    middle = numerator.mean() / denominator.mean()
    low, high = (optimize.brentq(just_allowed, middle, end) for end in (middle - 5, middle + 5))
    assert intervals.ratio_interval(numerator, denominator) == pytest.approx((low, high))
    assert intervals.ratio_interval(numerator, denominator - denominator.mean()) is None, "it may be divided by zero"
    assert intervals.ratio_interval(3 * numerator, denominator) == pytest.approx((3 * low, 3 * high))


def test_a_share_has_the_exact_interval():
    assert intervals.share_interval(3, 3) == pytest.approx((0.025 ** (1 / 3), 1))
    assert intervals.share_interval(0, 5) == pytest.approx((0, 1 - 0.025 ** (1 / 5)))


def test_a_correlations_interval_is_fishers():
    low, high = intervals.correlation_interval(0.5, 28)
    reach = 1.959964 * math.sqrt(1.125 / 25)
    assert (low, high) == pytest.approx((math.tanh(math.atanh(0.5) - reach), math.tanh(math.atanh(0.5) + reach)))
    assert intervals.correlation_interval(0.5, 3) is None
    assert intervals.correlation_interval(-1.0, 9) == (-1, -1)
    assert intervals.correlation_interval(0.5, 30, given=2) == (low, high), "a coefficient counts as a pair less"
    assert intervals.correlation_interval(0.5, 8, given=5) is None


def test_the_p_of_a_correlation_is_that_of_its_interval():
    rho = optimize.brentq(lambda rho: intervals.correlation_interval(rho, 28, 2)[0], 0.1, 0.9)
    assert intervals.correlation_p(rho, 28, 2) == pytest.approx(0.05)
    assert intervals.correlation_p(-rho, 28, 2) == pytest.approx(0.05)
    assert intervals.correlation_p(0, 9) == 1
    assert intervals.correlation_p(1, 9) == 0
    assert np.isnan(intervals.correlation_p(0.5, 3))
    assert np.isnan(intervals.correlation_p(np.nan, 9))


def test_holms_p_steps_down_and_leaves_out_what_is_no_test():
    assert intervals.holm([0.04, 0.01, np.nan, 0.03]) == pytest.approx([0.06, 0.03, np.nan, 0.06], nan_ok=True)
    assert intervals.holm([0.01, 0.4], tests=10) == pytest.approx([0.1, 1]), "eight more were made, with larger p"
    assert intervals.holm([]).tolist() == []


def test_the_p_of_t_is_that_of_its_interval():
    low, high = intervals.mean_interval(VALUES)
    assert intervals.t_p(VALUES, low) == pytest.approx(0.05)
    assert intervals.t_p(VALUES, high) == pytest.approx(0.05)
    assert intervals.t_p(VALUES, 0) == pytest.approx(stats.ttest_1samp(VALUES, 0).pvalue)


@pytest.mark.parametrize("seeds", [1, 2, 5, 9])
def test_sign_flips_are_enumerated(seeds):
    values = RNG.normal(0.3, 1, seeds)
    sums = [abs(np.dot(signs, values)) for signs in itertools.product((1, -1), repeat=seeds)]
    expected = np.mean([total >= abs(values.sum()) - 1e-9 for total in sums])
    assert intervals.sign_flip_p(values) == pytest.approx(expected)
    assert intervals.sign_flip_p(np.abs(values)) == pytest.approx(2.0 ** (1 - seeds)), "its least value"
    assert intervals.sign_flip_p(-values) == intervals.sign_flip_p(values)


def test_sign_flips_of_many_seeds_are_drawn():
    values = RNG.normal(0.1, 1, 100)
    p = intervals.sign_flip_p(values)
    assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)
    assert intervals.sign_flip_p(np.ones(100)) >= 1 / intervals.DRAWS, "the values' own signs are among them"
