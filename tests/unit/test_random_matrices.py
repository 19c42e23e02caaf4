"""Theorem 1 and the products of Gaussian matrices, against closed forms."""

import numpy as np
import pytest

from understanding_bn.analysis import random_matrices as rm


@pytest.mark.parametrize("factors", [1, 2, 3, 5, 8])
def test_density_integrates_to_one_with_mean_one(factors):
    # In φ, by Gauss–Legendre, with d log x / dφ by central differences: independent of `cumulative`.
    nodes, weights = np.polynomial.legendre.leggauss(400)
    top = np.pi / (factors + 1)
    angle = (nodes + 1) / 2 * top
    h = 1e-4 * np.minimum(angle, top - angle)
    x, density = rm.theorem1(factors, angle)
    slope = (np.log(rm.theorem1(factors, angle - h)[0]) - np.log(rm.theorem1(factors, angle + h)[0])) / (2 * h)
    measure = weights * top / 2 * density * x * slope
    assert measure.sum() == pytest.approx(1, abs=1e-6)
    assert (measure * x).sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("factors", [1, 2, 3, 5])
def test_moments_are_fuss_catalan_numbers(factors):
    # The k-th moment of the squared singular values is C((M+1)k, k) / (Mk + 1).
    x = np.linspace(0, rm.upper_edge(factors) ** 2, 200_001)
    share = rm.cumulative(factors, x)
    second = np.trapezoid(2 * x * (1 - share), x)
    third = np.trapezoid(3 * x**2 * (1 - share), x)
    m = factors
    assert second == pytest.approx(m + 1, rel=1e-5)
    assert third == pytest.approx((m + 1) * (3 * m + 2) / 2, rel=1e-5)


def test_one_factor_is_the_quarter_circle():
    s = np.linspace(0, 2, 101)
    closed = (s * np.sqrt(4 - s**2) / 2 + 2 * np.arcsin(s / 2)) / np.pi
    assert rm.cumulative(1, s**2) == pytest.approx(closed, abs=1e-8)
    points, density = rm.density_of_singular_values(1)
    assert density == pytest.approx(np.sqrt(4 - points**2) / np.pi, rel=1e-9)


@pytest.mark.parametrize(("factors", "edge"), [(1, 2.0), (3, 3.0792), (5, 3.8639)])
def test_upper_edges(factors, edge):
    assert rm.upper_edge(factors) == pytest.approx(edge, abs=1e-4)


@pytest.mark.parametrize(("factors", "first_bin"), [(1, 262), (3, 2151), (5, 3833)])
def test_first_bin_counts(factors, first_bin):
    # Known counts in the first of 50 bins, of 10,000 singular values; the theory's share must be within 3 %.
    edge = rm.upper_edge(factors) / 50
    assert 10_000 * rm.cumulative(factors, np.array([edge**2]))[0] == pytest.approx(first_bin, rel=0.03)


def test_draws_follow_theorem_1_and_another_theorem_is_rejected():
    values = rm.singular_values(size=300, factors=2, seed=0)
    critical = 1.358 / np.sqrt(300)
    assert rm.ks_statistic(values, 2) < critical / 2
    assert rm.ks_statistic(values, 1) > critical
    assert rm.ks_statistic(values, 3) > critical


def test_a_draw_depends_on_its_own_key_alone():
    first = rm.singular_values(50, 2, 0)
    rm.singular_values(50, 2, 1)
    assert np.array_equal(first, rm.singular_values(50, 2, 0))
    assert not np.array_equal(first, rm.singular_values(50, 2, 1))


def test_variance_of_entries_is_one_over_n():
    # tr(A Aᵀ)/N has mean 1 for every number of factors.
    for factors in (1, 3):
        values = np.concatenate([rm.singular_values(100, factors, seed) for seed in range(10)])
        assert (values**2).mean() == pytest.approx(1, abs=0.05)
