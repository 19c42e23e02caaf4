"""Residual branches beside their streams. `branch_variance` has a row for each network and block."""

import math

import numpy as np
import pandas as pd

from understanding_bn import architecture
from understanding_bn.summaries.intervals import mean_interval
from understanding_bn.summaries.log_fits import line, logarithm

NETWORK = ["norm", "init", "arch", "bn_mode", "batch_size"]
COLUMNS = ["shortcut", "depth", *NETWORK, "seed", "stage", "block", "ratio", "square_ratio"]
# Without a ReLU after the addition, a stream is a sum of ℓ independent branches of variance 1, and the ratio is 1/ℓ.
# With one, it is reflected at zero as it walks: after many steps it is distributed as |N(0, ℓ)|, of mean square ℓ and
# variance (1 − 2/π)ℓ. The ratio of variances is then 2.75/ℓ, that of mean squares still 1/ℓ.
AFTER_RELU = 1 / (1 - 2 / math.pi)
# What is fitted on the block's number, all on logarithms.
SLOPES = ("slope", "slope_from_second", "square_slope")


def ratios(branch_variance: pd.DataFrame) -> pd.DataFrame:
    """One row per network and block, `COLUMNS`.

    ratio: the branch's variance over that of the stream which it is added to; square_ratio is of mean squares, which
    differ where the stream has a mean, as after a ReLU. Both are NaN where the stream has none, or one is not finite.
    """
    table = branch_variance
    shapes = [architecture.parse(arch) for arch in table["arch"]]
    table = table.assign(
        shortcut=[shortcut for shortcut, _ in shapes],
        depth=[depth for _, depth in shapes],
        ratio=_over(table["branch_variance"], table["stream_variance"]),
        square_ratio=_over(table["branch_square"], table["stream_square"]),
    )
    return table[COLUMNS]


def slopes(table: pd.DataFrame) -> pd.DataFrame:
    """Least-squares slopes of log ratio on log ℓ, with ℓ the block's number: a row for each network, stage and seed.

    Args:
        table: of `ratios`.

    Returns:
        shortcut, depth, NETWORK, stage, seed, blocks (how many the stage has), slope over all its blocks;
        slope_from_second leaves out the first, whose stream has passed no ReLU in stages 2 and 3; square_slope is of
        mean squares, over all blocks.
    """
    keys = ["shortcut", "depth", *NETWORK, "stage", "seed"]
    rows = []
    for key, stage in table.groupby(keys, sort=False):
        number = np.log(stage["block"].to_numpy())
        ratio, square = (logarithm(stage[name].to_numpy()) for name in ("ratio", "square_ratio"))
        later = number > 0
        fits = line(number, ratio), line(number[later], ratio[later]), line(number, square)
        rows.append((*key, len(stage), *(slope for slope, _ in fits)))
    return pd.DataFrame(rows, columns=[*keys, "blocks", *SLOPES])


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Means of `slopes` over seeds with 95 % intervals (Student's t), a row for each network and stage.

    seeds counts them, without_slope those that have none and are left out.
    """
    keys = ["shortcut", "depth", *NETWORK, "stage"]
    rows = []
    for key, seeds in table.groupby(keys, sort=False):
        row = dict(zip(keys, key, strict=True)) | {"blocks": seeds["blocks"].iloc[0], "seeds": len(seeds)}
        row["without_slope"] = int(seeds["slope"].isna().sum())
        for name in SLOPES:
            known = seeds[name].dropna().to_numpy()
            low, high = mean_interval(known) or (math.nan, math.nan)
            row |= {name: known.mean() if len(known) else math.nan, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def _over(part: pd.Series, whole: pd.Series) -> pd.Series:
    """The ratio where both are finite and the second is positive, else NaN."""
    part, whole = (side.where(np.isfinite(side)) for side in (part, whole))
    return part / whole.where(whole > 0)
