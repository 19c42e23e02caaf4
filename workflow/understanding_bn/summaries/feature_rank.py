"""Effective ranks of features. `feature_rank` has a row for each network and singular value."""

import math

import numpy as np
import pandas as pd

from understanding_bn import architecture
from understanding_bn.summaries.intervals import geometric_interval

NETWORK = ["norm", "init", "arch", "bn_mode", "batch_size", "seed"]
COLUMNS = ["shortcut", "depth", *NETWORK, "features", "beyond_one", "log10_largest"]
KIND = ["shortcut", "norm", "init", "bn_mode", "batch_size"]


def rank_beyond_one(singular: np.ndarray) -> float:
    """The effective rank of a matrix, less one: exp(entropy of σ²/Σσ²) − 1, for its singular values σ.

    It is between 0, of rank one, and n − 1, where all n are the same. The entropy is Roy & Vetterli's (2007) with the
    shares of σ², the energies, in place of σ. Near 0 it is computed without cancellation. NaN where a value is not
    finite, or all are zero.
    """
    singular = np.sort(np.asarray(singular, dtype=float))[::-1]
    if not np.isfinite(singular).all() or not singular[0] > 0:
        return math.nan
    energies = (singular / singular[0]) ** 2
    shares = energies / energies.sum()
    others = shares[1:][shares[1:] > 0]
    entropy = -shares[0] * math.log1p(-others.sum()) - float((others * np.log(others)).sum())
    return math.expm1(entropy)


def ranks(feature_rank: pd.DataFrame) -> pd.DataFrame:
    """One row per network, `COLUMNS`: how many features it has, `rank_beyond_one`, and log10 of the largest value.

    The latter two are NaN where features are not finite, or all zero.
    """
    rows = []
    for key, matrix in feature_rank.groupby(NETWORK, sort=False):
        facts = dict(zip(NETWORK, key, strict=True))
        shortcut, depth = architecture.parse(facts["arch"])
        singular = matrix["singular_value"].to_numpy()
        largest = singular.max()
        facts |= {"shortcut": shortcut, "depth": depth, "features": len(matrix)}
        facts["beyond_one"] = rank_beyond_one(singular)
        facts["log10_largest"] = math.log10(largest) if np.isfinite(largest) and largest > 0 else math.nan
        rows.append(facts)
    return pd.DataFrame(rows, columns=COLUMNS)


def kept(table: pd.DataFrame, shallow: int, deep: int) -> pd.DataFrame:
    """By network kind and seed: kept, the effective rank less one at depth `deep` over that at depth `shallow`.

    Args:
        table: of `ranks`.

    Returns:
        KIND, seed and kept; NaN where one of the two has none. Kinds that were not measured at both depths have no row.
    """
    wide = table.pivot_table(index=[*KIND, "seed"], columns="depth", values="beyond_one", dropna=False, sort=False)
    measured = table.groupby(KIND)["depth"].agg(lambda depths: {shallow, deep} <= set(depths))
    if not {shallow, deep} <= set(wide.columns):
        return pd.DataFrame(columns=[*KIND, "seed", "kept"])
    ratio = (wide[deep] / wide[shallow].where(wide[shallow] > 0)).rename("kept").reset_index()
    seeds = table[[*KIND, "seed"]].drop_duplicates()
    both = measured[measured].reset_index()[KIND]
    return seeds.merge(both, on=KIND).merge(ratio, on=[*KIND, "seed"], how="left")


def means(seeds: pd.DataFrame) -> pd.DataFrame:
    """Geometric means of `kept` over seeds with 95 % intervals, a row for each kind of network.

    without_value counts seeds that have none and are left out.
    """
    rows = []
    for key, group in seeds.groupby(KIND, sort=False):
        known = group["kept"].dropna().to_numpy(dtype=float)
        low, high = geometric_interval(known) or (math.nan, math.nan)
        mean = float(np.exp(np.log(known).mean())) if len(known) and (known > 0).all() else math.nan
        row = dict(zip(KIND, key, strict=True)) | {"seeds": len(group), "without_value": len(group) - len(known)}
        rows.append(row | {"kept": mean, "kept_low": low, "kept_high": high})
    columns = [*KIND, "seeds", "without_value", "kept", "kept_low", "kept_high"]
    return pd.DataFrame(rows, columns=columns)
