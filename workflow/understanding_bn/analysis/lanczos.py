"""Eigenvalues and spectral densities of symmetric matrices known by their products with vectors alone.

All vectors are float64; `product` maps (n,) to (n,).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from understanding_bn.analysis.finite import if_finite

Product = Callable[[Tensor], Tensor]

# A new direction this small compared with the matrix is rounding: the Krylov space is used up.
BREAKDOWN = 1e-10
LEAST = 20  # steps before both ends may count as converged: a vector may hold little of an end
MOST = 200  # steps for both ends
WARM = 10  # steps before the top may count as converged, from a start that is near it


@dataclass
class Krylov:
    """A symmetric matrix in the Krylov basis of a vector after some steps.

    Attributes:
        basis: (m, n) float64, orthonormal rows.
        diagonal: (m,) of the tridiagonal matrix.
        off_diagonal: (m − 1,) of the same.
        length: what is left of the last product outside the basis; 0 if the basis spans an invariant subspace.
    """

    basis: Tensor
    diagonal: np.ndarray
    off_diagonal: np.ndarray
    length: float

    def eigen(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues of the tridiagonal matrix, ascending, and eigenvectors as columns; NaN if it is not finite."""
        m = len(self.diagonal)
        unknown = np.full(m, math.nan), np.full((m, m), math.nan)
        return if_finite(eigh_tridiagonal, self.diagonal, self.off_diagonal, otherwise=unknown)


def steps_of(product: Product, start: Tensor, most: int) -> Iterator[Krylov]:
    """The Krylov basis of `start` after each step, up to `most` of them.

    Lanczos (1950) with full reorthogonalisation, done twice, which keeps the basis orthogonal to rounding (Parlett
    1998, §6.9). Ends earlier where the basis spans an invariant subspace, for nothing is left to find from there, and
    after a product that is not finite. The basis takes steps · n · 8 bytes.
    """
    most = min(most, len(start))
    basis = torch.empty(most, len(start), dtype=torch.float64, device=start.device)
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    direction, scale = start / start.norm(), 0.0
    for step in range(most):
        basis[step] = direction
        image = product(direction)
        diagonal.append(torch.dot(direction, image).item())
        known = basis[: step + 1]
        for _ in range(2):
            image = image - known.T @ (known @ image)
        length = image.norm().item()
        scale = max(scale, abs(diagonal[-1]), length)
        whole = step + 1 == len(start) or length <= BREAKDOWN * scale
        yield Krylov(known, np.array(diagonal), np.array(off_diagonal), 0.0 if whole else length)
        if whole or not math.isfinite(length):
            return
        off_diagonal.append(length)
        direction = image / length


@dataclass(frozen=True)
class Quadrature:
    """What a probe v saw of the spectrum, with as many nodes as Lanczos took steps.

    Attributes:
        nodes, weights: (m,) each; Σ w f(λ) estimates tr f(H) / n. Weights add up to 1. NaN if a product is not finite.
        form: v·Hv, an unbiased estimate of tr H.
    """

    nodes: np.ndarray
    weights: np.ndarray
    form: float


def quadrature(
    product: Product, size: int, probes: int, steps: int, generator: torch.Generator, device: str = "cpu"
) -> Iterator[Quadrature]:
    """Stochastic Lanczos quadrature (Golub & Welsch 1969; Ubaru, Chen & Saad 2017), one result per probe.

    Probes are Rademacher vectors, whose v·Hv has the smallest variance among independent entries (Hutchinson 1990).
    They are drawn on the generator's device, so that a CPU generator gives the same probes everywhere. The trace
    costs no products of its own: v·Hv = n · (Lanczos' first diagonal entry).
    """
    for _ in range(probes):
        signs = torch.randint(0, 2, (size,), generator=generator, device=generator.device)
        probe = (2 * signs - 1).to(device=device, dtype=torch.float64)
        *_, krylov = steps_of(product, probe, steps)
        nodes, vectors = krylov.eigen()
        yield Quadrature(nodes, vectors[0] ** 2, size * krylov.diagonal[0])


def extremes(
    product: Product, size: int, count: int, tolerance: float, seed: int, device: str = "cpu"
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The `count` largest ("top", descending) and smallest ("bottom", ascending) eigenvalues with their residuals.

    Both ends come from one Krylov basis that grows, without restarts, until the residuals of all are at most
    tolerance · (width of the spectrum): half the products that ARPACK's implicitly restarted Lanczos takes, which must
    be run once for each end and starts anew. A residual is ‖Hv − λv‖ for a unit v, a bound on the distance to an
    eigenvalue, measured with a product of its own. Values that did not converge in `MOST` steps are NaN, and so are all
    where a product is not finite. Of an eigenvalue that occurs several times the basis holds one vector, so it may be
    found once.

    Raises:
        ValueError: the matrix has no more than `count` rows; take a dense one.
    """
    if count >= size:
        raise ValueError(f"{count} eigenvalues of a matrix of {size} rows")
    start = torch.from_numpy(np.random.default_rng(seed).standard_normal(size)).to(device)
    for krylov in steps_of(product, start, MOST):
        values, vectors = krylov.eigen()
        bounds = krylov.length * np.abs(vectors[-1])  # residuals, exact but for rounding (Parlett 1998, §13.2)
        converged = bounds <= tolerance * (values[-1] - values[0])
        if len(values) >= max(LEAST, 2 * count) and converged[:count].all() and converged[-count:].all():
            break
    found = {}
    for end, order in (("top", np.arange(len(values))[::-1]), ("bottom", np.arange(len(values)))):
        ends = np.full((2, count), math.nan)
        for place, number in enumerate(order[:count]):
            if converged[number]:
                vector = krylov.basis.T @ torch.from_numpy(vectors[:, number]).to(device)
                ends[:, place] = values[number], (product(vector) - values[number] * vector).norm().item()
        found[end] = ends[0], ends[1]
    return found


def largest(product: Product, start: Tensor, tolerance: float, least: int = LEAST) -> tuple[float, Tensor]:
    """The largest eigenvalue, and its unit vector, (n,) float64, from the Krylov basis of `start`.

    The basis grows from at least `least` steps until the residual ‖Hv − λv‖ is at most tolerance · |λ|, or it spans an
    invariant subspace. `start` must hold a part of the vector that is looked for, as one with a random part does.

    Returns:
        (NaN, start) where the eigenvalue did not converge in `MOST` steps, or a product is not finite.
    """
    for krylov in steps_of(product, start, MOST):
        values, vectors = krylov.eigen()
        converged = krylov.length * abs(vectors[-1, -1]) <= tolerance * abs(values[-1])
        if krylov.length == 0 or (len(values) >= least and converged):
            return float(values[-1]), krylov.basis.T @ torch.from_numpy(vectors[:, -1]).to(start.device)
    return math.nan, start
