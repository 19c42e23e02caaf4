"""How smooth the loss is along the gradient, with batch norm and without, at the same steps."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain
from understanding_bn.figures.titles import data, listed, network, seeds_of
from understanding_bn.summaries.landscape_smoothness import (
    MEASURED,
    MOMENT,
    RELATIVE,
    RISE,
    at_losses,
    by_network,
    pairs,
)
from understanding_bn.summaries.training import CELL, NETWORK, main_network, of_network, with_failures

COLUMNS = [*MOMENT, "failure", "loss", *MEASURED, RISE, "overflowed"]
PANELS = {
    "loss_range": "range of the loss\n(nats)",
    "gradient_distance": "distance of the\ngradient",
    "smoothness": "effective\nsmoothness",
    RELATIVE: "distance over\n" + r"$\|g\|$",
}
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))  # of learning rates, from the largest


def draw(histories: pd.DataFrame, landscape_smoothness: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A column per quantity: above along training, below at matched training losses, a row for each network.

    Lines are medians over sound seeds, bars their range. Drawn are the learning rates that more norms than one were
    trained at, and along training the network and batch size that most cells share. At matched losses a point stands
    at the median loss of the mini-batches that were measured. Values that are not finite are left out; the CSV has
    all, and `pairs` batch norm over none, run by run.

    Raises:
        NothingToShow: no sound run was measured, or none of its numbers can be drawn.
    """
    networks = with_failures(by_network(landscape_smoothness), histories)
    shown = networks[(networks["failure"] == "") & _drawable(networks).any(axis=1)]
    if shown.empty:
        raise NothingToShow(
            "No network that was to be measured along its gradient is sound and has a value that can be drawn."
        )
    several = shown.groupby([*NETWORK, "alpha"])["norm"].transform("nunique") > 1
    shown = shown[several] if several.any() else shown
    matched = shown["at_loss"].notna()
    rows = [_along_training(shown[~matched])] if not matched.all() else []
    rows += [(name, part, True) for name, part in _networks(shown[matched])]
    size = (style.WIDTH, 1.0 + 1.75 * len(rows))
    figure, axes = plt.subplots(len(rows), len(PANELS), figsize=size, sharex="row", sharey="col", squeeze=False)
    palette, looks = style.colours(style.ordered(shown["norm"])), _looks(shown)
    for row, (name, part, by_loss) in zip(axes, rows, strict=True):
        for ax, quantity in zip(row, PANELS, strict=True):
            _panel(ax, part, quantity, by_loss, palette, looks)
        row[0].set_ylabel(name)
        if by_loss:
            row[0].invert_xaxis()
    for ax, (quantity, title) in zip(axes[0], PANELS.items(), strict=True):
        ax.set_title(title)
        if _drawable(shown)[quantity].any():
            style.logarithmic(ax.yaxis, shown[quantity])
    _key(figure, shown, landscape_smoothness["dataset"].iloc[0])
    return figure, {"": networks[COLUMNS], "pairs": pairs(at_losses(landscape_smoothness, histories))}


def _drawable(table: pd.DataFrame) -> pd.DataFrame:
    """Which quantities of which rows have a place on a logarithmic axis."""
    return (table[MEASURED] > 0) & np.isfinite(table[MEASURED].astype(float))


def _networks(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each network and batch size, and what it is called beside its panels."""
    return [(f"{network(arch)}\nat matched losses", part) for (arch, *_), part in table.groupby(NETWORK, sort=False)]


def _along_training(table: pd.DataFrame) -> tuple[str, pd.DataFrame, bool]:
    """The same of the network that most cells share, along training."""
    main = main_network(table)
    return f"{network(main[0])}\nalong training", of_network(table, main), False


def _panel(
    ax: Axes, part: pd.DataFrame, quantity: str, matched: bool, palette: dict[str, str], looks: dict[float, Any]
) -> None:
    """One quantity of all norms and learning rates, against training done or against the training loss."""
    drawable = part[_drawable(part)[quantity]]
    for norm, colour in palette.items():
        for alpha, dashes in looks.items():
            cell = drawable[(drawable["norm"] == norm) & (drawable["alpha"] == alpha)]
            by = cell.groupby("at_loss" if matched else "fraction")
            seeds = by[quantity].agg(["median", "min", "max"])
            places = by["loss"].median() if matched else 100 * seeds.index.to_numpy()
            reach = [seeds["median"] - seeds["min"], seeds["max"] - seeds["median"]]
            look: style.Look = {"marker": "o", "markersize": 3, "linewidth": 1.1, "elinewidth": 0.7}
            ax.errorbar(places, seeds["median"], yerr=reach, color=colour, linestyle=dashes, **look)
    ax.set_xlabel("training loss" if matched else "training done (%)")
    ax.minorticks_off()


def _looks(table: pd.DataFrame) -> dict[float, Any]:
    """The line of each learning rate, the largest first."""
    alphas = sorted(table["alpha"].unique(), reverse=True)
    return {alpha: DASHES[number % len(DASHES)] for number, alpha in enumerate(alphas)}


def _key(figure: Figure, shown: pd.DataFrame, dataset: str) -> None:
    """Colours are norms, lines learning rates."""
    alphas: keys.Group = {f"α = {plain(alpha)}": keys.line(linestyle=dash) for alpha, dash in _looks(shown).items()}
    several = shown["seed"].nunique() > 1
    marks: keys.Group = {f"median of {seeds_of(shown, CELL)}" if several else "one seed": keys.marker("o")}
    if several:
        marks["their range"] = keys.marker("|", markersize=9)
    setting = f"B = {listed(shown['batch_size'])}, {data(dataset)}"
    palette = style.colours(style.ordered(shown["norm"]))
    keys.key(figure, {"norm": keys.norms(palette), "learning rate": alphas, setting: marks})
