"""Lanczos' iteration on matrices whose eigenvalues are known."""

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from understanding_bn.analysis import lanczos


def test_lanczos_of_a_diagonal_matrix_is_exact_after_n_steps():
    diagonal = torch.linspace(-1, 5, 12, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    (seen,) = lanczos.quadrature(lambda v: diagonal * v, 12, 1, 50, generator)
    assert seen.nodes == pytest.approx(diagonal.numpy(), abs=1e-12)
    assert seen.weights == pytest.approx(1 / 12, abs=1e-12)  # a Rademacher probe has equal parts in all
    assert seen.form == pytest.approx(diagonal.sum().item(), rel=1e-13)


def test_lanczos_stops_in_an_invariant_subspace():
    diagonal = torch.tensor([2.0] * 5 + [7.0] * 3, dtype=torch.float64)
    (seen,) = lanczos.quadrature(lambda v: diagonal * v, 8, 1, 8, torch.Generator().manual_seed(0))
    assert seen.nodes == pytest.approx([2, 7])
    assert seen.weights == pytest.approx([5 / 8, 3 / 8])
    (zero,) = lanczos.quadrature(torch.zeros_like, 8, 1, 8, torch.Generator().manual_seed(0))
    assert (zero.nodes.tolist(), zero.weights.tolist(), zero.form) == ([0], [1], 0)


def test_an_end_at_zero_is_found_as_well():
    diagonal = torch.cat([torch.zeros(60, dtype=torch.float64), torch.linspace(1, 3, 20, dtype=torch.float64)])
    ends = lanczos.extremes(lambda v: diagonal * v, 80, 2, 1e-8, seed=0)
    assert ends["top"][0] == pytest.approx([3, 3 - 2 / 19], abs=1e-7)
    assert ends["bottom"][0] == pytest.approx([0, 0], abs=1e-7)
    mirrored = lanczos.extremes(lambda v: -diagonal * v, 80, 2, 1e-8, seed=0)
    assert mirrored["top"][0] == pytest.approx([0, 0], abs=1e-7)


def test_ends_agree_with_arpack_and_keep_to_their_tolerance():
    """A spectrum like a network's: a bulk at zero, a few large values, and a weak negative end."""
    generator = np.random.default_rng(0)
    values = np.concatenate([generator.normal(0, 0.05, 3000), generator.exponential(1, 40), [8, 12, 30], [-0.6]])
    diagonal = torch.from_numpy(values)
    mirror = torch.from_numpy(generator.standard_normal(len(values)))
    mirror /= mirror.norm()

    def reflected(v):
        return v - 2 * mirror * (mirror @ v)

    def product(v):  # its eigenvectors are no unit vectors
        return reflected(diagonal * reflected(v))

    operator = LinearOperator((len(values),) * 2, matvec=lambda v: product(torch.from_numpy(v)).numpy(), dtype=float)
    ends = lanczos.extremes(product, len(values), 3, 1e-4, seed=0)
    width = values.max() - values.min()
    for end, which in (("top", "LA"), ("bottom", "SA")):
        expected = np.sort(eigsh(operator, 3, which=which, return_eigenvectors=False, tol=1e-12))
        found, residuals = ends[end]
        assert residuals.max() <= 1.01e-4 * width
        assert found == pytest.approx(expected[::-1] if end == "top" else expected, abs=1e-4 * width)


def test_ends_that_were_not_found_in_time_are_missing(monkeypatch):
    monkeypatch.setattr(lanczos, "MOST", 6)
    diagonal = torch.linspace(0, 1, 5000, dtype=torch.float64)
    ends = lanczos.extremes(lambda v: diagonal * v, 5000, 2, 1e-8, seed=0)
    assert all(np.isnan(each).all() for end in ends.values() for each in end)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_product_that_is_not_finite_makes_all_unknown(bad):
    diagonal = torch.arange(1.0, 51, dtype=torch.float64)
    products = iter(range(1000))

    def product(vector):
        return diagonal * vector * (bad if next(products) >= 3 else 1)

    ends = lanczos.extremes(product, 50, 2, 1e-6, 0)
    assert all(np.isnan(each).all() for end in ends.values() for each in end)
    (seen,) = lanczos.quadrature(lambda vector: vector * bad, 50, 1, 9, torch.Generator().manual_seed(0))
    assert np.isnan(seen.nodes).all()
    assert np.isnan(seen.weights).all()
    products = iter([3])
    value, vector = lanczos.largest(product, torch.ones(50, dtype=torch.float64), 1e-6)
    assert np.isnan(value)
    assert torch.equal(vector, torch.ones(50, dtype=torch.float64))
