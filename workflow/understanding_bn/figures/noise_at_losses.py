"""The noise of SGD at matched training loss, by architecture: where batch norm raises or lowers it along training."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn import architecture
from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain
from understanding_bn.figures.titles import count, network
from understanding_bn.summaries.noise_and_gap import most_shared_setting
from understanding_bn.summaries.noise_at_losses import BEFORE, COLUMNS, comparisons, networks

__all__ = ["COLUMNS", "draw"]

ROWS = {
    "constant": "one sample's\nvariance C",
    "noise_scale": "relative to gradient\n" + r"$\mathrm{tr}\,\Sigma\,/\,\|g\|^2$",
    "relative_curvature": "along curvature\n" + r"$|\mathrm{tr}(H\Sigma)|\,/\,L$",
    "mean_entry_variance": "between weights\nof a layer",
    "mean_unit_variation": "between units\nof a layer",
    "layer_variation": "between\nlayers",
}
SIGNS = {1: "+", -1: "−", 0: "·"}
ASIDE = 0.09  # of a moment, between norms


def draw(histories: pd.DataFrame, gradient_structure: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row for each kind of noise and a column for each architecture: medians over seeds with their range.

    Drawn are the cells of the α, B and length that most architectures and norms share, without runs that failed. Of a
    quantity that may be negative the size is drawn, with an open marker where the median is below zero. A moment at
    which a seed has no value is left out. The signs below say what batch norm does by the rules of `noise_by_depth`.
    The CSV has every run, `comparisons` every comparison with no normalisation.

    Raises:
        NothingToShow: no network was measured where training reached a loss.
    """
    table = networks(gradient_structure, histories)
    sound = table[(table["failure"] == "") & table["finite"]]
    if sound.empty or (sound["moment"] == BEFORE).all():
        raise NothingToShow("No network was measured where its training loss first fell to a bound.")
    shown = most_shared_setting(table[table["failure"] == ""])
    compared = comparisons(table)
    palette = style.colours(style.ordered(shown["norm"]))
    archs, moments = architecture.in_order(shown["arch"]), list(dict.fromkeys(shown["moment"]))
    size = (style.WIDTH, 0.95 * len(ROWS) + 1.4)
    figure, axes = plt.subplots(len(ROWS), len(archs), figsize=size, sharex=True, sharey="row", squeeze=False)
    for panels, (quantity, label) in zip(axes, ROWS.items(), strict=True):
        for ax, arch in zip(panels, archs, strict=True):
            _panel(ax, shown[shown["arch"] == arch], quantity, moments, palette)
            _signs(ax, most_shared_setting(compared), arch, quantity, moments)
        positive = shown[quantity].abs().where(lambda sizes: sizes > 0).dropna()
        if len(positive):
            style.logarithmic(panels[0].yaxis, positive)
            low, high = panels[0].get_ylim()
            panels[0].set_ylim(low / (high / low) ** 0.25, high)  # room for the signs
        panels[0].minorticks_off()
        panels[0].set_ylabel(label, fontsize=6.5)
    for ax, arch in zip(axes[0], archs, strict=True):
        ax.set_title(network(arch))
    names = ["start" if moment == BEFORE else moment.removeprefix("loss ") for moment in moments]
    for ax in axes[-1]:
        ax.set_xticks(range(len(moments)), names, fontsize=6.5)
        ax.set_xlim(-0.5, len(moments) - 0.5)
    axes[-1, len(archs) // 2].set_xlabel("training loss (nats) when it was measured")
    _key(figure, shown, palette)
    return figure, {"": table, "comparisons": compared}


def _panel(ax: Axes, runs: pd.DataFrame, quantity: str, moments: list[str], palette: dict[str, str]) -> None:
    """One architecture: a line for each norm over the moments."""
    for number, (norm, colour) in enumerate(palette.items()):
        values = runs[runs["norm"] == norm].set_index("moment")[quantity].astype(float)
        values = values.where(np.isfinite(values) & (values != 0))
        grouped, sizes = values.groupby("moment"), values.abs().groupby("moment")
        seen = pd.DataFrame({"median": sizes.median(), "min": sizes.min(), "max": sizes.max()})
        seen = seen.assign(negative=grouped.median() < 0)[grouped.count() == grouped.size()]
        seen = seen.reindex([moment for moment in moments if moment in seen.index])
        place = np.array([moments.index(moment) for moment in seen.index], dtype=float)
        place += ASIDE * (2 * number - len(palette) + 1)
        ax.vlines(place, seen["min"], seen["max"], color=colour, linewidth=0.8)
        ax.plot(place, seen["median"], color=colour, linewidth=0.9)
        for negative, fill in ((False, colour), (True, "white")):
            chosen = (seen["negative"] == negative).to_numpy()
            ax.plot(place[chosen], seen["median"][chosen], "o", color=colour, mfc=fill, mew=0.8, markersize=3.2)


def _signs(ax: Axes, compared: pd.DataFrame, arch: str, quantity: str, moments: list[str]) -> None:
    """What batch norm does to the quantity at each moment, along the lower edge."""
    rows = compared[(compared["arch"] == arch) & (compared["quantity"] == quantity) & (compared["norm"] == "batch")]
    for moment, sign in zip(rows["moment"], rows["sign"], strict=True):
        place = moments.index(moment), 0.03
        ax.text(*place, SIGNS[sign], transform=ax.get_xaxis_transform(), ha="center", va="bottom", fontsize=7)


def _key(figure: Figure, shown: pd.DataFrame, palette: dict[str, str]) -> None:
    """Colours are norms; what the marks and signs are, and which cells these are."""
    facts, seeds = shown.iloc[0], shown["seed"].nunique()
    marks: keys.Group = {f"median of {count(seeds, 'seed')}" if seeds > 1 else "one seed": keys.marker("o")}
    if seeds > 1:
        marks["their range"] = keys.marker("|", markersize=9)
    if (shown["relative_curvature"] < 0).any():
        marks["below zero: its size"] = keys.marker("o", mfc="white", mew=0.8)
    signs: keys.Group = {
        "raises it": keys.marker("$+$", markersize=5),
        "lowers it": keys.marker("$-$", markersize=5),
        "unclear": keys.marker("o", markersize=1.2),
    }
    setting = f"α = {plain(facts['alpha'])}, B = {facts['batch_size']}"
    keys.key(figure, {"norm": keys.norms(palette), setting: marks, "batch norm": signs})
