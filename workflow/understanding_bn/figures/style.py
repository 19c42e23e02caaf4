"""One look for all figures: readable at print size, colour-blind-safe, the same colour for a norm everywhere."""

import math
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from understanding_bn import files, tables
from understanding_bn.figures.numbers import plain
from understanding_bn.norm_names import group_size

mpl.use("Agg")
sns.set_theme(
    context="paper",
    style="ticks",
    font="DejaVu Sans",
    font_scale=5 / 6,  # text of 8 points, numbers on axes and legends of 7
    rc={
        "axes.edgecolor": "black",
        "axes.grid": True,
        "axes.linewidth": 0.8,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.constrained_layout.use": True,
        "grid.color": "0.9",
        "grid.linewidth": 0.5,
        "legend.frameon": False,
        "legend.title_fontsize": 6.5,
        "patch.force_edgecolor": False,
        "pdf.fonttype": 42,
        "savefig.dpi": 200,
        "svg.hashsalt": "understanding-bn",
        **{f"{axis}tick.major.size": 3.5 for axis in "xy"},
        **{f"{axis}tick.minor.size": 2 for axis in "xy"},
    },
)

WIDTH = 6.75  # inches, a page's text width

Look = dict[str, Any]  # arguments of something that is drawn

# Okabe & Ito's palette. Norms that it does not name take the spare colours, in order.
COLOURS = {
    "batch": "#0072B2",
    "none": "#D55E00",
    "batch-final": "#009E73",
    "layer": "#CC79A7",
    "group": "#56B4E9",
    "instance": "#E69F00",
}
# A ghost norm's is between these by its images, log2 of 1 to 256: dark where statistics are noisiest.
GHOSTS, MOST_IMAGES = LinearSegmentedColormap.from_list("ghost", ["#3F007D", "#BCBDDC"]), 8
SPARE = ("#999933", "#882255", "#000000")
LABELS = {
    "batch": "batch norm",
    "none": "no norm",
    "batch-final": "single final BN",
    "layer": "layer norm",
    "group": "group norm",
    "instance": "instance norm",
}
NOISE, UPDATE_NOISE = r"$\mathrm{E}\,\|g_B - g\|^2$", r"$\alpha^2\,\mathrm{E}\,\|g_B - g\|^2$"
SEED: Look = {"alpha": 0.35, "linewidth": 0.6}  # the thin line of one seed
BAND: Look = {"alpha": 0.2, "linewidth": 0}
DOTS: Look = {"s": 9, "alpha": 0.6, "linewidth": 0}  # one dot per seed
LAW: Look = {"color": "0.3", "linestyle": ":", "linewidth": 0.9}  # what a theory predicts


def colours(norms: list[str]) -> dict[str, str]:
    """A colour for each norm, the same in every figure for the norms of `COLOURS`."""
    spare = cycle(SPARE)
    return {norm: COLOURS.get(norm) or _of_ghost(norm) or next(spare) for norm in norms}


def _of_ghost(norm: str) -> str | None:
    """The colour of a ghost norm; None for any other."""
    images = group_size(norm)
    return to_hex(GHOSTS(min(math.log2(images) / MOST_IMAGES, 1.0))) if images else None


def label(norm: str) -> str:
    """What a figure calls a norm."""
    return LABELS.get(norm) or (norm if group_size(norm) else f"{norm} norm")


def paper(origin: str) -> str:
    """What a legend calls the paper's values, which never stand without their origin."""
    return f"paper ({origin})"


def labels(norms: Iterable[str]) -> dict[str, str]:
    """What a figure calls each of these norms."""
    return {norm: label(norm) for norm in norms}


def ordered(norms: pd.Series) -> list[str]:
    """The norms present, those of `COLOURS` first and in its order, ghost norms by their images."""
    present = list(norms.unique())
    known = [norm for norm in COLOURS if norm in present]
    return known + sorted(set(present) - set(known), key=lambda norm: (group_size(norm) or 0, norm))


def by_norm(table: pd.DataFrame) -> Look:
    """Arguments for seaborn: a colour for each norm of this table, in order."""
    norms = ordered(table["norm"])
    return {"hue": "norm", "hue_order": norms, "palette": colours(norms)}


def legend(ax: Axes, names: dict[str, str], owner: Figure | None = None, **options: Any) -> None:
    """A legend of those labels in `ax` that are among `names`, in that order and called so, in `ax` or its figure.

    seaborn labels headings, too: these are not among the names.
    """
    labelled = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    shown = {name: labelled[text] for text, name in names.items() if text in labelled}
    (owner or ax).legend(shown.values(), shown.keys(), **options)


def heatmap(ax: Axes, grid: pd.DataFrame, ticks: int = 4, **options: Any) -> None:
    """A heat map of a table, its first row on top, with about so many ticks on each side.

    It has no colour bar. seaborn draws the whole figure to see whether the numbers on an axis overlap; the
    layout, which takes most of the time, can wait.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    engine = figure.get_layout_engine()
    figure.set_layout_engine("none")
    places = {f"{axis}ticklabels": max(1, size // ticks) for axis, size in zip("yx", grid.shape, strict=True)}
    sns.heatmap(grid, ax=ax, cbar=False, **{"rasterized": True} | places | options)
    figure.set_layout_engine(engine)
    ax.tick_params(rotation=0)
    ax.grid(False)


def number(value: float, form: str) -> str:
    """A number in this format, with the minus sign that axes have."""
    return f"{value:{form}}".replace("-", "−")


def span(values: pd.Series, form: str) -> str:
    """Smallest to largest over seeds, each written in this format; a single value alone."""
    low, high = values.min(), values.max()
    return f"{low:{form}}" if len(values) == 1 else f"{low:{form}}–{high:{form}}"


def ticks_at(axis: Axis, values: pd.Series) -> None:
    """Ticks at just the values that occur, for a logarithmic axis with few of them; no minor ticks on either axis."""
    places = sorted(values.unique())
    axis.set_ticks(places, [plain(place, 6) for place in places])
    axis.axes.minorticks_off()


def logarithmic(axis: Axis, values: pd.Series) -> None:
    """Make an axis logarithmic, with ticks that do not run into each other where it spans but a decade or two."""
    positive = values[np.isfinite(values) & (values > 0)]
    decades = np.log10(positive.max() / positive.min()) if len(positive) else 0
    set_scale = axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale
    set_scale("log")
    if decades < 2:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1 else (1, 3)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    axis.set_minor_formatter(NullFormatter())


def save(
    figure: Figure, drawn: dict[str, pd.DataFrame], out: Path, name: str, texts: dict[str, str] | None = None
) -> None:
    """Write NAME.csv, its companions NAME_<key>.csv, NAME.pdf, NAME.svg and NAME.png to `out`, each atomically.

    `texts`: what NAME.png holds besides the picture, by keyword.
    """
    for key, table in drawn.items():
        tables.write(out / (f"{name}_{key}.csv" if key else f"{name}.csv"), table)
    for suffix, metadata in ((".pdf", {"CreationDate": None}), (".svg", {"Date": None}), (".png", texts or {})):
        with files.atomic(out / f"{name}{suffix}") as temporary:
            figure.savefig(temporary, metadata=metadata)
    plt.close(figure)
