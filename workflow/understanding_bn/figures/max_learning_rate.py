"""The largest stable learning rate against depth, and against the initialisation."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.titles import count, initialisation, listed
from understanding_bn.summaries.max_learning_rate import SEARCH, crossed, largest_by_network, varied

COLUMNS = ["norm", "init", "depth", "seed", "alpha", "limit", "fails_by"]
TRIALS = [*SEARCH, "batch_size", "updates", "alpha", "outcome", "update"]
# Where every α of the grid was stable the true value is above, where none was it is below the smallest one tried.
MARKERS = {"": "o", "above": "^", "below": "v"}
LIMITS = {"above": "every rate tried is stable", "below": "no rate tried is stable"}
DASHES = ("-", (0, (3, 1.2)), (0, (1, 1)), (0, (5, 1, 1, 1)))  # of an initialisation
MEDIAN: style.Look = {"linewidth": 1.2}
DOT: style.Look = {"linestyle": "", "markersize": 3.4, "mew": 0, "alpha": 0.75}
SIDE = 0.022  # of a panel's width between the dots of seeds with the same rate

Panel = Callable[[Axes, pd.DataFrame], None]


def draw(max_learning_rate: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Against depth, and against the initialisation; one dot per seed, lines their median.

    Seeds with the same rate stand side by side. A factor with one value has no panel, unless nothing varies. Where
    initialisations were searched at several depths, another panel has them, all without normalisation. The summary has
    every learning rate tried and its outcome.

    Raises:
        NothingToShow: nothing was searched.
    """
    if max_learning_rate.empty:
        raise NothingToShow("No network was searched for its largest stable learning rate.")
    table = largest_by_network(max_learning_rate)
    tried = max_learning_rate.groupby(SEARCH)["alpha"].min().rename("smallest").reset_index()
    shown = table.merge(tried, on=SEARCH)
    shown["rate"] = shown["alpha"].fillna(shown["smallest"])
    by_depth, by_init, others = varied(shown, "depth"), varied(shown, "init"), crossed(shown)
    panels: list[tuple[Panel, pd.DataFrame]] = [
        (panel, rows)
        for panel, rows, several in (
            (_against_depth, by_depth, by_depth["depth"].nunique() > 1),
            (_against_init, by_init, by_init["init"].nunique() > 1),
            (_crossed, others, len(others) > 0),
        )
        if several
    ] or [(_against_depth, by_depth)]
    size = style.WIDTH * (0.6 if len(panels) == 1 else 1), 3.0
    figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
    for ax, (panel, rows) in zip(axes[0], panels, strict=True):
        panel(ax, rows)
    rates = pd.concat([rows["rate"] for _, rows in panels])
    style.logarithmic(axes[0, 0].yaxis, rates)
    axes[0, 0].yaxis.set_minor_locator(NullLocator())
    axes[0, 0].set_ylabel("largest stable learning rate α")
    _key(figure, max_learning_rate, pd.concat([rows for _, rows in panels]))
    return figure, {"": table[COLUMNS], "summary": max_learning_rate[TRIALS]}


def side_by_side(rows: pd.DataFrame, place: str) -> pd.Series:
    """Where rows of the same place and rate stand around it: −1, 0 and 1 for three, in units of a dot."""
    same = rows.groupby([place, "rate"])["rate"]
    return same.cumcount() - (same.transform("size") - 1) / 2


def _dots(ax: Axes, places: pd.Series, rows: pd.DataFrame) -> None:
    """A marker for each seed, in the colour of its norm."""
    for norm, colour in style.colours(style.ordered(rows["norm"])).items():
        for limit, marker in MARKERS.items():
            those = (rows["norm"] == norm) & (rows["limit"] == limit)
            ax.plot(places[those], rows.loc[those, "rate"], marker, color=colour, **DOT)


def _against_depth(ax: Axes, rows: pd.DataFrame) -> None:
    """A line for each norm against depth."""
    for norm, colour in style.colours(style.ordered(rows["norm"])).items():
        median = rows[rows["norm"] == norm].groupby("depth")["rate"].median()
        ax.plot(median.index, median, color=colour, **MEDIAN)
    _by_depth(ax, rows)
    ax.set_title(", ".join(map(initialisation, rows["init"].unique())))


def _by_depth(ax: Axes, rows: pd.DataFrame) -> None:
    """Dots over a logarithmic axis of depth."""
    shallow, deep = rows["depth"].min(), rows["depth"].max()
    width = 1.25 * (deep / shallow if deep > shallow else 2) ** 1.1
    _dots(ax, rows["depth"] * width ** (SIDE * side_by_side(rows, "depth")), rows)
    middle = np.sqrt(shallow * deep)
    ax.set(xscale="log", xlabel="depth (layers)", xlim=(middle / width**0.5, middle * width**0.5))
    style.ticks_at(ax.xaxis, rows["depth"])


def _against_init(ax: Axes, rows: pd.DataFrame) -> None:
    """Dots and a dash at their median for each initialisation and norm."""
    inits = list(dict.fromkeys(rows["init"]))
    norms = style.ordered(rows["norm"])
    place = rows["init"].map(inits.index).astype(float)
    _dots(ax, place + len(inits) * SIDE * side_by_side(rows, "init"), rows)
    for norm, colour in style.colours(norms).items():
        for init, median in rows[rows["norm"] == norm].groupby("init")["rate"].median().items():
            x = inits.index(init)
            ax.plot([x - 0.2, x + 0.2], [median] * 2, color=colour, zorder=1.5, **MEDIAN)
    ax.set_xticks(range(len(inits)), [initialisation(init).replace(" ", "\n") for init in inits])
    ax.set(xlabel="initialisation", xlim=(-0.5, len(inits) - 0.5))
    ax.set_title(f"depth {listed(rows['depth'])}")


def _crossed(ax: Axes, rows: pd.DataFrame) -> None:
    """A line for each initialisation against depth, without normalisation, with its name at the end."""
    colour = style.colours(["none"])["none"]
    for dashes, (init, of_init) in zip(DASHES * len(rows), rows.groupby("init"), strict=False):
        median = of_init.groupby("depth")["rate"].median()
        ax.plot(median.index, median, color=colour, linestyle=dashes, label=initialisation(str(init)), **MEDIAN)
    _by_depth(ax, rows)
    ax.set_title("initialisations, no norm")


def _key(figure: Figure, trials: pd.DataFrame, shown: pd.DataFrame) -> None:
    """Colours, line styles and markers, and how long the searches were."""
    palette = style.colours(style.ordered(shown["norm"]))
    lines: keys.Group = {}
    for ax in figure.axes:
        for handle in ax.get_lines():
            if not str(handle.get_label()).startswith("_"):
                lines[str(handle.get_label())] = keys.line(
                    color=handle.get_color(), linestyle=handle.get_linestyle(), **MEDIAN
                )
    marks: keys.Group = {"one seed": keys.marker("o", markersize=3.4)}
    marks |= {text: keys.marker(MARKERS[limit]) for limit, text in LIMITS.items() if limit in set(shown["limit"])}
    seeds = count(shown["seed"].nunique(), "seed")
    setting = f"{seeds}, B = {listed(trials['batch_size'])}, {listed(trials['updates'])} updates"
    of_norms = keys.norms(palette) if len(palette) > 1 or not lines else {}
    keys.key(figure, {"median": of_norms, "median, no norm": lines, setting: marks})
