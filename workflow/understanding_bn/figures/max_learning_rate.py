"""The largest stable learning rate against depth, and against the initialisation."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.figures import style
from understanding_bn.summaries.max_learning_rate import SEARCH, crossed, largest_by_network, varied

COLUMNS = ["norm", "init", "depth", "seed", "alpha", "limit", "fails_by"]
TRIALS = [*SEARCH, "batch_size", "updates", "alpha", "outcome", "update"]
MARKERS = {"": "o", "above": "^", "below": "v"}  # an arrow up where every α of the grid was stable
DASHES = ("-", (0, (3, 1.2)), (0, (1, 1)))  # of an initialisation


def draw(max_learning_rate: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Against depth, and against the initialisation; dots are seeds, lines their median.

    A factor with one value has no panel, unless nothing varies. Where initialisations were searched at several depths,
    another panel has them, all without normalisation. The summary has every learning rate tried and its outcome.
    """
    table = largest_by_network(max_learning_rate)
    by_depth, by_init, others = varied(table, "depth"), varied(table, "init"), crossed(table)
    panels: list[tuple[Callable[[Axes, pd.DataFrame], None], pd.DataFrame]] = [
        (panel, rows)
        for panel, rows, several in (
            (_against_depth, by_depth, by_depth["depth"].nunique() > 1),
            (_against_init, by_init, by_init["init"].nunique() > 1),
            (_crossed, others, len(others) > 0),
        )
        if several
    ] or [(_against_depth, by_depth)]
    size = style.WIDTH * (0.75 if len(panels) == 1 else 1), 2.7
    figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
    for ax, (panel, rows) in zip(axes[0], panels, strict=True):
        panel(ax, rows)
    axes[0, 0].set(yscale="log", ylabel="largest stable learning rate α")
    facts = max_learning_rate.iloc[0]
    seeds = f"{table['seed'].nunique()} seeds, B = {facts['batch_size']}, {facts['updates']} updates"
    if panels[0][0] is _crossed:
        axes[0, 0].legend(loc="best", handlelength=2.5, title=seeds)
    else:
        style.legend(axes[0, 0], style.labels(style.by_norm(table)["hue_order"]), loc="best", title=seeds)
    return figure, {"": table[COLUMNS], "summary": max_learning_rate[TRIALS]}


def _sides(rows: pd.DataFrame) -> pd.Series:
    """From −1 to 1 by norm, so that the dots of norms stand side by side."""
    norms = style.by_norm(rows)["hue_order"]
    return rows["norm"].map(dict(zip(norms, np.linspace(-1, 1, len(norms)) if len(norms) > 1 else [0], strict=True)))


def _dots(ax: Axes, rows: pd.DataFrame) -> None:
    look = {"style": "limit", "markers": MARKERS, "legend": False} | style.DOTS
    sns.scatterplot(rows, x="place", y="alpha", ax=ax, **style.by_norm(rows), **look)


def _against_depth(ax: Axes, by_depth: pd.DataFrame) -> None:
    """A line per norm against depth."""
    sns.lineplot(by_depth, x="depth", y="alpha", estimator="median", errorbar=None, ax=ax, **style.by_norm(by_depth))
    _dots(ax, by_depth.assign(place=by_depth["depth"] * 1.03 ** _sides(by_depth)))
    ax.set(xscale="log", xlabel="depth")
    style.ticks_at(ax.xaxis, by_depth["depth"])
    ax.set_title(", ".join(by_depth["init"].unique()).replace("_", " "))


def _against_init(ax: Axes, by_init: pd.DataFrame) -> None:
    """Dots by initialisation."""
    inits = list(dict.fromkeys(by_init["init"]))
    _dots(ax, by_init.assign(place=by_init["init"].map(inits.index) + 0.12 * _sides(by_init)))
    ax.set_xticks(range(len(inits)), [init.replace("_", "\n") for init in inits])
    ax.set(xlabel="", xlim=(-0.5, len(inits) - 0.5))
    ax.set_title(f"depth {', '.join(str(depth) for depth in by_init['depth'].unique())}")


def _crossed(ax: Axes, others: pd.DataFrame) -> None:
    """A line per initialisation against depth, without normalisation."""
    inits = sorted(others["init"].unique())
    dashes = dict(zip(inits, DASHES * len(inits), strict=False))
    colour = style.colours(["none"])["none"]
    for init, of_init in others.groupby("init"):
        median = of_init.groupby("depth")["alpha"].median()
        ax.plot(median.index, median, color=colour, linestyle=dashes[init], label=init.replace("_", " "))
    look = {"style": "limit", "markers": MARKERS, "legend": False} | style.DOTS
    sns.scatterplot(others, x="depth", y="alpha", ax=ax, color=colour, **look)
    ax.set(xscale="log", xlabel="depth")
    style.ticks_at(ax.xaxis, others["depth"])
    ax.set_title("initialisations, no norm")
    ax.legend(loc="best", handlelength=2.5)
