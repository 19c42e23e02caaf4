"""The best batch size at each learning rate with batch norm, at equal updates: is it in proportion to α?"""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.ghost_statistics import SHAPES
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain
from understanding_bn.figures.titles import count, network
from understanding_bn.summaries.batch_noise import BEST, best_sizes, sizes_at_equal_updates
from understanding_bn.summaries.training import chosen_by

COLUMNS = BEST


def draw(histories: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Left, test accuracy against B, a line per α; right, the best B of each seed against α with lines of slope 1.

    Raises:
        NothingToShow: batch norm was not trained at two or more α with three B or more each, at equal updates.
    """
    table = sizes_at_equal_updates(histories, least_alphas=2)
    if table.empty or (table["failure"] != "").all():
        raise NothingToShow("No grid of batch norm over α and three B or more has runs with equally many updates.")
    best = best_sizes(table)
    alphas, sizes = sorted(table["alpha"].unique(), reverse=True), sorted(table["batch_size"].unique())
    figure, (left, right) = plt.subplots(1, 2, figsize=(style.WIDTH, 3.0), width_ratios=(1.3, 1))
    lines: keys.Group = {}
    for number, alpha in enumerate(alphas):
        shade = plt.cm.viridis(0.1 + 0.75 * number / max(len(alphas) - 1, 1))
        look: style.Look = {"color": shade, "marker": SHAPES[number % len(SHAPES)], "markersize": 4}
        runs = table[(table["alpha"] == alpha) & (table["failure"] == "")]
        seeds = (100 * runs["test_accuracy"].astype(float)).groupby(runs["batch_size"]).agg(["mean", "std"])
        left.errorbar(seeds.index, seeds["mean"], yerr=seeds["std"].fillna(0), elinewidth=0.8, linewidth=1, **look)
        _best(right, best[best["alpha"] == alpha], look)
        lines[plain(alpha)] = keys.line(**look)
    for ax, axis in ((left, left.xaxis), (right, right.yaxis)):
        axis.set_ticks([])
        (ax.set_xscale if ax is left else ax.set_yscale)("log", base=2)
        axis.set_ticks(sizes, [str(size) for size in sizes])
        ax.minorticks_off()
    left.set(xlabel="batch size B", ylabel="test accuracy (%)")
    right.set_xscale("log")
    right.set_xticks(alphas, [plain(alpha) for alpha in alphas])
    right.minorticks_off()
    low, high = np.array([alphas[-1] / 1.5, alphas[0] * 1.5]), (sizes[0] / 2**0.5, sizes[-1] * 2**0.5)
    for shift in np.arange(-12, 13):  # proportional: a doubling of α is one of B
        ends = low / alphas[-1] * sizes[0] * 2.0**shift
        right.plot(low, ends, zorder=0, **style.LAW)
    right.set(xlim=tuple(low), ylim=high, xlabel="learning rate α", ylabel="best batch size B")
    by = "validation" if chosen_by(table) == "validation_accuracy" else "test"
    seeds_text = count(int(table["seed"].nunique()), "seed")
    marks: keys.Group = {
        f"left: mean ± standard deviation, {seeds_text}": keys.marker("o"),
        f"right: one seed’s best on the {by} images; more seeds, larger": keys.marker("o", mfc="none"),
        "right: B in proportion to α": keys.line(**style.LAW),
    }
    facts = table.iloc[0]
    keys.key(figure, {"learning rate α": lines, f"{network(facts['arch'])}, batch norm, equal updates": marks})
    return figure, {"": table[COLUMNS], "summary": best}


def _best(ax: Axes, best: pd.DataFrame, look: style.Look) -> None:
    """A ring at each best B of one α, larger where it is that of more seeds."""
    for size, seeds in best.groupby("batch_size"):
        ring: style.Look = look | {"markersize": 3 + 2 * len(seeds), "mfc": "none", "mew": 1, "linestyle": ""}
        ax.plot(seeds["alpha"].iloc[:1], [size], **ring)
