"""Do kernel gradients follow the means of the channels that they read?"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from understanding_bn.figures import style

COLUMNS = ["norm", "seed", "layer", "spearman", "channels"]


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Left the rank correlation in every layer, right the channels of one even layer in the middle, first seed.

    `values`: columns of `analysis.input_mean_correlation`. Lines are means over seeds, bands their range.
    """
    table = by_layer(values)
    norms = style.ordered(values["norm"])
    palette = style.colours(norms)
    figure, (left, right) = plt.subplots(1, 2, figsize=(style.WIDTH, 2.6), width_ratios=[1.6, 1])
    for norm in norms:
        here = table[table["norm"] == norm]
        # A block's first convolution, an even layer, reads the residual stream; its second what lies inside the branch.
        for odd, line, what in ((0, "-", "stream"), (1, "--", "branch")):
            curves = here[here["layer"] % 2 == odd].pivot(index="layer", columns="seed", values="spearman")
            text = f"{style.label(norm)}, reads the {what}: mean {curves.mean(axis=None):.2f}"
            left.plot(curves.index, curves.mean(axis=1), line, color=palette[norm], label=text)
            left.fill_between(
                curves.index, curves.min(axis=1), curves.max(axis=1), color=palette[norm], alpha=0.2, linewidth=0
            )
    left.axhline(0, color="0.4", linewidth=0.7)
    left.set(xlabel="layer", ylabel="Spearman correlation over input channels", ylim=(-1.02, 1.02))
    left.legend(
        loc="lower left", fontsize=6, title=f"mean and range, {values['seed'].nunique()} seeds", title_fontsize=6
    )
    layers = np.sort(values["layer"][values["layer"] % 2 == 0].unique())
    layer = int(layers[len(layers) // 2])
    here = values[(values["layer"] == layer) & (values["seed"] == values["seed"].min())]
    for norm in norms:
        channels = here[here["norm"] == norm]
        right.plot(channels["input_mean"], channels["gradient"], ".", color=palette[norm], markersize=4)
    right.set(xscale="log", yscale="log")
    right.xaxis.set_minor_formatter(NullFormatter())
    right.yaxis.set_minor_formatter(NullFormatter())
    right.set(title=f"layer {layer}, one dot a channel", xlabel="|mean| of the channel")
    right.set_ylabel("mean |∂ℓ/∂w| of what reads it")
    return figure, {"": table[COLUMNS]}


def by_layer(values: pd.DataFrame) -> pd.DataFrame:
    """norm, seed, layer, spearman, channels: rank correlation over a layer's input channels (ties share ranks).

    NaN where all channels have the same mean or the same gradient.
    """
    keys = ["norm", "seed", "layer"]
    ranks = values.groupby(keys)[["input_mean", "gradient"]].rank()
    centred = ranks - ranks.groupby([values[key] for key in keys]).transform("mean")
    products = pd.DataFrame(
        {
            "xy": centred["input_mean"] * centred["gradient"],
            "xx": centred["input_mean"] ** 2,
            "yy": centred["gradient"] ** 2,
        }
    )
    sums = products.groupby([values[key] for key in keys]).agg(
        xy=("xy", "sum"), xx=("xx", "sum"), yy=("yy", "sum"), channels=("xy", "size")
    )
    variance = (sums["xx"] * sums["yy"]) ** 0.5
    return sums.assign(spearman=sums["xy"] / variance.where(variance > 0)).reset_index()[COLUMNS]
