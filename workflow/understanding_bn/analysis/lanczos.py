"""Eigenvalues and spectral densities of symmetric matrices known by their products with vectors alone.

All vectors are float64; `product` maps (n,) to (n,).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal, eigvalsh_tridiagonal
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from torch import Tensor

Product = Callable[[Tensor], Tensor]

# A new direction this small beside the matrix is rounding: the Krylov space is used up.
BREAKDOWN = 1e-10
BASIS = 20  # vectors of ARPACK's basis at least; it takes as many products before it first looks
RESTARTS = 30
SCOUT = 8  # Lanczos steps that say about where both ends are


def tridiagonal(product: Product, start: Tensor, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Diagonal (m,) and off-diagonal (m − 1,) of the matrix in the Krylov basis of `start`, m ≤ steps.

    Lanczos (1950) with full reorthogonalisation, done twice, which keeps the basis orthogonal to rounding (Parlett
    1998, §6.9). Ends before `steps` where the basis spans an invariant subspace: nothing is left to find from there.
    The basis takes steps · n · 8 bytes.
    """
    steps = min(steps, len(start))
    basis = torch.empty(steps, len(start), dtype=torch.float64, device=start.device)
    diagonal, beside = [], []
    direction, scale = start / start.norm(), 0.0
    for step in range(steps):
        basis[step] = direction
        image = product(direction)
        diagonal.append(torch.dot(direction, image).item())
        known = basis[: step + 1]
        for _ in range(2):
            image = image - known.T @ (known @ image)
        length = image.norm().item()
        scale = max(scale, abs(diagonal[-1]), length)
        if step + 1 == steps or length <= BREAKDOWN * scale:
            break
        beside.append(length)
        direction = image / length
    return np.array(diagonal), np.array(beside)


@dataclass(frozen=True)
class Quadrature:
    """What a probe v saw of the spectrum, with as many nodes as Lanczos took steps.

    Attributes:
        nodes, weights: (m,) each; Σ w f(λ) estimates tr f(H) / n. Weights add up to 1.
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
        diagonal, beside = tridiagonal(product, probe, steps)
        nodes, vectors = eigh_tridiagonal(diagonal, beside)
        yield Quadrature(nodes, vectors[0] ** 2, size * diagonal[0])


def extremes(
    product: Product, size: int, count: int, tolerance: float, seed: int, device: str = "cpu"
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The `count` largest ("top", descending) and smallest ("bottom", ascending) eigenvalues with their residuals.

    ARPACK's implicitly restarted Lanczos (Lehoucq et al. 1998), once per end of the spectrum: asked for the largest
    magnitudes it would miss the weaker end. It is given H − σ with σ near the other end, from a few Lanczos steps:
    its tolerance is relative to a value, and an end at zero, as that of a positive matrix without full rank, would
    never be found otherwise. A residual is ‖Hv − λv‖ for a unit v, a bound on the distance to an eigenvalue; it is at
    most about tolerance · (width of the spectrum). Values that did not converge in time are NaN.

    Raises:
        ValueError: the matrix has no more than `count` rows; take a dense one.
    """
    if count >= size:
        raise ValueError(f"{count} eigenvalues of a matrix of {size} rows")

    start = np.random.default_rng(seed).standard_normal(size)
    ritz = eigvalsh_tridiagonal(*tridiagonal(product, torch.from_numpy(start).to(device), SCOUT))

    def multiply(vector: np.ndarray) -> np.ndarray:
        return product(torch.from_numpy(vector.reshape(-1).astype(np.float64)).to(device)).cpu().numpy()

    settings = {"ncv": min(size, max(BASIS, 3 * count)), "maxiter": RESTARTS, "tol": tolerance, "v0": start}
    found = {}
    for end, which, shift in (("top", "LA", ritz[0]), ("bottom", "SA", ritz[-1])):
        operator = LinearOperator(
            (size, size), matvec=lambda v, shift=shift: multiply(v) - shift * v.reshape(-1), dtype=np.float64
        )
        try:
            values, vectors = eigsh(operator, count, which=which, **settings)
        except ArpackNoConvergence as failure:
            values, vectors = failure.eigenvalues, failure.eigenvectors
        values = values + shift
        order = np.argsort(values)[:: -1 if end == "top" else 1]
        residuals = [np.linalg.norm(multiply(vectors[:, i]) - values[i] * vectors[:, i]) for i in order]
        missing = np.full(count - len(order), math.nan)
        found[end] = np.append(values[order], missing), np.append(residuals, missing)
    return found
