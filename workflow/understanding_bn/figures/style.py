"""One look for all figures: readable at print size, colour-blind-safe, the same colour for a norm everywhere."""

from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from understanding_bn import files, tables

mpl.use("Agg")
mpl.rcParams.update(
    {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "legend.fontsize": 7,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "0.9",
        "grid.linewidth": 0.5,
        "lines.linewidth": 1.2,
        "legend.frameon": False,
        "figure.constrained_layout.use": True,
        "savefig.dpi": 200,
        "pdf.fonttype": 42,
        "svg.hashsalt": "understanding-bn",
    }
)

WIDTH = 6.75  # inches, a page's text width

# Okabe & Ito's palette; norms that are not named take the colours left over, in order.
COLOURS = {
    "batch": "#0072B2",
    "none": "#D55E00",
    "batch-final": "#009E73",
    "layer": "#CC79A7",
    "group": "#56B4E9",
}
SPARE = ("#E69F00", "#000000", "#999933", "#882255")
LABELS = {
    "batch": "batch norm",
    "none": "no norm",
    "batch-final": "single final BN",
    "layer": "layer norm",
    "group": "group norm",
    "instance": "instance norm",
}


def colours(norms: list[str]) -> dict[str, str]:
    """A colour for each norm, the same in every figure for those that have one of their own."""
    spare = cycle(SPARE)
    return {norm: COLOURS.get(norm) or next(spare) for norm in norms}


def label(norm: str) -> str:
    """What a figure calls a norm."""
    return LABELS.get(norm, f"{norm} norm")


def span(values: pd.Series, form: str) -> str:
    """Smallest to largest over seeds, each written in this format; a single value alone."""
    low, high = values.min(), values.max()
    return f"{low:{form}}" if len(values) == 1 else f"{low:{form}}–{high:{form}}"


def ordered(norms: pd.Series) -> list[str]:
    """The norms present, those of `COLOURS` first and in its order."""
    present = list(norms.unique())
    known = [norm for norm in COLOURS if norm in present]
    return known + sorted(set(present) - set(known))


def logarithmic(axis: Axis, values: pd.Series) -> None:
    """Make an axis logarithmic, with ticks that do not run into each other where it spans but a decade or two."""
    positive = values[np.isfinite(values) & (values > 0)]
    decades = np.log10(positive.max() / positive.min()) if len(positive) else 0
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    if decades < 2:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1 else (1, 3)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def save(figure: Figure, drawn: dict[str, pd.DataFrame], out: Path, name: str) -> None:
    """Write NAME.csv, its companions NAME_<key>.csv, NAME.pdf, NAME.svg and NAME.png to `out`, each atomically."""
    for key, table in drawn.items():
        tables.write(out / (f"{name}_{key}.csv" if key else f"{name}.csv"), table)
    for suffix, metadata in ((".pdf", {"CreationDate": None}), (".svg", {"Date": None}), (".png", {})):
        with files.atomic(out / f"{name}{suffix}") as temporary:
            figure.savefig(temporary, metadata=metadata)
    plt.close(figure)
