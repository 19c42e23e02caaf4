"""Correlations of input gradients against depth.

`gradient_correlation` has a row for each network, BN mode and step.
"""

import math

import numpy as np
import pandas as pd

from understanding_bn import architecture
from understanding_bn.summaries.intervals import mean_interval
from understanding_bn.summaries.log_fits import line, logarithm

KIND = ["shortcut", "norm", "init", "bn_mode", "step", "batch_size"]
COLUMNS = ["arch", "depth", *KIND, "seed", "correlation", "standard_error", "resolved"]
RESOLVED = 2.0  # standard errors: a correlation that is not above so many may be zero, and its logarithm anything
# Of the logarithm of the correlation on depth, and on the logarithm of depth.
FITS = ("rate", "exponential_r2", "exponent", "power_r2")


def by_depth(gradient_correlation: pd.DataFrame) -> pd.DataFrame:
    """The table with shortcut, depth and resolved, from shallow to deep.

    A correlation is resolved if it is above `RESOLVED` of its standard errors, and so are those of all shallower
    networks of its kind and seed: behind one that may be zero, one that is not is so by chance.
    """
    shapes = [architecture.parse(arch) for arch in gradient_correlation["arch"]]
    shortcuts, depths = ([shape[place] for shape in shapes] for place in (0, 1))
    table = gradient_correlation.assign(shortcut=shortcuts, depth=depths).sort_values("depth", kind="stable")
    table["resolved"] = table["correlation"] > RESOLVED * table["standard_error"]
    table["resolved"] = table.groupby([*KIND, "seed"])["resolved"].cummin().astype(bool)
    return table[COLUMNS].reset_index(drop=True)


def fits(table: pd.DataFrame) -> pd.DataFrame:
    """Least-squares lines of log correlation, for each kind of network and seed, over the depths that are resolved.

    Args:
        table: of `by_depth`, of the depths that are to be fitted.

    Returns:
        KIND, seed, depths (how many there are), fitted (how many are resolved), deepest (of these), then rate and
        exponential_r2 of the line on depth (nats per layer), exponent and power_r2 of that on log depth. They are NaN
        where fewer than three depths are resolved, and where a correlation is not finite.
    """
    rows = []
    for key, networks in table.groupby([*KIND, "seed"], sort=False):
        used = networks[networks["resolved"] | ~np.isfinite(networks["correlation"])]
        depth, log = used["depth"].to_numpy(dtype=float), logarithm(used["correlation"].to_numpy())
        facts = len(networks), int(networks["resolved"].sum()), depth.max() if len(depth) else math.nan
        rows.append((*key, *facts, *line(depth, log), *line(np.log(depth), log)))
    return pd.DataFrame(rows, columns=[*KIND, "seed", "depths", "fitted", "deepest", *FITS])


def means(seeds: pd.DataFrame) -> pd.DataFrame:
    """Means of `fits` over seeds with 95 % intervals (Student's t), a row for each kind of network.

    without_fit counts seeds that have none and are left out.
    """
    rows = []
    for key, group in seeds.groupby(KIND, sort=False):
        row = dict(zip(KIND, key, strict=True)) | {"depths": group["depths"].iloc[0], "seeds": len(group)}
        row |= {"fewest_fitted": group["fitted"].min(), "most_fitted": group["fitted"].max()}
        row["without_fit"] = int(group["rate"].isna().sum())
        for name in FITS:
            known = group[name].dropna().to_numpy()
            low, high = mean_interval(known) or (math.nan, math.nan)
            row |= {name: known.mean() if len(known) else math.nan, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    names = [column for name in FITS for column in (name, f"{name}_low", f"{name}_high")]
    return pd.DataFrame(rows, columns=[*KIND, "depths", "seeds", "fewest_fitted", "most_fitted", "without_fit", *names])
