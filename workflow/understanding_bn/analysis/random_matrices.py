"""Figs. 8–9 and Theorem 1: singular values of products of Gaussian matrices."""

from pathlib import Path

import numpy as np
import pandas as pd

from understanding_bn import provenance, runs, tables
from understanding_bn.errors import UserError
from understanding_bn.progress import Progress

ANGLES = 200_001  # quadrature points of the cumulative distribution; its error is below 1e-8


def singular_values(size: int, factors: int, seed: int) -> np.ndarray:
    """Singular values, (size,) float64, descending, of a product of `factors` Gaussian size × size matrices.

    Entries are independent with mean 0 and variance 1/size. The draw depends on (seed, factors, size) alone.
    """
    generator = np.random.default_rng((seed, factors, size))
    product = generator.normal(scale=size**-0.5, size=(size, size))
    for _ in range(factors - 1):
        product = product @ generator.normal(scale=size**-0.5, size=(size, size))
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


def cumulative(factors: int, x: np.ndarray) -> np.ndarray:
    """Theorem 1's share of squared singular values up to x, by the midpoint rule in φ and interpolation.

    In φ the integrand ρ·|dx/dφ| is smooth, also where ρ itself is infinite.
    """
    m = factors
    edges = np.linspace(0, np.pi / (m + 1), ANGLES)
    middle = (edges[1:] + edges[:-1]) / 2
    value, density = theorem1(m, middle)
    # d log x / dφ, from the definition of x.
    slope = (m + 1) ** 2 / np.tan((m + 1) * middle) - 1 / np.tan(middle) - m**2 / np.tan(m * middle)
    below = np.cumsum((density * value * -slope)[::-1]) * (edges[1] - edges[0])  # from x = 0 upwards
    # `below[i]` is the share up to the edge after cell i; x at the edges, ascending.
    with np.errstate(invalid="ignore", divide="ignore"):
        at_edges = theorem1(m, edges[1:-1])[0][::-1]
    grid = np.concatenate([[0.0], at_edges, [upper_edge(m) ** 2]])
    return np.interp(x, grid, np.concatenate([[0.0], below]), right=1.0)


def ks_statistic(singular: np.ndarray, factors: int) -> float:
    """Largest distance between the empirical distribution of squared singular values and Theorem 1's."""
    share = cumulative(factors, np.sort(singular) ** 2)
    n = len(share)
    return float(max((np.arange(1, n + 1) / n - share).max(), (share - np.arange(n) / n).max()))


def run(size: int, factors: list[int], draws: int, out: Path, threads: int) -> None:
    """Draw the products and write values.parquet (factors, size, draw, rank, singular_value) and run.json."""
    stopwatch = provenance.Stopwatch()
    if size < 2:
        raise UserError(f"random_matrices.size: {size} is too small; expected at least 2")
    progress = Progress("products of Gaussian matrices", len(factors) * draws, "draws")
    parts = []
    for number in factors:
        for draw in range(draws):
            progress.show(len(parts))
            values = singular_values(size, number, draw)
            table = {"factors": number, "size": size, "draw": draw, "rank": np.arange(1, size + 1)}
            parts.append(pd.DataFrame(table | {"singular_value": values}))
    progress.show(len(parts))
    tables.write(out / "values.parquet", pd.concat(parts, ignore_index=True))
    settings = {"size": size, "factors": factors, "draws": draws}
    record = stopwatch.record("analysis.random_matrices", "cpu", threads) | {"dtype": "float64"}
    record |= {"stage": "random_matrices", "settings": settings, "data": None}
    runs.finish(out, "random_matrices", ["values.parquet"], record)
