"""Sharpness beside the edge of stability, along full-batch gradient descent."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain, positive
from understanding_bn.figures.titles import count, data, listed, network
from understanding_bn.summaries.edge_of_stability import RUN, by_descent, with_share

COLUMNS = [*RUN, "update", "training_loss", "sharpness", "share", "failure"]
LOSSES = {"cross_entropy": "cross-entropy (nats)", "mse": "squared error"}
BAND = (0.8, 1.2)  # what claim L7 requires
LEAST_LOSS = 0.1  # above which it is judged
LIMITS = (0.015, 8)  # of the share that is shown; beyond them lie single spikes, and networks that have collapsed
DASHES: tuple[Any, ...] = ("-", (0, (3, 1.2)), (0, (1, 1)))  # of a learning rate, from the largest


def draw(edge_of_stability: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row per loss and a column per norm and momentum: the share of the edge against updates.

    Thin lines are seeds, thick ones their median, as long as more than half of them go on; line styles are learning
    rates. The training loss is grey, on an axis of its own to the right, which begins
    below the loss at which descents end. The summary has each descent's outcome.

    Raises:
        NothingToShow: no sharpness is finite and above zero.
    """
    table = with_share(edge_of_stability)
    if not len(positive(table["share"])):
        raise NothingToShow("No descent has a sharpness that is finite and above zero.")
    norms = style.ordered(table["norm"])
    palette = style.colours(norms)
    momenta, losses = sorted(table["momentum"].unique()), list(dict.fromkeys(table["loss"]))
    columns = [(norm, momentum) for norm in norms for momentum in momenta]
    size = (style.WIDTH, 1.1 + 1.95 * len(losses))
    figure, axes = plt.subplots(len(losses), len(columns), figsize=size, sharey=True, squeeze=False)
    for number, (row, loss) in enumerate(zip(axes, losses, strict=True)):
        seen = positive(table.loc[(table["loss"] == loss) & (table["failure"] == ""), "training_loss"])
        highest = max(seen.max(), LEAST_LOSS) if len(seen) else 1.0
        for ax, (norm, momentum) in zip(row, columns, strict=True):
            of_panel = (table["loss"] == loss) & (table["norm"] == norm) & (table["momentum"] == momentum)
            right = ax.twinx()
            _panel(ax, right, table[of_panel], palette[norm])
            right.set(yscale="log", ylim=(0.7 * LEAST_LOSS, 1.3 * highest))
            last = ax is row[-1]
            right.minorticks_off()
            right.set_yticks([tick for tick in (0.1, 0.3, 1, 3, 10) if tick < 1.3 * highest])
            right.yaxis.set_major_formatter("{x:g}")
            right.tick_params(labelright=last, right=last, colors="0.45")
            right.spines["right"].set_visible(last)
            if last:
                right.set_ylabel(LOSSES[loss], color="0.45")
            if number == 0:
                ax.set_title(f"{style.label(norm)}, β = {momentum:g}", pad=17)
        row[0].set_ylabel("sharpness · α / (2 + 2β)")
    for ax in axes[-1]:
        ax.set_xlabel("updates")
    _key(figure, table)
    return figure, {"": table[COLUMNS], "summary": by_descent(edge_of_stability, LEAST_LOSS)}


def _panel(ax: Axes, right: Axes, part: pd.DataFrame, colour: str) -> None:
    """The descents of one loss, norm and momentum; `right` is the axis of their loss."""
    ax.axhspan(*BAND, color="0.88", linewidth=0)
    ax.axhline(1, color="0.2", linewidth=0.8)
    looks = DASHES * len(part)
    for dashes, (_, descents) in zip(looks, _from_largest(part), strict=False):
        for _, of_seed in descents.groupby("seed"):
            ax.plot(of_seed["update"], of_seed["share"], color=colour, linestyle=dashes, **style.SEED)
        seeds = descents["seed"].nunique()
        wide = descents.pivot(index="update", columns="seed", values=["share", "training_loss"])
        share, loss = (wide[name].replace([np.inf, -np.inf], np.nan) for name in ("share", "training_loss"))
        for on, values, look in ((ax, share, {"color": colour, "linewidth": 1.3}), (right, loss, {"color": "0.6"})):
            median = values.median(axis=1)[values.notna().sum(axis=1) > seeds / 2]
            on.plot(median.index, median, linestyle=dashes, **{"linewidth": 0.8} | look)
        failed = descents[descents["failure"] != ""]
        high = np.full(len(failed), 0.95)
        ax.plot(failed["update"], high, "x", color=colour, markersize=4, transform=ax.get_xaxis_transform())
    ax.set(yscale="log", ylim=LIMITS)
    ax.set_yticks([0.1, 1], ["0.1", "1"])
    ax.minorticks_off()
    ax.set_zorder(right.get_zorder() + 1)
    ax.patch.set_visible(False)
    right.grid(False)
    names = [f"α = {plain(alpha)}" for alpha, _ in _from_largest(part)]
    handles = [Line2D([], [], color=colour, linestyle=looks[n], label=name) for n, name in enumerate(names)]
    # Above the panel: every place in it may hold a line.
    place: style.Look = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.01), "borderaxespad": 0, "borderpad": 0.1}
    short: style.Look = {"handlelength": 1.6, "handletextpad": 0.4, "columnspacing": 0.8, "fontsize": 6.5}
    if handles:
        ax.legend(handles=handles, ncols=2, **place | short)


def _from_largest(part: pd.DataFrame) -> list[tuple[float, pd.DataFrame]]:
    """Each learning rate and its rows, the largest first."""
    return [(alpha, part[part["alpha"] == alpha]) for alpha in sorted(part["alpha"].unique(), reverse=True)]


def _key(figure: Figure, table: pd.DataFrame) -> None:
    """What the marks mean in all panels, and what is descended."""
    seeds = table["seed"].nunique()
    lines: keys.Group = {f"median of {count(seeds, 'seed')}": keys.line(linewidth=1.3)}
    if seeds > 1:
        lines["one seed"] = keys.line(**style.SEED)
    lines["median training loss (right)"] = keys.line(color="0.6", linewidth=0.8)
    edge: keys.Group = {
        "edge of stability": keys.line(color="0.2", linewidth=0.8),
        f"within {100 * (BAND[1] - 1):.0f} % of it": keys.band(facecolor="0.88"),
    }
    if (table["failure"] != "").any():
        edge["update at which one failed"] = keys.marker("x")
    facts = table.iloc[0]
    setting = f"{network(facts['arch'])}, {listed(table['batch_size'])} images of {data(facts['dataset'])}"
    keys.key(figure, {setting: lines, "edge": edge})
