"""Noise of mini-batch gradients against B, and of updates against α."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from understanding_bn.figures import style
from understanding_bn.summaries.gradient_noise import relative_to_replacement, share_without_replacement, slopes

COLUMNS = ["arch", "norm", "alpha", "batch_size", "sampling", "seed", "epoch", "noise", "constant", "update_noise"]
COLUMNS += ["minibatches", "images"]
SAMPLINGS = {"epoch": "disjoint, as in an epoch", "replacement": "with replacement", "subset": "without replacement"}
MARKERS = {"epoch": "o", "replacement": "^", "subset": "v"}


def draw(gradient_noise: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Left E‖g_B − g‖² against B, then that of one update against α at the largest B; both axes logarithmic.

    Dots are seeds, lines their geometric mean; dotted lines have the slope that the bound α²C/B predicts. A third
    panel, where mini-batches were drawn in several ways, has the noise over C/B, and what sampling with and without
    replacement predicts. The summary has each seed's slopes.
    """
    table = slopes(gradient_noise)
    of_epoch = gradient_noise[gradient_noise["sampling"] == "epoch"]
    largest = of_epoch["batch_size"].max()
    several = gradient_noise["sampling"].nunique() > 1
    figure, axes = plt.subplots(1, 2 + several, figsize=(style.WIDTH, 2.7))
    _power_law(axes[0], of_epoch[of_epoch["alpha"] == of_epoch["alpha"].min()], "batch_size", "noise", -1, table)
    _power_law(axes[1], of_epoch[of_epoch["batch_size"] == largest], "alpha", "update_noise", 2, table)
    axes[0].set(xlabel="batch size B", ylabel="gradient noise " + style.NOISE)
    axes[1].set(xlabel=f"learning rate α (B = {largest})", ylabel="noise of one update")
    if several:
        _samplings(axes[2], gradient_noise)
    return figure, {"": gradient_noise[COLUMNS], "summary": table}


def _power_law(ax: Axes, noise: pd.DataFrame, x: str, y: str, exponent: int, slopes: pd.DataFrame) -> None:
    """Seeds, their geometric mean, and a line of the predicted slope from its first point."""
    common = {"data": noise, "x": x, "y": y, "ax": ax} | style.by_norm(noise)
    sns.scatterplot(**common, legend=False, **style.DOTS)
    sns.lineplot(**common, estimator=stats.gmean, errorbar=None)
    for norm in common["hue_order"]:
        of_norm = noise[noise["norm"] == norm]
        places = np.sort(of_norm[x].unique())
        start = stats.gmean(of_norm.loc[of_norm[x] == places[0], y])
        ax.plot(places, start * (places / places[0]) ** exponent, **style.LAW)
    ax.set(xscale="log", yscale="log")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * (high / low) ** 0.35)  # room for the legend
    style.ticks_at(ax.xaxis, noise[x])
    measured = slopes.groupby("norm")[f"{x}_slope"].mean()
    names = {norm: f"{style.label(norm)}, slope {style.number(measured[norm], '.2f')}" for norm in common["hue_order"]}
    title = f"{noise['seed'].nunique()} seeds; dotted: slope {style.number(exponent, '+d')}"
    style.legend(ax, names, loc="upper center", title=title)


def _samplings(ax: Axes, gradient_noise: pd.DataFrame) -> None:
    """B · noise over its mean with replacement, with the range over seeds, and the two laws that it should follow."""
    images = gradient_noise["images"].iloc[0]
    sizes = np.geomspace(gradient_noise["batch_size"].min(), gradient_noise["batch_size"].max(), 100)
    ax.plot(sizes, np.ones_like(sizes), **style.LAW)
    ax.plot(sizes, share_without_replacement(sizes, images), **style.LAW)
    shares = relative_to_replacement(gradient_noise)
    colour = style.by_norm(shares)
    shifts = np.linspace(-1, 1, len(colour["hue_order"])) if len(colour["hue_order"]) > 1 else [0]
    factors = {norm: 1.06**shift for norm, shift in zip(colour["hue_order"], shifts, strict=True)}
    shares["place"] = shares["batch_size"] * shares["norm"].map(factors)  # side by side
    bars = {"err_style": "bars", "errorbar": style.RANGE, "linestyle": "", "markersize": 4, "mec": "none"}
    by_sampling = {"style": "sampling", "style_order": list(SAMPLINGS), "markers": MARKERS, "dashes": False}
    sns.lineplot(shares, x="place", y="share", ax=ax, **colour, **by_sampling, **bars)
    ax.set(xscale="log", xlabel="batch size B", ylabel="noise / (C/B)", ylim=(0, None))
    style.ticks_at(ax.xaxis, gradient_noise["batch_size"])
    style.legend(ax, SAMPLINGS, loc="lower left", title=f"drawn from {images} images:", fontsize=6.5)
