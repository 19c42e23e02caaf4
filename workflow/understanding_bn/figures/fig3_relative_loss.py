"""Fig. 3: loss after one step along the gradient, over the loss before it."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from understanding_bn import paper
from understanding_bn.figures import style
from understanding_bn.summaries.relative_loss import landmarks, medians

COLUMNS = ["norm", "seed", "minibatch", "step_size", "relative_loss"]
HIGHEST = 1e7  # relative loss at which a panel ends
MINIMUM = f"minimum, {style.paper(paper.RELATIVE_LOSS_MINIMUM.origin)}"
CROSSING = f"crossings of 1, 10³, 10⁶, {style.paper(paper.RELATIVE_LOSS_CROSSINGS.origin)}"


def draw(relative_loss: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row per norm and a column per mini-batch, a thin line per seed and the median over seeds in bold.

    Both axes are logarithmic; all panels share their steps, those of a row their losses. A curve that leaves its panel
    at the top goes on rising or overflows; the CSV has its values.
    """
    minibatches = sorted(relative_loss["minibatch"].unique())
    norms = style.ordered(relative_loss["norm"])[::-1]  # without normalisation above, as in the paper
    colours = style.colours(norms[::-1])
    finite = relative_loss[np.isfinite(relative_loss["relative_loss"])]
    middle = medians(relative_loss)
    shape, size = (len(norms), len(minibatches)), (style.WIDTH, 0.5 + 1.9 * len(norms))
    figure, axes = plt.subplots(*shape, figsize=size, sharex=True, sharey="row", squeeze=False)
    for row, norm in zip(axes, norms, strict=True):
        for ax, number in zip(row, minibatches, strict=True):
            seeds, median = (t[(t["norm"] == norm) & (t["minibatch"] == number)] for t in (finite, middle))
            common = {"x": "step_size", "y": "relative_loss", "color": colours[norm], "estimator": None, "ax": ax}
            sns.lineplot(seeds, units="seed", **style.SEED, **common)
            sns.lineplot(median, linewidth=1.6, label=style.label(norm), legend=False, **common)
            if paper.is_scale_of(relative_loss):
                _paper_marks(ax, norm, number)
            ax.axhline(1, color="0.4", linewidth=0.7)
            ax.axhline(1e3, color="0.4", linewidth=0.7, linestyle=":")
            ax.set(xscale="log", yscale="log", title=f"{style.label(norm)}, mini-batch {number}")
            ax.set(xlabel="step size s", ylabel="ℓ(w − s·g) / ℓ(w)")
            ax.label_outer(remove_inner_ticks=True)
        _limit(row[0], finite.loc[finite["norm"] == norm, "relative_loss"])
    _name_marks(figure)
    return figure, {"": relative_loss[COLUMNS], "summary": landmarks(relative_loss)}


def _limit(ax: Axes, losses: pd.Series) -> None:
    """Limits of a row's losses, and ticks that can be read where they span less than two decades."""
    low, high = 0.6 * losses.min(), min(HIGHEST, 2 * losses.max())
    ax.set_ylim(low, high)
    if high < 100 * low:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())


def _paper_marks(ax: Axes, norm: str, minibatch: int) -> None:
    """The paper's minima (crosses) and crossings of 1, 1e3 and 1e6 (open circles)."""
    step, minimum = paper.RELATIVE_LOSS_MINIMUM.value.get((norm, minibatch), (np.nan, np.nan))
    if np.isfinite(step):
        ax.plot(step, minimum, "x", color="black", markersize=5, label=MINIMUM)
    if crossings := paper.RELATIVE_LOSS_CROSSINGS.value.get((norm, minibatch), {}):
        look: style.Look = {"color": "black", "markersize": 4, "markerfacecolor": "white", "label": CROSSING}
        ax.plot(list(crossings.values()), list(crossings), "o", **look)


def _name_marks(figure: Figure) -> None:
    """A legend of the paper's marks below all panels, if there are any; titles name the curves."""
    labelled: dict[str, Artist] = {}
    for ax in figure.axes:
        labelled |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    marks = {name: labelled[name] for name in (MINIMUM, CROSSING) if name in labelled}
    if marks:
        figure.legend(list(marks.values()), list(marks), loc="outside lower center", ncols=len(marks))
