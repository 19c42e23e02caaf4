"""Condition numbers of input–output Jacobians. `jacobian_conditioning`: a row for each network and singular value."""

import functools
import math

import numpy as np
import pandas as pd

from understanding_bn import architecture
from understanding_bn.analysis import random_matrices
from understanding_bn.measurements.jacobian_conditioning import NETWORK, PASSED
from understanding_bn.summaries.intervals import Interval, difference_interval, mean_interval

KIND = ["shortcut", "norm", "bn_mode", "batch_size", "init"]  # of network
MATRIX = ["kind", "arch", "norm", "bn_mode", "batch_size", "init", "seed", "image"]
QUANTITIES = ("log10_condition", "log10_median_ratio")
COLUMNS = [
    *("kind", "arch", "shortcut", "depth", "norm", "bn_mode", "init", "batch_size", "seed", "image"),
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
# Slopes agree where all of their difference's interval is within this share of the comparator's slope. It was fixed
# before they were compared, and is small beside what masks do, which double that slope.
MARGIN = 0.25
AGREES, ABOVE, BELOW, OPEN, NOT_MEASURED = "agrees", "above", "below", "open", "not measured"


def conditions(jacobian_conditioning: pd.DataFrame) -> pd.DataFrame:
    """One row per matrix: `COLUMNS`, from the singular values σ₁ ≥ … ≥ σ_size of a matrix of m × n entries.

    kind is "network" for a Jacobian, or that of a product of Gaussian matrices (see the measurement).

    rank counts σ > σ₁ · max(m, n) · 2^−52, as NumPy's matrix_rank does. Where it is less than size, resolved is False,
    for the condition number σ₁/σ_size is infinite to working precision, and log10_condition NaN; log10_passed_ratio
    is of σ₁/σ_rank, of the directions that pass. log10_median_ratio is of σ₁ over the median, NaN where that is zero
    to working precision. All are NaN for a matrix of zeros, and for one that is not finite, whose rank is 0.
    """
    if "kind" not in jacobian_conditioning:  # a record from before there were any products beside the networks
        jacobian_conditioning = jacobian_conditioning.assign(kind=NETWORK)
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
            | {"shortcut": shortcut, "depth": depth}
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

    One row per shortcut, norm, bn_mode, batch_size and init. Fitted are depths at which every seed and image is
    resolved, for an infinite condition number has no place in a mean; NaN if these are fewer than two. `*_theory` is
    Theorem 1's slope over the same depths, or over all where there is none. `unresolved` counts matrices of infinite
    condition, `not_finite` those that are not finite. All other columns compare slopes over the depths that both sides
    have:

        *_gaussian, *_gaussian_masked: the slopes of products of Gaussian matrices of a plain network's sizes.
        *_over_masked: the network's slope minus the latter, by Welch's t, because their draws are independent;
            *_verdict puts that in a word (`verdict`).
        *_over_none: its slope minus that of the same network without normalisation, paired by seed.
    """
    networks = table[table["kind"] == NETWORK]
    rows = []
    for key, group in networks.groupby(KIND, sort=False):
        row = dict(zip(KIND, key, strict=True))
        row |= {"size": group["size"].iloc[0], "seeds": group["seed"].nunique(), "matrices": len(group)}
        row |= {
            "unresolved": int((group["finite"] & ~group["resolved"]).sum()),
            "lowest_rank": group.loc[group["finite"], "rank"].min(),
            "not_finite": int((~group["finite"]).sum()),
        }
        same = (networks["shortcut"] == row["shortcut"]) & (networks["init"] == row["init"])
        bare = networks[same & (networks["norm"] == "none")] if row["norm"] != "none" else networks.iloc[:0]
        chains = {kind: table[(table["kind"] == kind) & (table["shortcut"] == row["shortcut"])] for kind in PASSED}
        for which, quantity in enumerate(QUANTITIES):
            fitted = _resolved(group, quantity)
            depths = sorted((fitted if fitted["depth"].nunique() > 1 else group)["depth"].unique().tolist())
            expected = [theory(depth, int(row["size"]))[which] for depth in depths]
            name = quantity.removeprefix("log10_")
            slope, (low, high) = _mean(_by_seed(fitted, quantity))
            row |= {f"{name}_slope": slope, f"{name}_low": low, f"{name}_high": high}
            row[f"{name}_theory"] = float(np.polyfit(depths, expected, 1)[0]) if len(depths) > 1 else math.nan
            row |= _compared(name, quantity, fitted, bare, chains)
        rows.append(row)
    return pd.DataFrame(rows)


def _compared(
    name: str, quantity: str, fitted: pd.DataFrame, bare: pd.DataFrame, chains: dict[str, pd.DataFrame]
) -> dict[str, float | str]:
    """The columns of `slopes` that compare a network with others: products of matrices, and itself without a norm."""
    row: dict[str, float | str] = {}
    for kind, chain in chains.items():
        own, other = _both(fitted, chain, quantity)
        slope, of_slope = _mean(other)
        row |= _named(f"{name}_{kind}", slope, of_slope)
        if kind == "gaussian_masked":
            interval = difference_interval(own.to_numpy(), other.to_numpy()) or NO_INTERVAL
            difference = float(own.mean() - other.mean())
            row |= _named(f"{name}_over_masked", difference, interval)
            row[f"{name}_verdict"] = verdict(difference, interval, slope)
    own, other = _both(fitted, bare, quantity)
    return row | _named(f"{name}_over_none", *_mean((own - other).dropna()))


NO_INTERVAL = (math.nan, math.nan)


def verdict(difference: float, interval: Interval, comparator: float) -> str:
    """Whether a slope agrees with its comparator's, by the interval of their difference.

    `agrees` where all of it is within `MARGIN` of the comparator's slope; else `above` or `below` where all of it is on
    one side of zero; else `open`, as without an interval; `not measured` without a difference.
    """
    low, high = interval
    if math.isnan(difference):
        return NOT_MEASURED
    if max(abs(low), abs(high)) <= MARGIN * abs(comparator):
        return AGREES
    return ABOVE if low > 0 else BELOW if high < 0 else OPEN


@functools.cache
def theory(depth: int, size: int) -> tuple[float, float]:
    """log10 of σ₁/σ_N and of σ₁/σ_(N/2) by Theorem 1, for as many N × N factors as the network has convolutions.

    These are depth − 1: the linear layer comes after the features. N is the smaller side of the Jacobian.
    """
    return random_matrices.log10_condition(depth - 1, size)


def _resolved(group: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """The rows of depths at which all have this quantity."""
    known = group.groupby("depth")[quantity]
    return group[known.transform("count") == known.transform("size")]


def _both(fitted: pd.DataFrame, other: pd.DataFrame, quantity: str) -> tuple[pd.Series, pd.Series]:
    """The slopes of two kinds by seed, over the depths that both have."""
    others = _resolved(other, quantity)
    depths = set(fitted["depth"]) & set(others["depth"])
    one, two = (_by_seed(rows[rows["depth"].isin(depths)], quantity) for rows in (fitted, others))
    return one, two


def _by_seed(group: pd.DataFrame, quantity: str) -> pd.Series:
    """Least-squares slope of a quantity on depth for each seed; none where there are fewer than two depths."""
    seeds = group.groupby("seed") if group["depth"].nunique() > 1 else []
    return pd.Series({seed: np.polyfit(rows["depth"], rows[quantity], 1)[0] for seed, rows in seeds}, dtype=float)


def _mean(values: pd.Series) -> tuple[float, Interval]:
    """The mean over seeds and its interval, with Student's t; NaN where there is none."""
    return float(values.mean()), mean_interval(values.to_numpy()) or NO_INTERVAL


def _named(name: str, value: float, interval: Interval) -> dict[str, float | str]:
    return {name: value, f"{name}_low": interval[0], f"{name}_high": interval[1]}


def _log10_ratio(large: float, small: float) -> float:
    """log10(large / small), without the quotient, which may be too large for a float."""
    return math.log10(large) - math.log10(small)
