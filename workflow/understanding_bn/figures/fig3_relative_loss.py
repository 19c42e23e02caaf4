"""Fig. 3: loss after one step along the gradient, over the loss before it."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn import paper
from understanding_bn.figures import style

COLUMNS = ["norm", "seed", "minibatch", "step_size", "relative_loss"]
LIMITS = (0.03, 1e7)


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """One panel per mini-batch, a thin line per seed and the median over seeds in bold, both axes logarithmic.

    `values`: columns of `analysis.relative_loss`. A curve that leaves the panel at the top goes on rising or
    overflows; the CSV has its values.
    """
    minibatches = sorted(values["minibatch"].unique())
    norms = style.ordered(values["norm"])
    palette = style.colours(norms)
    figure, axes = plt.subplots(
        1, len(minibatches), figsize=(style.WIDTH, 2.5), sharex=True, sharey=True, squeeze=False
    )
    for ax, number in zip(axes[0], minibatches, strict=True):
        for norm in norms:
            here = values[(values["norm"] == norm) & (values["minibatch"] == number)]
            curves = here.pivot(index="step_size", columns="seed", values="relative_loss")
            curves = curves.where(np.isfinite(curves))
            ax.plot(curves.index, curves, color=palette[norm], alpha=0.35, linewidth=0.6)
            # Where a seed's curve has ended it counts as infinite, so that a median never forgets the worst seeds.
            median = curves.fillna(np.inf).median(axis=1)
            median = median[np.isfinite(median)]
            ax.plot(median.index, median, color=palette[norm], linewidth=1.6, label=style.label(norm))
            if paper.is_scale_of(values):
                _paper_marks(ax, norm, number, palette[norm])
        ax.axhline(1, color="0.4", linewidth=0.7)
        ax.axhline(1e3, color="0.4", linewidth=0.7, linestyle=":")
        ax.set(xscale="log", yscale="log", ylim=LIMITS, title=f"mini-batch {number}", xlabel="step size")
    axes[0, 0].set_ylabel("relative loss  ℓ(w − s·g) / ℓ(w)")
    axes[0, 0].legend(loc="upper left", title=f"median and {values['seed'].nunique()} seeds", title_fontsize=7)
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


def _paper_marks(ax: Axes, norm: str, minibatch: int, colour: str) -> None:
    """The paper's minima (crosses) and crossings of 1, 1e3 and 1e6 (open circles)."""
    if (norm, minibatch) in paper.RELATIVE_LOSS_MINIMUM:
        ax.plot(
            *paper.RELATIVE_LOSS_MINIMUM[norm, minibatch],
            "x",
            color=colour,
            markersize=5,
            label="paper, minimum",
        )
    crossings = paper.RELATIVE_LOSS_CROSSINGS.get((norm, minibatch), {})
    ax.plot(
        list(crossings.values()),
        list(crossings),
        "o",
        color=colour,
        markersize=4,
        markerfacecolor="white",
        label="paper, crossing",
    )
