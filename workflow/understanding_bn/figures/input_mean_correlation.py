"""Do kernel gradients follow the means of the channels that they read?"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from understanding_bn.figures import style
from understanding_bn.summaries.input_mean_correlation import by_layer

# A block's first convolution, an even layer, reads the residual stream; its second reads the inside of the branch.
DASHES = {"stream": "", "branch": (4, 1.5)}


def draw(input_mean_correlation: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Left the rank correlation in every layer, right the channels of one even layer in the middle, first seed.

    Lines are means over seeds, bands their range.
    """
    table = by_layer(input_mean_correlation)
    colour = style.by_norm(table)
    figure, (left, right) = plt.subplots(1, 2, figsize=(style.WIDTH, 3.1), width_ratios=[1.6, 1])
    curves = table.assign(reads=np.where(table["layer"] % 2, "branch", "stream"))
    means = curves.groupby(["norm", "reads"])["spearman"].mean()
    for norm, shade in colour["palette"].items():
        for reads, dashes in DASHES.items():
            curve = curves[(curves["norm"] == norm) & (curves["reads"] == reads)]
            mean = style.number(means.get((norm, reads), np.nan), ".2f")
            look = {"color": shade, "dashes": dashes, "errorbar": style.RANGE, "err_kws": style.BAND, "legend": False}
            look["label"] = f"{style.label(norm)}, reads the {reads}: mean {mean}"
            sns.lineplot(curve, x="layer", y="spearman", ax=left, **look)
    left.axhline(0, color="0.4", linewidth=0.7)
    left.set(xlabel="layer", ylabel="rank correlation over input channels", ylim=(-1.02, 1.02))
    seeds = table["seed"].nunique()
    figure.legend(loc="outside lower center", ncols=2, title=f"left: mean and range, {seeds} seeds")
    layers = np.unique(table["layer"][table["layer"] % 2 == 0])
    layer = int(layers[len(layers) // 2])
    of_layer = input_mean_correlation[input_mean_correlation["layer"] == layer]
    channels = of_layer[of_layer["seed"] == of_layer["seed"].min()]
    dots = {"s": 9, "linewidth": 0, "legend": False}
    sns.scatterplot(channels, x="input_mean", y="gradient", ax=right, **colour, **dots)
    right.set(xscale="log", yscale="log", title=f"layer {layer}, one dot a channel")
    right.set(xlabel="|mean| of the channel", ylabel="mean |∂ℓ/∂w| of what reads it")
    right.xaxis.set_minor_formatter(NullFormatter())
    right.yaxis.set_minor_formatter(NullFormatter())
    return figure, {"": table}
