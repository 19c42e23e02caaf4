"""Condition numbers of input–output Jacobians. `jacobian_conditioning`: a row for each network and singular value."""

import functools
import math

import numpy as np
import pandas as pd

from understanding_bn import architecture
from understanding_bn.analysis import random_matrices
from understanding_bn.summaries.intervals import mean_interval

NETWORK = ["shortcut", "norm", "bn_mode", "init"]
MATRIX = ["arch", "norm", "bn_mode", "init", "seed", "image"]
QUANTITIES = ("log10_condition", "log10_median_ratio")
COLUMNS = [
    *("arch", "shortcut", "depth", "norm", "bn_mode", "init", "batch_size", "seed", "image"),
    *(
        "size",
        "rank",
        "resolved",
        "finite",
        "log10_condition",
        "log10_median_ratio",
        "log10_passed_ratio",
        "log10_largest",
    ),
]


def conditions(jacobian_conditioning: pd.DataFrame) -> pd.DataFrame:
    """One row per Jacobian: `COLUMNS`, from the singular values σ₁ ≥ … ≥ σ_size of a matrix of m × n entries.

    rank counts σ > σ₁ · max(m, n) · 2^−52, as NumPy's matrix_rank does. Where it is less than size, resolved is False,
    for the condition number σ₁/σ_size is infinite to working precision, and log10_condition NaN; log10_passed_ratio
    is of σ₁/σ_rank, of the directions that pass. log10_median_ratio is of σ₁ over the median, NaN where that is zero
    to working precision. All are NaN for a matrix of zeros, and for one that is not finite, whose rank is 0.
    """
    rows = []
    for key, jacobian in jacobian_conditioning.groupby(MATRIX, sort=False):
        singular = np.sort(jacobian["singular_value"].to_numpy())[::-1]
        finite = bool(np.isfinite(singular).all())
        facts = jacobian.iloc[0]
        shortcut, depth = architecture.parse(facts["arch"])
        tolerance = singular[0] * max(facts["outputs"], facts["inputs"]) * np.finfo(np.float64).eps
        rank = int((singular > tolerance).sum()) if finite else 0
        size, median = len(singular), float(np.median(singular))
        rows.append(
            dict(zip(MATRIX, key, strict=True))
            | {"shortcut": shortcut, "depth": depth, "batch_size": facts["batch_size"]}
            | {"size": size, "rank": rank, "resolved": rank == size, "finite": finite}
            | {
                "log10_condition": _log10_ratio(singular[0], singular[-1]) if rank == size else math.nan,
                "log10_median_ratio": _log10_ratio(singular[0], median) if median > tolerance else math.nan,
                "log10_passed_ratio": _log10_ratio(singular[0], singular[rank - 1]) if rank else math.nan,
                "log10_largest": math.log10(singular[0]) if rank else math.nan,
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def slopes(table: pd.DataFrame) -> pd.DataFrame:
    """Least-squares slopes of both ratios' log10 on depth (decades per layer), with 95 % intervals over seeds.

    One row per shortcut, norm, bn_mode and init. Fitted are depths at which every seed and image is resolved, for an
    infinite condition number has no place in a mean; NaN if these are fewer than two. `*_theory` is Theorem 1's slope
    over the same depths, or over all where there is none. `unresolved` counts matrices of infinite condition,
    `not_finite` those that are not finite.
    """
    rows = []
    for key, group in table.groupby(NETWORK, sort=False):
        row = dict(zip(NETWORK, key, strict=True))
        row |= {"size": group["size"].iloc[0], "seeds": group["seed"].nunique(), "matrices": len(group)}
        row |= {
            "unresolved": int((group["finite"] & ~group["resolved"]).sum()),
            "lowest_rank": group.loc[group["finite"], "rank"].min(),
            "not_finite": int((~group["finite"]).sum()),
        }
        for which, quantity in enumerate(QUANTITIES):
            whole = group.groupby("depth")[quantity].transform(lambda column: column.notna().all())
            fitted = group[whole]
            depths = sorted((fitted if fitted["depth"].nunique() > 1 else group)["depth"].unique().tolist())
            expected = [theory(depth, int(row["size"]))[which] for depth in depths]
            name = quantity.removeprefix("log10_")
            row |= dict(zip((f"{name}_slope", f"{name}_low", f"{name}_high"), _fit(fitted, quantity), strict=True))
            row[f"{name}_theory"] = float(np.polyfit(depths, expected, 1)[0]) if len(depths) > 1 else math.nan
        rows.append(row)
    return pd.DataFrame(rows)


@functools.cache
def theory(depth: int, size: int) -> tuple[float, float]:
    """log10 of σ₁/σ_N and of σ₁/σ_(N/2) by Theorem 1, for as many N × N factors as the network has convolutions.

    These are depth − 1: the linear layer comes after the features. N is the smaller side of the Jacobian.
    """
    return random_matrices.log10_condition(depth - 1, size)


def _fit(group: pd.DataFrame, quantity: str) -> tuple[float, float, float]:
    """(slope, low, high) of a quantity on depth: the mean of the seeds' own least-squares slopes, with Student's t."""
    if group["depth"].nunique() < 2:
        return math.nan, math.nan, math.nan
    slopes = np.array([np.polyfit(seed["depth"], seed[quantity], 1)[0] for _, seed in group.groupby("seed")])
    low, high = mean_interval(slopes) or (math.nan, math.nan)
    return float(slopes.mean()), low, high


def _log10_ratio(large: float, small: float) -> float:
    """log10(large / small), without the quotient, which may be too large for a float."""
    return math.log10(large) - math.log10(small)
