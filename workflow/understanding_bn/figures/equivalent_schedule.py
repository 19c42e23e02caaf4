"""Weight decay beside the exponential learning rate that should replace it: how far their logits are apart."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain
from understanding_bn.figures.titles import count, initialisation, network
from understanding_bn.summaries.equivalent_schedule import KEYS, NOTHING, medians

COLUMNS = [*KEYS, "seed", "update", "loss", "difference"]
BOUND = 1e-6  # what claim Ef requires
# By the assumption that is broken: name and line.
BROKEN: dict[str, tuple[str, style.Look]] = {
    NOTHING: ("no decay, exponential schedule (in colour)", {"linewidth": 1.8}),
    "schedule": ("no decay, constant α", {"linestyle": (0, (5, 1.5)), "linewidth": 1.1}),
    "kernels only": ("schedule, but for all parameters", {"linestyle": (0, (3, 1, 1, 1)), "linewidth": 1.1}),
    "momentum": ("schedule, but with momentum", {"linestyle": (0, (1, 1)), "linewidth": 1.3}),
    "epsilon": ("schedule, but with the ε of training", {"linestyle": "-", "linewidth": 0.9}),
}


def draw(equivalent_schedule: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A panel per norm: the largest difference of logits against updates, on a logarithmic axis.

    Lines are medians over seeds, bands their range; a line for each assumption that is broken. Before the first update
    the difference is zero, which has no place on the axis. The summary has the medians and ranges.

    Raises:
        NothingToShow: no difference after an update is finite and above zero.
    """
    summary = medians(equivalent_schedule)
    shown = summary[np.isfinite(summary["median"]) & (summary["median"] > 0)]
    if shown.empty:
        raise NothingToShow("No two trajectories have logits that are finite and differ.")
    norms = style.ordered(equivalent_schedule["norm"])
    palette = style.colours(norms)
    size = (style.WIDTH, 3.3)
    figure, axes = plt.subplots(1, len(norms), figsize=size, sharex=True, sharey=True, squeeze=False)
    for ax, norm in zip(axes[0], norms, strict=True):
        _panel(ax, shown[shown["norm"] == norm], palette[norm])
        ax.set(title=style.label(norm), xlabel="updates")
    style.logarithmic(axes[0, 0].yaxis, shown["median"])
    axes[0, 0].set_ylabel("largest |difference of logits|")
    _key(figure, equivalent_schedule, shown)
    return figure, {"": equivalent_schedule[COLUMNS], "summary": summary}


def _panel(ax: Axes, rows: pd.DataFrame, colour: str) -> None:
    """The comparisons of one norm. The theorem's own has the norm's colour, the others are grey."""
    ax.axhline(BOUND, **style.LAW)
    for broken, (_, look) in BROKEN.items():
        line = rows[rows["broken"] == broken]
        shade = colour if broken == NOTHING else keys.GREY
        ax.plot(line["update"], line["median"], color=shade, **look)
        ax.fill_between(line["update"], line["min"].where(line["min"] > 0), line["max"], color=shade, **style.BAND)


def _key(figure: Figure, table: pd.DataFrame, shown: pd.DataFrame) -> None:
    """What the lines are, and what was trained."""
    facts, seeds = table.iloc[0], table["seed"].nunique()
    drawn = set(shown["broken"])
    lines: keys.Group = {name: keys.line(**look) for broken, (name, look) in BROKEN.items() if broken in drawn}
    marks: keys.Group = {f"median of {count(seeds, 'seed')}" if seeds > 1 else "one seed": keys.line(linewidth=1.6)}
    if seeds > 1:
        marks["their range"] = keys.band(alpha=style.BAND["alpha"])
    marks[f"bound, {BOUND:.0e}".replace("e-0", "e−")] = keys.line(**style.LAW)
    setting = f"beside decay λ = {plain(facts['weight_decay'])} at α = {plain(facts['alpha'])} (float64)"
    where = f"{network(facts['arch'])}, {initialisation(facts['init'])}, B = {facts['batch_size']}"
    keys.key(figure, {setting: lines, where: marks})
