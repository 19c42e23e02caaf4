"""Figs. 8–9 and Theorem 1: singular values of products of Gaussian matrices."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

ANGLES = 200_001  # quadrature points of the cumulative distribution; its error is below 1e-8
# How many of N singular values lie below the median of the smallest one, by Theorem 1. With one factor (2/π) · 0.545 =
# 0.347, for N times the smallest has the median 0.545 (Edelman 1988); with very many e^−γ/2 = 0.281, from the
# smallest Lyapunov exponent (log(2/N) + ψ(1/2))/2 (Newman 1986).
SMALLEST = 1 / 3


def singular_values(size: int, factors: int, seed: int) -> np.ndarray:
    """Singular values, (size,) float64, descending, of a product of `factors` Gaussian size × size matrices.

    Entries are independent with mean 0 and variance 1/size. The draw depends on (seed, factors, size) alone.
    """
    generator = np.random.default_rng((seed, factors, size))
    product = generator.normal(scale=size**-0.5, size=(size, size))
    for _ in range(factors - 1):
        product = product @ generator.normal(scale=size**-0.5, size=(size, size))
    return np.linalg.svd(product, compute_uv=False)


def chain(sizes: Sequence[int], passed: float, seed: int) -> np.ndarray:
    """Singular values, descending float64, of a product of Gaussian matrices with random masks between them.

    Factor k is sizes[k + 1] × sizes[k]; the product, sizes[-1] × sizes[0], has as many singular values as its smaller
    side. After each factor, the last included, an entry passes with probability `passed`, independently of others, and
    is zero otherwise: with 1/2, what ReLUs do to a vector whose signs are random (Pennington et al. 2017).

    Entries have mean 0, and a variance that keeps lengths as they are in the mean. The draw depends on (seed, sizes)
    alone: all of `passed` share their matrices. `sizes[0]` should be small, because a matrix of so many columns is
    carried along.
    """
    generator = np.random.default_rng((seed, *sizes))
    product = np.eye(sizes[0])
    for inputs, outputs in pairwise(sizes):
        product = generator.normal(scale=(passed * outputs) ** -0.5, size=(outputs, inputs)) @ product
        product *= (generator.random(outputs) < passed)[:, None]
    return np.linalg.svd(product, compute_uv=False)


def upper_edge(factors: int) -> float:
    """The largest singular value in the limit of large matrices: √((M+1)^(M+1) / M^M) for M factors."""
    return ((factors + 1) ** (factors + 1) / factors**factors) ** 0.5


def theorem1(factors: int, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Theorem 1 (Liu et al.): squared singular values x and their density ρ(x), by the angle φ ∈ (0, π/(M+1)).

    x = sin^{M+1}((M+1)φ) / (sin φ · sin^M(Mφ)),  ρ = sin((M+1)φ) sin φ / (π x sin(Mφ)). x falls as φ grows.
    """
    m = factors
    x = np.sin((m + 1) * angle) ** (m + 1) / (np.sin(angle) * np.sin(m * angle) ** m)
    return x, np.sin((m + 1) * angle) * np.sin(angle) / (np.pi * x * np.sin(m * angle))


def density_of_singular_values(factors: int, points: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Theorem 1 for singular values s = √x: (s, density), both (points,), s ascending; density 2 s ρ(s²)."""
    angle = np.linspace(0, np.pi / (factors + 1), points + 2)[1:-1]
    x, density = theorem1(factors, angle)
    return np.sqrt(x)[::-1], (2 * np.sqrt(x) * density)[::-1]


def _shares(factors: int) -> tuple[np.ndarray, np.ndarray]:
    """Angles φ, descending, and Theorem 1's share of squared singular values below x(φ), ascending from 0.

    By the midpoint rule in φ, where the integrand ρ·|dx/dφ| is smooth, also where ρ itself is infinite.
    """
    m = factors
    edges = np.linspace(0, np.pi / (m + 1), ANGLES)
    middle = (edges[1:] + edges[:-1]) / 2
    # ρ · x, and d log x / dφ from the definition of x, which itself may be too small for a float.
    density_in_log = np.sin((m + 1) * middle) * np.sin(middle) / (np.pi * np.sin(m * middle))
    slope = (m + 1) ** 2 / np.tan((m + 1) * middle) - 1 / np.tan(middle) - m**2 / np.tan(m * middle)
    below = np.cumsum((density_in_log * -slope)[::-1]) * (edges[1] - edges[0])
    return edges[::-1], np.concatenate([[0.0], below])


def cumulative(factors: int, x: np.ndarray) -> np.ndarray:
    """Theorem 1's share of squared singular values up to x, by interpolation."""
    angle, share = _shares(factors)
    grid = np.concatenate([[0.0], theorem1(factors, angle[1:-1])[0], [upper_edge(factors) ** 2]])
    return np.interp(x, grid, share, right=1.0)


def log10_quantile(factors: int, share: float) -> float:
    """log10 of the singular value that this share of them, strictly between 0 and 1, does not exceed, by Theorem 1.

    The logarithm, because with many factors the value itself is too small for a float.
    """
    m = factors
    angles, shares = _shares(m)
    angle = np.interp(share, shares, angles)
    log_x = (m + 1) * np.log(np.sin((m + 1) * angle)) - np.log(np.sin(angle)) - m * np.log(np.sin(m * angle))
    return float(log_x / (2 * np.log(10)))


def log10_condition(factors: int, size: int) -> tuple[float, float]:
    """log10 of σ₁/σ_N and of σ₁/σ_(N/2) for a product of N×N Gaussian matrices, N = `size`, by Theorem 1.

    σ₁ is the upper edge, σ_(N/2) the median, and the smallest of N values lies where Theorem 1 expects `SMALLEST` of
    them below. Theorem 1 is the limit of large N for a fixed number of factors.
    """
    largest = float(np.log10(upper_edge(factors)))
    return largest - log10_quantile(factors, SMALLEST / size), largest - log10_quantile(factors, 0.5)


def ks_statistic(singular: np.ndarray, factors: int) -> float:
    """Largest distance between the empirical distribution of squared singular values and Theorem 1's."""
    share = cumulative(factors, np.sort(singular) ** 2)
    n = len(share)
    return float(max((np.arange(1, n + 1) / n - share).max(), (share - np.arange(n) / n).max()))


def distance_to_neighbours(factors: int) -> float:
    """The Kolmogorov–Smirnov distance of Theorem 1's law for M factors from that for M − 1 or M + 1, the nearer one.

    With no factor the product is the identity, whose singular values are 1: its law is a step there.
    """
    x = np.concatenate([theorem1(m, np.linspace(0, np.pi / (m + 1), 20_002)[1:-1])[0] for m in (factors, factors + 1)])
    share = cumulative(factors, x)
    distances = [np.abs(share - cumulative(factors + 1, x)).max()]
    if factors > 1:
        distances.append(np.abs(share - cumulative(factors - 1, x)).max())
    else:
        at_one = float(cumulative(1, np.ones(1))[0])
        distances.append(max(at_one, 1 - at_one))
    return float(min(distances))
