"""The largest stable learning rate against depth, and against the initialisation."""

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

    Where initialisations were searched at several depths, a third panel has them, all without normalisation. The
    summary has every learning rate tried and its outcome.
    """
    table = largest_by_network(max_learning_rate)
    colour = style.by_norm(table)
    norms = colour["hue_order"]
    by_depth, by_init = varied(table, "depth"), varied(table, "init")
    inits = list(dict.fromkeys(by_init["init"]))
    sides = dict(zip(norms, np.linspace(-1, 1, len(norms)) if len(norms) > 1 else [0], strict=True))
    by_depth = by_depth.assign(place=by_depth["depth"] * 1.03 ** by_depth["norm"].map(sides))
    by_init = by_init.assign(place=by_init["init"].map(inits.index) + 0.12 * by_init["norm"].map(sides))
    others = crossed(table)
    panels = 3 if len(others) else 2
    figure, (left, right, *third) = plt.subplots(1, panels, figsize=(style.WIDTH, 2.7), sharey=True)
    sns.lineplot(by_depth, x="depth", y="alpha", estimator="median", errorbar=None, ax=left, **colour)
    for ax, dots in ((left, by_depth), (right, by_init)):
        look = {"style": "limit", "markers": MARKERS, "legend": False} | style.DOTS
        sns.scatterplot(dots, x="place", y="alpha", ax=ax, **colour, **look)
    left.set(xscale="log", yscale="log", xlabel="depth", ylabel="largest stable learning rate α")
    style.ticks_at(left.xaxis, by_depth["depth"])
    left.set_title(", ".join(by_depth["init"].unique()).replace("_", " "))
    right.set_xticks(range(len(inits)), [init.replace("_", "\n") for init in inits])
    right.set(xlabel="", xlim=(-0.5, len(inits) - 0.5))
    right.set_title(f"depth {', '.join(str(depth) for depth in by_init['depth'].unique())}")
    for ax in third:
        _crossed(ax, others)
    facts = max_learning_rate.iloc[0]
    seeds = f"{table['seed'].nunique()} seeds, B = {facts['batch_size']}, {facts['updates']} updates"
    style.legend(left, style.labels(norms), loc="best", title=seeds)
    return figure, {"": table[COLUMNS], "summary": max_learning_rate[TRIALS]}


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
