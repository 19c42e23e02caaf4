"""Fig. 2: histogram of one layer's kernel gradient at initialisation."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import positive
from understanding_bn.summaries.gradient_histogram import COLUMNS, bins, shapes

GAUSSIAN = 3  # its kurtosis


def draw(gradient_histogram: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """The shape of every seed's histogram, scaled by its own standard deviation, and next to it that and the kurtosis.

    Seeds differ severalfold in their spread, so that on one axis of gradients the narrow ones would be a spike. On a
    logarithmic axis a Gaussian is a parabola, so that tails show. Every finite entry is in a bin.

    Raises:
        NothingToShow: no network has finite entries that differ.
    """
    counts, summary = bins(gradient_histogram), shapes(gradient_histogram)
    drawn = set(summary.loc[summary["sd"] > 0, "norm"])
    if not drawn:
        raise NothingToShow("No network has a gradient at this layer that is finite and not the same everywhere.")
    norms = style.ordered(gradient_histogram["norm"])
    palette = style.colours(norms)
    layer, seeds = summary["layer"].iloc[0], summary["seed"].nunique()
    figure, axes = plt.subplots(1, 3, figsize=(style.WIDTH, 3.0), width_ratios=(2.4, 1, 1))
    _shapes(axes[0], counts, summary, palette)
    names = [style.label(norm).replace(" ", "\n") for norm in norms]
    for ax, column in zip(axes[1:], ("sd", "kurtosis"), strict=True):
        for place, (norm, colour) in enumerate(palette.items()):
            values = positive(summary.loc[summary["norm"] == norm, column])
            ax.plot(place + np.linspace(-0.2, 0.2, len(values)) * (len(values) > 1), values, "o", color=colour, ms=4)
        style.logarithmic(ax.yaxis, pd.Series(positive(summary[column])))
        ax.set_xticks(range(len(norms)), names)
        ax.set_xlim(-0.6, len(norms) - 0.4)
    axes[1].set(title="spread", ylabel="standard deviation")
    axes[2].set(title="tails", ylabel="kurtosis")
    axes[2].axhline(GAUSSIAN, **style.LAW)
    axes[0].set_title(f"shape, layer {layer}")
    number = "the seed" if seeds == 1 else f"one of {seeds} seeds"
    lines = {f"histogram of {number}": keys.line(linewidth=0.9), number: keys.marker("o")}
    law = {"Gaussian": keys.line(**style.LAW)}
    keys.key(figure, {"norm": keys.norms(palette, drawn), "lines and dots": lines, "for comparison": law})
    return figure, {"": counts[COLUMNS], "summary": summary}


def _shapes(ax: Axes, counts: pd.DataFrame, summary: pd.DataFrame, palette: dict[str, str]) -> None:
    """The histograms of all seeds in units of their own standard deviations, and a Gaussian."""
    sds = summary.set_index(["norm", "seed"])["sd"]
    lowest, widest = 1.0, 4.0
    for (norm, seed), of_seed in counts[counts["density"].notna()].groupby(["norm", "seed"], sort=False):
        edges = np.append(of_seed["bin_left"], of_seed["bin_right"].iloc[-1]) / sds[norm, seed]
        ax.stairs(of_seed["density"], edges, color=palette[norm], linewidth=0.9, alpha=0.75)
        lowest, widest = min(lowest, positive(of_seed["density"]).min()), max(widest, edges[-1])
    places = np.linspace(-widest, widest, 1001)
    ax.plot(places, stats.norm.pdf(places), **style.LAW | {"color": "black", "zorder": 3})
    ax.set(yscale="log", ylim=(lowest / 3, 10), xlim=(-widest, widest))
    ax.set(xlabel="gradient of a kernel entry, in standard deviations", ylabel="density (share per standard deviation)")
