"""Do kernel gradients follow the means of the channels that they read?"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.titles import count
from understanding_bn.summaries.input_mean_correlation import by_layer

COLUMNS = ["norm", "seed", "layer", "spearman", "channels"]
# A block's first convolution, an even layer, reads the residual stream; its second reads the inside of the branch.
DASHES: dict[str, style.Look] = {"stream": {"linestyle": "-"}, "branch": {"linestyle": (0, (4, 1.5))}}


def draw(input_mean_correlation: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Left the rank correlation in every layer, right the channels of one even layer in the middle, first seed.

    Lines are means over seeds, bands their range.

    Raises:
        NothingToShow: in no layer do both the means and the gradients differ between channels.
    """
    table = by_layer(input_mean_correlation)
    if table["spearman"].isna().all():
        raise NothingToShow(
            "No layer has a rank correlation: its channels have the same mean, or what reads them the same gradient."
        )
    palette = style.colours(style.ordered(table["norm"]))
    figure, (left, right) = plt.subplots(1, 2, figsize=(style.WIDTH, 3.3), width_ratios=[1.6, 1])
    _by_layer(left, table, palette)
    _channels(right, input_mean_correlation, palette)
    _key(figure, table, palette)
    return figure, {"": table[COLUMNS]}


def _by_layer(ax: Axes, table: pd.DataFrame, palette: dict[str, str]) -> None:
    """Mean and range over seeds of the rank correlation, for each norm and for either place of a block."""
    for norm, colour in palette.items():
        for reads, look in DASHES.items():
            seeds = _of(table, norm, reads).groupby("layer")["spearman"].agg(["mean", "min", "max"]).dropna()
            ax.fill_between(seeds.index, seeds["min"], seeds["max"], color=colour, **style.BAND)
            alone: style.Look = {"marker": ".", "markersize": 4} if len(seeds) == 1 else {}
            ax.plot(seeds.index, seeds["mean"], color=colour, linewidth=1.2, **look, **alone)
    ax.axhline(0, color="0.4", linewidth=0.7, zorder=1)
    ax.set(xlabel="layer", ylabel="Spearman's rank correlation", ylim=(-1.03, 1.03))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.set_yticks([-1, -0.5, 0, 0.5, 1], ["−1", "−0.5", "0", "0.5", "1"])


def _channels(ax: Axes, channels: pd.DataFrame, palette: dict[str, str]) -> None:
    """Every channel of a layer in the middle of the network that reads the stream, for the first seed."""
    layers = np.unique(channels["layer"])
    even = layers[layers % 2 == 0]
    layer = (even if len(even) else layers)[len(even if len(even) else layers) // 2]
    seed = channels["seed"].min()
    shown = channels[(channels["layer"] == layer) & (channels["seed"] == seed)]
    for norm, colour in palette.items():
        of_norm = shown[shown["norm"] == norm]
        ax.plot(of_norm["input_mean"], of_norm["gradient"], "o", color=colour, markersize=3, mew=0, alpha=0.8)
    ax.set(xlabel="|mean| of an input channel", ylabel="mean |∂ℓ/∂w| of the weights that read it")
    ax.set_title(f"layer {layer}, seed {seed}")
    style.logarithmic(ax.xaxis, shown["input_mean"])
    style.logarithmic(ax.yaxis, shown["gradient"])
    ax.minorticks_off()


def _of(table: pd.DataFrame, norm: str, reads: str) -> pd.DataFrame:
    """The rows of a norm in layers that read the stream, or the branch."""
    odd = table["layer"] % 2 == 1
    return table[(table["norm"] == norm) & (odd if reads == "branch" else ~odd)]


def _key(figure: Figure, table: pd.DataFrame, palette: dict[str, str]) -> None:
    """Every line with its mean over layers and seeds, the band and the dots."""
    groups: dict[str, keys.Group] = {}
    for norm, colour in palette.items():
        group = groups.setdefault(style.label(norm), {})
        for reads, look in DASHES.items():
            mean = _of(table, norm, reads)["spearman"].mean()
            if np.isfinite(mean):
                group[f"reads the {reads}: mean {style.number(mean, '.2f')}"] = keys.line(color=colour, **look)
    seeds = table["seed"].nunique()
    marks: keys.Group = {"right: one channel": keys.marker("o", markersize=3)}
    if seeds > 1:
        marks = {f"left: range of {count(seeds, 'seed')}": keys.band(alpha=0.2)} | marks
    keys.key(figure, groups | {"both": marks})
