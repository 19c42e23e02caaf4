"""The key of a figure: what each line, band, marker and colour is, in columns with headings, outside the data."""

from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from understanding_bn.figures import style

Group = dict[str, Artist]  # name: how it looks
GREY = "0.35"  # of what looks the same for every norm


def line(**look: Any) -> Line2D:
    """A line or marker for a key."""
    return Line2D([], [], **{"color": GREY} | look)


def marker(shape: str, **look: Any) -> Line2D:
    """A marker without a line."""
    return line(**{"marker": shape, "linestyle": "", "markersize": 4} | look)


def band(**look: Any) -> Patch:
    """A filled area."""
    return Patch(**{"facecolor": GREY, "linewidth": 0} | look)


def norms(palette: dict[str, str], **look: Any) -> Group:
    """A line in the colour of each norm."""
    return {style.label(norm): line(**{"color": colour, "linewidth": 1.6} | look) for norm, colour in palette.items()}


def key(figure: Figure, groups: dict[str, Group], **options: Any) -> None:
    """Put a key below all panels, one column for each group that has something in it.

    matplotlib fills the columns of a legend from the top, evenly: short groups are filled up with empty entries.
    """
    shown = {title: group for title, group in groups.items() if group}
    rows = max(map(len, shown.values()), default=0)
    handles: list[Artist] = []
    names: list[str] = []
    for title, group in shown.items():
        empty = rows - len(group)
        handles += [line(linestyle=""), *group.values(), *(line(linestyle="") for _ in range(empty))]
        names += [title, *group, *[""] * empty]
    if not shown:
        return
    place = {"loc": "outside lower center", "ncols": len(shown), "handlelength": 1.8, "labelspacing": 0.35}
    legend = figure.legend(handles, names, **place | options)
    for text in legend.get_texts():
        if text.get_text() in shown:
            text.set_weight("bold")
