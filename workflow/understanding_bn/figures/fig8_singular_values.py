"""Figs. 8 and 9: singular values of products of Gaussian matrices, with Theorem 1's density over them."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.analysis.random_matrices import density_of_singular_values
from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain, span
from understanding_bn.summaries.random_matrices import COLUMNS, bin_width, bins, draws

ACROSS = 4  # panels side by side
COUNTS: style.Look = {"facecolor": "#BBD8EA", "edgecolor": "#0072B2", "linewidth": 0.7}
THEOREM: style.Look = {"color": "black", "linewidth": 1}


def draw(random_matrices: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """One panel per number of factors: counts over all draws, and Theorem 1's expectation as a line.

    50 bins reach from 0 to Theorem 1's upper edge; where finite matrices overshoot it, there are more bins.

    Raises:
        NothingToShow: no singular value is finite.
    """
    counts, summary = bins(random_matrices), draws(random_matrices)
    factors = sorted(counts["factors"].unique())
    if not factors:
        raise NothingToShow("No singular value is finite.")
    rows, columns = -(-len(factors) // ACROSS), min(ACROSS, len(factors))
    size = style.WIDTH * min(1, 0.1 + 0.3 * columns), 0.5 + 2.2 * rows
    figure, axes = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False)
    for ax in axes.flat[len(factors) :]:
        ax.set_axis_off()
    for ax, number in zip(axes.flat, factors, strict=False):
        _panel(ax, counts[counts["factors"] == number], summary[summary["factors"] == number])
        ax.set_xlabel("singular value")
    highest = counts.groupby(["factors", "bin_left"])["count"].sum().max()
    axes[0, 0].set_ylim(min(5, highest / 2), 1.5 * highest)
    number, matrices = int(summary["size"].iloc[0]), summary.groupby("factors").size()
    for ax in axes[:, 0]:
        ax.set_ylabel("singular values in a bin")
    groups: dict[str, keys.Group] = {
        "counts": {f"{span(matrices)} draws of {number:,} × {number:,} matrices": keys.band(**COUNTS)},
        "law": {"Theorem 1": keys.line(**THEOREM)},
        "titles": {r"condition number $\sigma_1/\sigma_N$: median (range over draws)": keys.line(linestyle="")},
    }
    keys.key(figure, groups, headings=False)
    return figure, {"": counts[COLUMNS], "summary": summary}


def _panel(ax: Axes, counts: pd.DataFrame, summary: pd.DataFrame) -> None:
    """The counts of all draws, Theorem 1, and the condition number, its median and range over draws."""
    number = counts["factors"].iloc[0]
    totals = counts.groupby(["bin_left", "bin_right"], as_index=False)["count"].sum()
    edges = np.append(totals["bin_left"], totals["bin_right"].iloc[-1])
    ax.stairs(totals["count"], edges, fill=True, **COUNTS)
    s, density = density_of_singular_values(number)
    ax.plot(s, density * bin_width(number) * totals["count"].sum(), **THEOREM)
    conditions = summary["condition_number"].dropna()
    title = f"{number} factor{'' if number == 1 else 's'}"
    if len(conditions):
        title += f"\ncondition number {plain(conditions.median(), 2)}"
    if len(conditions) > 1:
        title += f"\n({plain(conditions.min(), 2)} to {plain(conditions.max(), 2)})"
    ax.set_title(title)
    ax.set(yscale="log", xlim=(0, edges[-1]))
