"""Noise of mini-batch gradients against B, and of updates against α."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain, positive
from understanding_bn.figures.titles import count, listed
from understanding_bn.summaries.gradient_noise import relative_to_replacement, share_without_replacement, slopes

COLUMNS = ["arch", "norm", "alpha", "batch_size", "sampling", "seed", "epoch", "noise", "constant", "update_noise"]
COLUMNS += ["minibatches", "images"]
SAMPLINGS = {"epoch": "disjoint, as in an epoch", "replacement": "with replacement", "subset": "without replacement"}
MARKERS = {"epoch": "o", "replacement": "^", "subset": "v"}
DOT: style.Look = {"markersize": 3.4, "mew": 0, "alpha": 0.6}
ASIDE = 1.06  # factor of B between markers of the same B


def draw(gradient_noise: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Left E‖g_B − g‖² against B, then that of one update against α at the largest B; both axes logarithmic.

    Dots are seeds, lines their geometric mean; dotted lines have the slope that the bound α²C/B predicts. A third
    panel, where mini-batches were drawn in several ways, has the noise over C/B, and what sampling with and without
    replacement predicts. The summary has each seed's slopes.

    Raises:
        NothingToShow: no gradient's noise is finite and above zero.
    """
    table = slopes(gradient_noise)
    of_epoch = gradient_noise[gradient_noise["sampling"] == "epoch"]
    over_b = of_epoch[of_epoch["alpha"] == of_epoch["alpha"].min()]
    over_alpha = of_epoch[of_epoch["batch_size"] == of_epoch["batch_size"].max()]
    if not len(positive(over_b["noise"])):
        raise NothingToShow("No gradient has a noise that is finite and above zero.")
    several = gradient_noise["sampling"].nunique() > 1
    palette = style.colours(style.ordered(of_epoch["norm"]))
    figure, axes = plt.subplots(1, 2 + several, figsize=(style.WIDTH, 3.2))
    _power_law(axes[0], over_b, "batch_size", "noise", -1, palette)
    _power_law(axes[1], over_alpha, "alpha", "update_noise", 2, palette)
    axes[0].set(xlabel="batch size B", ylabel="noise of the gradient  " + style.NOISE)
    axes[1].set(xlabel="learning rate α", ylabel="noise of the first update")
    axes[1].set_title(f"B = {listed(over_alpha['batch_size'])}")
    if several:
        _samplings(axes[2], gradient_noise, palette)
    _key(figure, gradient_noise, table, palette)
    return figure, {"": gradient_noise[COLUMNS], "summary": table}


def _power_law(ax: Axes, noise: pd.DataFrame, x: str, y: str, exponent: int, palette: dict[str, str]) -> None:
    """Seeds, their geometric mean, and a line of the predicted slope from its first point."""
    shown = noise[np.isfinite(noise[y]) & (noise[y] > 0)]
    for norm, colour in palette.items():
        of_norm = shown[shown["norm"] == norm]
        ax.plot(of_norm[x], of_norm[y], "o", color=colour, **DOT)
        means = np.exp(np.log(of_norm[y]).groupby(of_norm[x]).mean())
        ax.plot(means.index, means, color=colour, linewidth=1.2)
        if len(means):
            ax.plot(means.index, means.iloc[0] * (means.index / means.index[0]) ** exponent, **style.LAW)
    style.logarithmic(ax.yaxis, shown[y])
    ax.set_xscale("log")
    style.ticks_at(ax.xaxis, noise[x])


def _samplings(ax: Axes, gradient_noise: pd.DataFrame, palette: dict[str, str]) -> None:
    """B · noise over its mean with replacement, with the range over seeds, and the two laws that it should follow."""
    images = gradient_noise["images"].iloc[0]
    sizes = np.geomspace(gradient_noise["batch_size"].min(), gradient_noise["batch_size"].max(), 100)
    ax.plot(sizes, np.ones_like(sizes), **style.LAW)
    ax.plot(sizes, share_without_replacement(sizes, images), **style.LAW)
    shares = relative_to_replacement(gradient_noise)
    shares = shares[np.isfinite(shares["share"])]
    kinds = [(norm, sampling) for sampling in SAMPLINGS for norm in palette]
    for order, (norm, sampling) in enumerate(kinds):
        seeds = shares[(shares["norm"] == norm) & (shares["sampling"] == sampling)].groupby("batch_size")["share"]
        middle = seeds.mean()
        places = middle.index * ASIDE ** (order - (len(kinds) - 1) / 2)  # side by side
        look: style.Look = {"marker": MARKERS[sampling], "color": palette[norm], "linestyle": "", "markersize": 3.8}
        reach = [middle - seeds.min(), seeds.max() - middle]
        ax.errorbar(places, middle, yerr=reach, elinewidth=0.7, **look)
    ax.set(xscale="log", xlabel="batch size B", ylabel="noise of the gradient / (C/B)", ylim=(0, None))
    ax.set_title(f"drawn from {plain(images, 6)} images")
    style.ticks_at(ax.xaxis, gradient_noise["batch_size"])


def _key(figure: Figure, noise: pd.DataFrame, slopes: pd.DataFrame, palette: dict[str, str]) -> None:
    """The measured slopes by norm, the marks, and the ways to draw a mini-batch where there are several."""
    means = slopes.groupby("norm")[["batch_size_slope", "alpha_slope"]].mean()
    lines: keys.Group = {}
    for norm, colour in palette.items():
        measured = [style.number(value, ".2f") for value in means.loc[norm] if np.isfinite(value)]
        text = f": {' and '.join(measured)}" if len(measured) == 2 else ""
        lines[style.label(norm) + text] = keys.line(color=colour)
    marks: keys.Group = {"one seed": keys.marker("o", **DOT)}
    marks["predicted: −1 and 2"] = keys.line(**style.LAW)
    seeds = count(noise["seed"].nunique(), "seed")
    groups = {f"mean of {seeds}, with its slopes": lines, "marks": marks}
    if noise["sampling"].nunique() > 1:
        groups["right: mean and range, drawn"] = {
            name: keys.marker(MARKERS[sampling])
            for sampling, name in SAMPLINGS.items()
            if sampling in set(noise["sampling"])
        }
    keys.key(figure, groups)
