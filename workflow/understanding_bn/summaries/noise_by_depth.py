"""The noise of SGD at initialisation against depth, and where batch norm turns from raising to lowering it.

`noise_by_depth` has a row for each network, block and quantity.

A normalisation is compared with none seed by seed, at each depth by itself:

1. A seed's score is log10 of the ratio of the two values if both are positive for every seed. Otherwise it is their
   relative difference (x − y) / (|x| + |y|), between −1 and 1, which any sign allows. For positive values
   it is tanh of half the ratio's natural logarithm, so both scores have the same sign. The noise scale has none where
   noise drowns |g|²; its inverse, the signal, is then compared instead, the other way round.
2. The normalisation raises the quantity at that depth, or lowers it, if the 95 % interval of the mean score (Student's
   t) lies above or below zero. Else the depth is unclear; so it is where a network of any seed is not finite.
3. Depths that are unclear are left out. If all others have one sign, the normalisation raises or lowers the quantity.
   If the sign changes once, it turns between the two depths on either side of the change. If it changes more than once,
   there is no clear crossing.

A depth at which there is no difference is called raised or lowered by chance once in twenty times.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from understanding_bn import architecture
from understanding_bn.summaries.gradient_structure import WHOLE, by_network
from understanding_bn.summaries.intervals import mean_interval

# All are larger where there is more noise.
QUANTITIES = (
    "constant",
    "noise_scale",
    "relative_curvature",
    "mean_entry_variance",
    "mean_unit_variation",
    "layer_variation",
)
NETWORK = ["shortcut", "depth", "init", "norm", "batch_size", "seed", "arch", "bn_mode"]
COLUMNS = [*NETWORK, "finite", "loss", "gradient_norm2", "signal", "noise", "noise_curvature", *QUANTITIES]
KIND = ["norm", "shortcut", "init"]
COMPARED = ["seeds", "not_finite", "score", "mean", "low", "high", "sign"]
LOG_RATIO, DIFFERENCE = "log10_ratio", "relative_difference"
RAISES, LOWERS, UNCLEAR, NOT_ONCE = "raises", "lowers", "unclear", "no clear crossing"
TO_LOWERING, TO_RAISING = "turns to lowering", "turns to raising"


def networks(noise_by_depth: pd.DataFrame) -> pd.DataFrame:
    """One row per network, `COLUMNS`.

    constant is C, noise_scale = tr Σ / |g|² in images, NaN where noise drowns |g|², whose unbiased estimate is then not
    positive; signal is its inverse |g|² / C, which may be negative. relative_curvature = tr(HΣ) / L: α²/2 times that is
    the share of the loss that noise adds in one step. Others are those of `by_network`. finite: whether C, tr(HΣ) and L
    are.
    """
    table = with_kinds(by_network(noise_by_depth.assign(alpha=np.nan, epochs=0)))
    modes = noise_by_depth[noise_by_depth["block"] == WHOLE].groupby("norm")["bn_mode"].first()
    kinds = [architecture.parse(arch) for arch in table["arch"]]
    table = table.assign(
        shortcut=[shortcut for shortcut, _ in kinds],
        depth=[depth for _, depth in kinds],
        bn_mode=table["norm"].map(modes),
    )
    return table[COLUMNS].sort_values(NETWORK, ignore_index=True)


def with_kinds(table: pd.DataFrame) -> pd.DataFrame:
    """The table of `by_network` with finite, signal, noise_scale and relative_curvature: see `networks`.

    |g|² is signal_norm2 where that was measured, else gradient_norm2.
    """
    names = ["constant", "noise_curvature", "loss"]
    known = [name for name in names if name in table]  # tr(HΣ) may not have been measured
    measured = table.reindex(columns=table.columns.union(names, sort=False))
    squared = measured["gradient_norm2"]
    if "signal_norm2" in measured:
        squared = measured["signal_norm2"].fillna(squared)
    signal = squared / measured["constant"].where(measured["constant"] > 0)
    return measured.assign(
        finite=np.isfinite(measured[known]).all(axis=1),
        signal=signal,
        noise_scale=1 / signal.where(signal > 0),
        relative_curvature=measured["noise_curvature"] / measured["loss"].where(measured["loss"] > 0),
    )


def comparisons(table: pd.DataFrame) -> pd.DataFrame:
    """Each normalisation beside none: a row for each kind of network, quantity and depth.

    Args:
        table: of `networks`.

    Returns:
        `KIND`, quantity, depth, seeds (that both have), not_finite (of those), score (`LOG_RATIO` or `DIFFERENCE`),
        mean, low, high, and sign: 1 where the normalisation raises the quantity, −1 where it lowers it, else 0.
    """
    rows = []
    kinds = ["shortcut", "init", "depth"]
    for key, networks_ in table[table["norm"] != "none"].groupby(["norm", *kinds], sort=False):
        others = table[(table["norm"] == "none") & (table[kinds] == list(key[1:])).all(axis=1)]
        facts = dict(zip(["norm", *kinds], key, strict=True))
        rows += [facts | found for found in beside_none(networks_, others)]
    columns = [*KIND, "quantity", "depth", *COMPARED]
    return pd.DataFrame(rows, columns=columns).sort_values([*KIND, "depth"], kind="stable", ignore_index=True)


def beside_none(networks: pd.DataFrame, others: pd.DataFrame) -> list[dict[str, Any]]:
    """A normalisation beside none, paired by seed: for each of QUANTITIES its name and COMPARED; none without a pair.

    Args:
        networks: a row for each seed, with QUANTITIES, signal and finite.
        others: the same without normalisation.
    """
    pairs = networks.merge(others, on="seed", suffixes=("", "_none"))
    finite = pairs["finite"] & pairs["finite_none"]
    rows = []
    for quantity in QUANTITIES if len(pairs) else ():
        score, values = _scores(pairs, quantity)
        interval = mean_interval(values.where(finite).to_numpy())
        low, high = interval or (math.nan, math.nan)
        mean = values.mean() if interval else math.nan
        sign = 1 if low > 0 else -1 if high < 0 else 0
        facts = {"quantity": quantity, "seeds": len(pairs), "not_finite": int((~finite).sum()), "score": score}
        rows.append(facts | {"mean": mean, "low": low, "high": high, "sign": sign})
    return rows


def _scores(pairs: pd.DataFrame, quantity: str) -> tuple[str, pd.Series]:
    """Which score is taken, and that of each seed."""
    values, others = pairs[quantity], pairs[f"{quantity}_none"]
    if ((values > 0) & (others > 0)).all():
        return LOG_RATIO, np.log10(values) - np.log10(others)
    if quantity == "noise_scale":  # falls as the signal rises, which has a value where the scale has none
        values, others = -pairs["signal"], -pairs["signal_none"]
    size = values.abs() + others.abs()
    return DIFFERENCE, (values - others) / size.where(size > 0)


def crossings(compared: pd.DataFrame) -> pd.DataFrame:
    """Where the sign changes: a row for each kind of network and quantity.

    Args:
        compared: of `comparisons`.

    Returns:
        `KIND`, quantity, verdict, above and below (the depths between which it turns, else NaN), and the number of
        depths: raised, lowered, and all.
    """
    rows = []
    for key, depths in compared.groupby([*KIND, "quantity"], sort=False):
        verdict, above, below = crossing(depths["depth"].to_numpy(), depths["sign"].to_numpy())
        counts = {"raised": int((depths["sign"] > 0).sum()), "lowered": int((depths["sign"] < 0).sum())}
        facts = dict(zip([*KIND, "quantity"], key, strict=True))
        rows.append(facts | {"verdict": verdict, "above": above, "below": below} | counts | {"depths": len(depths)})
    columns = [*KIND, "quantity", "verdict", "above", "below", "raised", "lowered", "depths"]
    return pd.DataFrame(rows, columns=columns)


def crossing(depths: np.ndarray, signs: np.ndarray) -> tuple[str, float, float]:
    """(verdict, above, below) of the signs at ascending depths; both are NaN where it does not turn once."""
    clear = signs != 0
    depths, signs = depths[clear], signs[clear]
    if not len(signs):
        return UNCLEAR, math.nan, math.nan
    changes = np.flatnonzero(np.diff(signs))
    if not len(changes):
        return (RAISES if signs[0] > 0 else LOWERS), math.nan, math.nan
    if len(changes) > 1:
        return NOT_ONCE, math.nan, math.nan
    verdict = TO_LOWERING if signs[0] > 0 else TO_RAISING
    return verdict, float(depths[changes[0]]), float(depths[changes[0] + 1])
