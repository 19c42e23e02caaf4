"""Kernel gradients and the means of the channels that they read."""

import numpy as np
import pandas as pd


def by_layer(input_mean_correlation: pd.DataFrame) -> pd.DataFrame:
    """norm, seed, layer, spearman, channels: rank correlation over a layer's input channels (ties share ranks).

    `input_mean_correlation` has a row for each norm, seed, layer and input channel. NaN where all channels have the
    same mean or the same gradient, and where a value is not finite.
    """
    keys = ["norm", "seed", "layer"]
    by_key = [input_mean_correlation[key] for key in keys]
    values = input_mean_correlation[["input_mean", "gradient"]].astype(float)
    finite = np.isfinite(values).all(axis=1).groupby(by_key).transform("all")
    ranks = values.where(finite).groupby(by_key).rank()
    centred = ranks - ranks.groupby(by_key).transform("mean")
    products = pd.DataFrame(
        {
            "xy": centred["input_mean"] * centred["gradient"],
            "xx": centred["input_mean"] ** 2,
            "yy": centred["gradient"] ** 2,
        }
    )
    sums = products.groupby(by_key).agg(xy=("xy", "sum"), xx=("xx", "sum"), yy=("yy", "sum"), channels=("xy", "size"))
    variance = (sums["xx"] * sums["yy"]) ** 0.5
    table = sums.assign(spearman=sums["xy"] / variance.where(variance > 0)).reset_index()
    return table[[*keys, "spearman", "channels"]]
