"""Fig. 3: loss after one step along the gradient, over the loss before it."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from understanding_bn import paper
from understanding_bn.figures import style

COLUMNS = ["norm", "seed", "minibatch", "step_size", "relative_loss"]
HIGHEST = 1e7  # relative loss at which a panel ends


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row per norm and a column per mini-batch, a thin line per seed and the median over seeds in bold.

    `values`: columns of `analysis.relative_loss`. Both axes are logarithmic; all panels share their steps, those of a
    row their losses. A curve that leaves its panel at the top goes on rising or overflows; the CSV has its values.
    """
    minibatches = sorted(values["minibatch"].unique())
    norms = style.ordered(values["norm"])[::-1]  # without normalisation above, as in the paper
    palette = style.colours(style.ordered(values["norm"]))
    figure, axes = plt.subplots(
        len(norms),
        len(minibatches),
        figsize=(style.WIDTH, 0.5 + 1.9 * len(norms)),
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    for row, norm in zip(axes, norms, strict=True):
        for ax, number in zip(row, minibatches, strict=True):
            here = values[(values["norm"] == norm) & (values["minibatch"] == number)]
            curves = here.pivot(index="step_size", columns="seed", values="relative_loss")
            curves = curves.where(np.isfinite(curves))
            ax.plot(curves.index, curves, color=palette[norm], alpha=0.35, linewidth=0.6)
            # Where a seed's curve has ended it counts as infinite, so that a median never forgets the worst seeds.
            median = curves.fillna(np.inf).median(axis=1)
            median = median[np.isfinite(median)]
            ax.plot(median.index, median, color=palette[norm], linewidth=1.6, label=style.label(norm))
            if paper.is_scale_of(values):
                _paper_marks(ax, norm, number)
            ax.axhline(1, color="0.4", linewidth=0.7)
            ax.axhline(1e3, color="0.4", linewidth=0.7, linestyle=":")
            ax.set(xscale="log", yscale="log", title=f"{style.label(norm)}, mini-batch {number}")
        losses = values["relative_loss"][(values["norm"] == norm) & np.isfinite(values["relative_loss"])]
        low, high = 0.6 * losses.min(), min(HIGHEST, 2 * losses.max())
        row[0].set_ylim(low, high)
        if high < 100 * low:
            row[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            row[0].yaxis.set_major_formatter("{x:g}")
            row[0].yaxis.set_minor_locator(NullLocator())
        row[0].set_ylabel("ℓ(w − s·g) / ℓ(w)")
        if row[0].get_legend_handles_labels()[1][1:]:  # there is more than the median to name
            row[0].legend(loc="upper left", fontsize=6)
    for ax in axes[-1]:
        ax.set_xlabel("step size s")
    return figure, {"": values[COLUMNS], "summary": landmarks(values)}


def landmarks(values: pd.DataFrame) -> pd.DataFrame:
    """Of every curve the minimum and its step, and the first steps beyond it at which it passes 1, 1e3 and 1e6.

    Steps are points of the sweep, NaN where the sweep ends first. A curve that overflows has passed everything.
    The paper's values of the same norm and mini-batch stand beside them, at its scale.
    """
    rows = []
    at_scale = paper.is_scale_of(values)
    for (norm, minibatch, seed), curve in values.groupby(["norm", "minibatch", "seed"], sort=False):
        curve = curve.sort_values("step_size")
        steps, losses = curve["step_size"].to_numpy(), curve["relative_loss"].to_numpy()
        lowest = int(np.nanargmin(losses))
        row = {"norm": norm, "minibatch": minibatch, "seed": seed}
        row |= {"minimum": losses[lowest], "minimum_step": steps[lowest]}
        minimum = paper.RELATIVE_LOSS_MINIMUM.get((norm, minibatch), (np.nan, np.nan)) if at_scale else (np.nan,) * 2
        crossings = paper.RELATIVE_LOSS_CROSSINGS.get((norm, minibatch), {}) if at_scale else {}
        for value in (1, 1e3, 1e6):
            past = steps[lowest:][~(losses[lowest:] <= value)]
            row[f"passes_{value:g}"] = past[0] if len(past) else np.nan
        row |= {"paper_minimum": minimum[1], "paper_minimum_step": minimum[0]}
        row |= {f"paper_passes_{value:g}": crossings.get(value, np.nan) for value in (1, 1e3, 1e6)}
        rows.append(row)
    return pd.DataFrame(rows)


def _paper_marks(ax: Axes, norm: str, minibatch: int) -> None:
    """The paper's minima (crosses) and crossings of 1, 1e3 and 1e6 (open circles)."""
    if (norm, minibatch) in paper.RELATIVE_LOSS_MINIMUM:
        ax.plot(*paper.RELATIVE_LOSS_MINIMUM[norm, minibatch], "x", color="black", markersize=5, label="paper, minimum")
    crossings = paper.RELATIVE_LOSS_CROSSINGS.get((norm, minibatch), {})
    marks = {"color": "black", "markersize": 4, "markerfacecolor": "white"}
    if crossings:
        ax.plot(list(crossings.values()), list(crossings), "o", label="paper, crossing", **marks)
