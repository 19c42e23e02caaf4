"""The noise of SGD at initialisation against depth: where batch norm turns from raising to lowering it."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.titles import count, initialisation, listed
from understanding_bn.summaries import noise_by_depth as summary
from understanding_bn.summaries.noise_by_depth import COLUMNS, comparisons, crossings, networks

__all__ = ["COLUMNS", "draw"]

PANELS = {
    "constant": "one sample's variance C",
    "noise_scale": r"relative to the gradient: $\mathrm{tr}\,\Sigma\,/\,\|g\|^2$",
    "relative_curvature": r"along curvature: $|\mathrm{tr}(H\Sigma)|\,/\,L$",
    "mean_entry_variance": "between weights of a layer",
    "mean_unit_variation": "between units of a layer",
    "layer_variation": "between layers",
}
# By kind of shortcut: name, line and marker.
SHORTCUTS: dict[str, tuple[str, style.Look]] = {
    "projection": ("residual", {"linestyle": "-", "marker": "o"}),
    "padding": ("residual, padded", {"linestyle": (0, (1, 1)), "marker": "^"}),
    "none": ("plain", {"linestyle": (0, (4, 1.5)), "marker": "s"}),
}
SIGN = {1: "raises", -1: "lowers"}


def draw(noise_by_depth: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A panel for each quantity, both axes logarithmic, for the first initialisation.

    Lines are medians over seeds, bars their range. Of a quantity that may be negative the size is drawn, with an open
    marker where the signed median is below zero. A depth at which a seed has no value is left out: see `networks`. The
    text above a panel says what batch norm does to the quantity in each kind of network. The CSV has every network,
    `comparisons` every depth's comparison with no normalisation, and `summary` where each quantity turns.

    Raises:
        NothingToShow: no network has a finite value that is not zero.
    """
    table = networks(noise_by_depth)
    sizes = table[[*PANELS]].astype(float).abs()
    if not (np.isfinite(sizes) & (sizes > 0)).any(axis=None):
        raise NothingToShow("No network has a finite gradient, so there is no noise to show.")
    compared = comparisons(table)
    turns = crossings(compared)
    shown = table[table["init"] == table["init"].iloc[0]]
    palette = style.colours(style.ordered(shown["norm"]))
    figure, axes = plt.subplots(2, 3, figsize=(style.WIDTH, 5.0), sharex=True)
    for ax, (quantity, title) in zip(axes.flat, PANELS.items(), strict=True):
        _panel(ax, shown, quantity, palette)
        said = [turned(row) for row in _of_batch_norm(turns, shown, quantity)]
        ax.set_title("\n".join([title, *said]), fontsize=7)
    depths = sorted(shown["depth"].unique())
    for ax in axes[-1]:
        ax.set_xticks(depths, [str(depth) for depth in depths], fontsize=6)
        ax.set_xlabel("depth (layers)")
        ax.minorticks_off()
    _key(figure, shown, palette)
    return figure, {"": table, "comparisons": compared, "summary": turns}


def turned(row: pd.Series) -> str:
    """What a normalisation does to a quantity in one kind of network: `plain: lowered from 56–110 on`."""
    name, verdict = SHORTCUTS[row["shortcut"]][0], row["verdict"]
    if verdict in (summary.TO_LOWERING, summary.TO_RAISING):
        first, then = ("raised", "lowered")[:: 1 if verdict == summary.TO_LOWERING else -1]
        text = f"{first} to {row['above']:.0f}, {then} from {row['below']:.0f}"
    elif verdict in (summary.RAISES, summary.LOWERS):
        clear = max(row["raised"], row["lowered"])
        where = "" if clear == row["depths"] else f" at {clear} of {count(row['depths'], 'depth')}"
        text = ("raised" if verdict == summary.RAISES else "lowered") + where
    else:
        text = verdict
    return f"{name}: {text}"


def _of_batch_norm(turns: pd.DataFrame, shown: pd.DataFrame, quantity: str) -> list[pd.Series]:
    """The rows of a quantity of batch norm, with the initialisation shown."""
    chosen = turns[(turns["norm"] == "batch") & (turns["quantity"] == quantity)]
    return [row for _, row in chosen[chosen["init"] == shown["init"].iloc[0]].iterrows()]


def _panel(ax: Axes, table: pd.DataFrame, quantity: str, palette: dict[str, str]) -> None:
    """Median and range over seeds of one quantity's size, against depth."""
    sizes = []
    for number, (norm, colour) in enumerate(palette.items()):
        for shortcut, (_, look) in SHORTCUTS.items():
            rows = table[(table["norm"] == norm) & (table["shortcut"] == shortcut)]
            seeds = _by_depth(rows, quantity)
            place = seeds.index.to_numpy() * 1.02 ** (number - (len(palette) - 1) / 2)  # not one behind another
            ax.vlines(place, seeds["min"], seeds["max"], color=colour, linewidth=0.8)
            ax.plot(place, seeds["median"], linestyle=look["linestyle"], color=colour, linewidth=1.1)
            for negative, fill in ((False, colour), (True, "white")):
                chosen = (seeds["negative"] == negative).to_numpy()
                marks: style.Look = {"color": colour, "mfc": fill, "mew": 0.8, "markersize": 3.5}
                ax.plot(place[chosen], seeds["median"][chosen], look["marker"], **marks)
            sizes += [seeds["min"], seeds["max"]]
    ax.set_xscale("log")
    seen = pd.concat(sizes)
    if len(seen):
        style.logarithmic(ax.yaxis, seen)
    ax.minorticks_off()


def _by_depth(rows: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Median, min and max of a quantity's size, and whether it is negative, at depths at which every seed has one."""
    values = rows.set_index("depth")[quantity].astype(float)
    values = values.where(np.isfinite(values) & (values != 0))
    grouped, sizes = values.groupby("depth"), values.abs().groupby("depth")
    columns = {"median": sizes.median(), "min": sizes.min(), "max": sizes.max(), "negative": grouped.median() < 0}
    return pd.DataFrame(columns)[grouped.count() == grouped.size()]


def _key(figure: Figure, table: pd.DataFrame, palette: dict[str, str]) -> None:
    """Colours are norms, lines and markers kinds of network; how many seeds, and which networks."""
    facts = table.iloc[0]
    kinds: keys.Group = {
        name: keys.line(**look, markersize=3.5)
        for shortcut, (name, look) in SHORTCUTS.items()
        if shortcut in set(table["shortcut"])
    }
    seeds = table["seed"].nunique()
    marks: keys.Group = {"median of " + count(seeds, "seed") if seeds > 1 else "one seed": keys.marker("o")}
    if seeds > 1:
        marks["their range"] = keys.marker("|", markersize=9)
    if (table["relative_curvature"] < 0).any():
        marks["below zero: its size"] = keys.marker("o", mfc="white", mew=0.8)
    setting = f"{initialisation(facts['init'])}, B = {listed(table['batch_size'])}"
    keys.key(figure, {"norm": keys.norms(palette), "network": kinds, setting: marks})
