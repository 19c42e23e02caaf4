"""The key of a figure: what each line, band, marker and colour is, in columns with headings, outside the data."""

from collections.abc import Collection, Mapping
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from understanding_bn.figures import style

Group = dict[str, Artist]  # name: how it looks
GREY = "0.35"  # of what looks the same for every norm
LOST = "0.75"  # behind a heat map: the grey of values that are not finite


def line(**look: Any) -> Line2D:
    """A line or marker for a key."""
    return Line2D([], [], **{"color": GREY} | look)


def marker(shape: str, **look: Any) -> Line2D:
    """A marker without a line."""
    return line(**{"marker": shape, "linestyle": "", "markersize": 4} | look)


def band(**look: Any) -> Patch:
    """A filled area."""
    own: style.Look = {"facecolor": GREY, "linewidth": 0} | look
    return Patch(**own)


def norms(palette: dict[str, str], drawn: Collection[str] | None = None, **look: Any) -> Group:
    """A line in the colour of each norm; those of which nothing can be drawn say so."""
    group: Group = {}
    for norm, colour in palette.items():
        missing = drawn is not None and norm not in drawn
        name = f"{style.label(norm)}: no value to draw" if missing else style.label(norm)
        group[name] = line(**{"color": colour, "linewidth": 1.6} | look)
    return group


def key(figure: Figure, groups: Mapping[str, Mapping[str, Artist]], headings: bool = True, **options: Any) -> None:
    """Put a key below all panels, one column for each group that has something in it.

    matplotlib fills the columns of a legend from the top, evenly: short groups are filled up with empty entries.
    """
    shown = {title: group for title, group in groups.items() if group}
    rows = max(map(len, shown.values()), default=0)
    handles: list[Artist] = []
    names: list[str] = []
    for title, group in shown.items():
        empty = rows - len(group)
        handles += [line(linestyle="")] * headings + [*group.values(), *(line(linestyle="") for _ in range(empty))]
        names += [title] * headings + [*group, *[""] * empty]
    if not shown:
        return
    place: style.Look = {"loc": "outside lower center", "ncols": len(shown), "handlelength": 1.8, "labelspacing": 0.35}
    legend = figure.legend(handles, names, **place | options)
    for text in legend.get_texts():
        if text.get_text() in shown:
            text.set_fontweight("bold")
