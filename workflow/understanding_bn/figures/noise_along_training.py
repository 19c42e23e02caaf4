"""The gradient's noise along training: a single sample's variance, the noise of an update, and the noise scale."""

from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain
from understanding_bn.figures.titles import network, seeds_of
from understanding_bn.summaries.gradient_structure import along_training
from understanding_bn.summaries.training import CELL, main_network, of_network, with_failures

COLUMNS = [*CELL, "seed", "failure", "epoch", "fraction", "bn_mode", "noise", "constant", "update_noise", "noise_scale"]
ROWS = {
    "constant": "variance C of\none sample's gradient",
    "update_noise": "noise of an update\n" + style.UPDATE_NOISE,
    "noise_scale": "noise scale (images)\n" + r"$\mathrm{tr}\,\Sigma\,/\,\|g\|^2$",
}
SHAPES = "os^Dv*P"  # of the learning rates, from the largest
ASIDE = 1.3  # percent of training between learning rates, so that they do not hide one another
LEAST_JOINED = 3  # moments; two points joined would look like a trajectory
SEEDS: style.Look = {"markersize": 3.8, "linewidth": 1, "elinewidth": 0.7}


def draw(histories: pd.DataFrame, gradient_structure: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row per quantity and a column per norm: medians over sound seeds with their range.

    They stand against training done; where only two moments were measured, against the learning rate.
    Drawn are the cells of the network and batch size that most cells share, without runs that failed; the CSV has all.

    Raises:
        NothingToShow: no network that trained was measured, or none of its numbers can be drawn.
    """
    table = with_failures(along_training(gradient_structure), histories)
    sound = table[table["failure"] == ""]
    measured = sound[_drawable(sound).any(axis=1)]
    if measured.empty:
        raise NothingToShow(
            "Every network that was to be measured along training had failed: it diverged or stayed at chance."
        )
    shown = of_network(measured, main_network(measured))
    norms = style.ordered(shown["norm"])
    moments, alphas = sorted(shown["fraction"].unique()), sorted(shown["alpha"].unique(), reverse=True)
    looks = _looks(alphas) if len(moments) >= LEAST_JOINED else {}
    size = (style.WIDTH, 1.2 + 1.35 * len(ROWS))
    figure, axes = plt.subplots(len(ROWS), len(norms), figsize=size, sharex=True, sharey="row", squeeze=False)
    for row, (quantity, title) in zip(axes, ROWS.items(), strict=True):
        for ax, norm in zip(row, norms, strict=True):
            positive = shown[(shown["norm"] == norm) & _drawable(shown)[quantity]]
            colour = style.colours(norms)[norm]
            if looks:
                _against_time(ax, positive, quantity, colour, looks)
            else:
                _against_alpha(ax, positive, quantity, colour, moments)
        row[0].set_ylabel(title)
        style.logarithmic(row[0].yaxis, shown[quantity])
        for ax in row:
            ax.minorticks_off()
    for ax, norm in zip(axes[0], norms, strict=True):
        ax.set_title(style.label(norm))
    _places(list(axes[-1]), moments, alphas, bool(looks))
    _key(figure, shown, moments, looks)
    return figure, {"": table[COLUMNS]}


def _places(lowest: list[Axes], moments: list[float], alphas: list[float], over_time: bool) -> None:
    """What stands along the panels, which all have the same axis."""
    if over_time:
        reach = 5 + ASIDE * len(alphas)
        lowest[0].set_xlim(-reach, 100 + reach)
        lowest[0].set_xticks([100 * moment for moment in moments] if len(moments) < 6 else [0, 50, 100])
        lowest[0].xaxis.set_major_formatter("{x:.0f}")
    else:
        lowest[0].set(xscale="log", xlim=(alphas[-1] / 1.8, alphas[0] * 1.8))
        lowest[0].set_xticks(alphas, [plain(alpha) for alpha in alphas])
        lowest[0].minorticks_off()
    for ax in lowest:
        ax.set_xlabel("training done (%)" if over_time else "learning rate α")


def _drawable(table: pd.DataFrame) -> pd.DataFrame:
    """Which quantities of which rows have a place on a logarithmic axis."""
    return (table[list(ROWS)] > 0) & np.isfinite(table[list(ROWS)].astype(float))


def _looks(alphas: list[float]) -> dict[float, style.Look]:
    """Marker and lightness of each learning rate: the largest is darkest."""
    shades = np.linspace(0, 0.55, len(alphas))
    return {
        alpha: {"marker": marker, "lightness": shade}
        for alpha, marker, shade in zip(alphas, cycle(SHAPES), shades, strict=False)
    }


def _lightened(colour: str, share: float) -> tuple[float, ...]:
    """The colour, moved this share of the way to white."""
    return tuple(sns.blend_palette([colour, "white"], as_cmap=True)(share)[:3])


def _against_time(ax: Axes, positive: pd.DataFrame, quantity: str, colour: str, looks: dict[float, style.Look]) -> None:
    """Median and range over seeds along training, for each learning rate of one norm."""
    for order, (alpha, look) in enumerate(looks.items()):
        seeds = _spread(positive[positive["alpha"] == alpha], "fraction", quantity)
        places = 100 * seeds.index.to_numpy() + ASIDE * (order - (len(looks) - 1) / 2)
        shade = _lightened(colour, look["lightness"])
        _draw(ax, places, seeds, color=shade, marker=look["marker"], markeredgecolor="white", markeredgewidth=0.3)


def _against_alpha(ax: Axes, positive: pd.DataFrame, quantity: str, colour: str, moments: list[float]) -> None:
    """Median and range over seeds against the learning rate, before (open) and after (filled)."""
    for moment, look in zip(moments, _of_moments(moments), strict=True):
        seeds = _spread(positive[positive["fraction"] == moment], "alpha", quantity)
        _draw(ax, seeds.index.to_numpy(), seeds, color=colour, markeredgecolor=colour, **look)


def _of_moments(moments: list[float]) -> list[style.Look]:
    """How the earlier and the later moment look; of one alone, as the later."""
    earlier: style.Look = {"marker": "o", "markerfacecolor": "white", "linestyle": (0, (3, 1.5))}
    return [earlier, {"marker": "o"}][-len(moments) :]


def _spread(rows: pd.DataFrame, by: str, quantity: str) -> pd.DataFrame:
    """Median, least and most over seeds."""
    return rows.groupby(by)[quantity].agg(["median", "min", "max"])


def _draw(ax: Axes, places: np.ndarray, seeds: pd.DataFrame, **look: Any) -> None:
    """Medians, joined, with bars over the range."""
    reach = [seeds["median"] - seeds["min"], seeds["max"] - seeds["median"]]
    ax.errorbar(places, seeds["median"], yerr=reach, **SEEDS | look)


def _key(figure: Figure, shown: pd.DataFrame, moments: list[float], looks: dict[float, style.Look]) -> None:
    """What is drawn, and the learning rates or the moments of training."""
    told: keys.Group = {
        f"α = {plain(alpha)}": keys.marker(look["marker"], color=_lightened("#333333", look["lightness"]))
        for alpha, look in looks.items()
    }
    if not looks:
        ends = {0.0: "before training", 1.0: "after training"}
        names = [ends.get(moment, f"after {plain(100 * moment)} % of training") for moment in moments]
        told = {
            name: keys.line(**look, markersize=3.8, linewidth=1)
            for name, look in zip(names, _of_moments(moments), strict=True)
        }
    drawn: keys.Group = {f"median of {seeds_of(shown, [*CELL, 'fraction'])}": keys.marker("o")}
    if shown["seed"].nunique() > 1:
        drawn["their range"] = keys.marker("|", markersize=9)
    network_drawn = f"{network(shown['arch'].iloc[0])}, B = {shown['batch_size'].iloc[0]}"
    keys.key(figure, {network_drawn: drawn, "learning rate" if looks else "moment": told})
