"""Fig. 3: loss after one step along the gradient, over the loss before it."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from understanding_bn import paper
from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import positive
from understanding_bn.summaries.relative_loss import landmarks, medians

COLUMNS = ["norm", "seed", "minibatch", "step_size", "relative_loss"]
HIGHEST = 1e7  # relative loss at which a panel ends
MINIMUM = f"minimum, {style.paper(paper.RELATIVE_LOSS_MINIMUM.origin)}"
CROSSING = f"crossings of 1, 10³, 10⁶, {style.paper(paper.RELATIVE_LOSS_CROSSINGS.origin)}"
MARKS: dict[str, style.Look] = {
    MINIMUM: {"marker": "x", "markersize": 5, "color": "black"},
    CROSSING: {"marker": "o", "markersize": 4, "color": "black", "markerfacecolor": "white"},
}
MEDIAN: style.Look = {"linewidth": 1.6}
LEVELS = {
    "loss as before": (1, {"color": "0.4", "linewidth": 0.7}),
    "loss grown 1,000 times": (1e3, {"color": "0.4", "linewidth": 0.7, "linestyle": ":"}),
}


def draw(relative_loss: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row per norm and a column per mini-batch, a thin line per seed and the median over seeds in bold.

    Both axes are logarithmic; all panels share their steps, those of a row their losses. A curve that leaves its panel
    at the top goes on rising or overflows; the CSV has its values.

    Raises:
        NothingToShow: no loss after a step is finite.
    """
    minibatches = sorted(relative_loss["minibatch"].unique())
    norms = style.ordered(relative_loss["norm"])[::-1]  # without normalisation above, as in the paper
    palette = style.colours(norms[::-1])
    losses = relative_loss["relative_loss"].astype(float)
    finite, middle = relative_loss[np.isfinite(losses) & (losses > 0)], medians(relative_loss)
    if finite.empty:
        raise NothingToShow("No step along the gradient, however small, left a finite loss.")
    several = relative_loss["seed"].nunique() > 1
    shape, size = (len(norms), len(minibatches)), (style.WIDTH, 1.1 + 1.75 * len(norms))
    figure, axes = plt.subplots(*shape, figsize=size, sharex=True, sharey="row", squeeze=False)
    named: set[str] = set()
    for row, norm in zip(axes, norms, strict=True):
        _limit(row[0], finite.loc[finite["norm"] == norm, "relative_loss"])
        for ax, number in zip(row, minibatches, strict=True):
            seeds, median = (t[(t["norm"] == norm) & (t["minibatch"] == number)] for t in (finite, middle))
            for _, curve in seeds.groupby("seed"):
                _curve(ax, curve, color=palette[norm], **style.SEED if several else MEDIAN)
            if several:
                _curve(ax, median, color=palette[norm], label=style.label(norm), **MEDIAN)
            if seeds.empty:
                ax.text(0.5, 0.5, "no finite loss", transform=ax.transAxes, ha="center", color=palette[norm])
            if paper.is_scale_of(relative_loss):
                named |= _paper_marks(ax, norm, number)
            for level, look in LEVELS.values():
                ax.axhline(level, **look)
            ax.set(xscale="log", title=f"{style.label(norm)}, mini-batch {number}", xlabel="step size s")
            ax.set_ylabel("loss after the step / before")
            ax.label_outer(remove_inner_ticks=True)
    number = relative_loss["seed"].nunique()
    lines: keys.Group = {f"median of {number} seeds": keys.line(**MEDIAN), "one seed": keys.line(**style.SEED)}
    lines = lines if several else {"one seed": keys.line(**MEDIAN)}
    highest = max(ax.get_ylim()[1] for ax in axes[:, 0])
    levels = {name: keys.line(**look) for name, (level, look) in LEVELS.items() if level < highest}
    marks = {name: keys.line(linestyle="", **look) for name, look in MARKS.items() if name in named}
    keys.key(figure, {"norm": keys.norms(palette), "curves": lines, "levels": levels, "marks": marks})
    return figure, {"": relative_loss[COLUMNS], "summary": landmarks(relative_loss)}


def _curve(ax: Axes, curve: pd.DataFrame, **look: Any) -> None:
    """Relative loss against step size."""
    curve = curve.sort_values("step_size")
    ax.plot(curve["step_size"], curve["relative_loss"], **look)


def _limit(ax: Axes, losses: pd.Series) -> None:
    """Limits of a row's losses, and ticks that can be read where they span less than two decades."""
    values = positive(losses)
    low, high = (0.6 * values.min(), min(HIGHEST, 2 * values.max())) if len(values) else (0.5, 2)
    high = max(high, 2, 4 * low)
    ax.set_yscale("log")
    ax.set_ylim(min(low, 0.8), high)
    if high < 100 * low:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())


def _paper_marks(ax: Axes, norm: str, minibatch: int) -> set[str]:
    """The paper's minima (crosses) and crossings of 1, 1e3 and 1e6 (open circles); which of the two there are."""
    marks: set[str] = set()
    step, minimum = paper.RELATIVE_LOSS_MINIMUM.value.get((norm, minibatch), (np.nan, np.nan))
    if np.isfinite(step):
        ax.plot(step, minimum, label=MINIMUM, linestyle="", **MARKS[MINIMUM])
        marks.add(MINIMUM)
    if crossings := paper.RELATIVE_LOSS_CROSSINGS.value.get((norm, minibatch), {}):
        ax.plot(list(crossings.values()), list(crossings), label=CROSSING, linestyle="", **MARKS[CROSSING])
        marks.add(CROSSING)
    return marks
