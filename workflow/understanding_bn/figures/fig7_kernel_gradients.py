"""Fig. 7: |gradient| of one layer's kernel between output and input channels, at initialisation."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import positive, span
from understanding_bn.summaries.kernel_gradients import energy, energy_left_out

COLUMNS = ["norm", "seed", "layer", "out_channel", "in_channel", "gradient"]
LOWEST = 1e-7  # share of the energy at which the axis ends; float32 knows no better
ACROSS = 2  # heatmaps side by side
MEDIAN: style.Look = {"linewidth": 1.6}
FLAT: style.Look = {"marker": "o", "linestyle": "", "markersize": 4.5, "markerfacecolor": "white", "clip_on": False}


def draw(kernel_gradients: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A heatmap of out × in channels for each norm (first seed), and the singular values' energy of every seed.

    Each heatmap is scaled by its own mean, because the gradients differ by orders of magnitude. Open circles are what a
    matrix with the same mean everywhere would leave out with one singular value: how much of the energy is in the
    largest one just because no entry is negative. The summary has both shares of every seed.

    Raises:
        NothingToShow: every network has an entry that is not finite, or zeros alone.
    """
    summary, left_out = energy(kernel_gradients), energy_left_out(kernel_gradients)
    if summary["top_share"].isna().all():
        raise NothingToShow("No network has a finite gradient other than zero at this layer.")
    norms = style.ordered(kernel_gradients["norm"])[::-1]  # without normalisation first, as in the paper
    palette = style.colours(norms[::-1])
    layer = int(kernel_gradients["layer"].iloc[0])
    rows = -(-len(norms) // ACROSS)
    figure = plt.figure(figsize=(style.WIDTH, 2.1 * rows + 0.9))
    grid = figure.add_gridspec(rows, ACROSS + 1, width_ratios=[1] * ACROSS + [1.15])
    heatmaps = [figure.add_subplot(grid[place // ACROSS, place % ACROSS]) for place in range(len(norms))]
    first = kernel_gradients[kernel_gradients["seed"] == kernel_gradients["seed"].min()]
    lost = False
    for ax, norm in zip(heatmaps, norms, strict=True):
        lost |= _heatmap(ax, first[first["norm"] == norm])
        ax.set(title=f"{style.label(norm)}, layer {layer}", xlabel="input channel", ylabel="output channel")
    shown = next(ax.collections[0] for ax in heatmaps if ax.collections)
    figure.colorbar(shown, ax=heatmaps, shrink=0.8, extend="max", label="|gradient| / its mean")
    curves = figure.add_subplot(grid[:, ACROSS])
    for norm, colour in palette.items():
        _energy(curves, left_out[left_out["norm"] == norm], summary[summary["norm"] == norm], colour)
    curves.set(xscale="log", yscale="log", ylim=(LOWEST, 1.5))
    curves.set(xlabel="singular values kept", ylabel="share of the energy left out")
    curves.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    curves.xaxis.set_major_formatter("{x:g}")
    curves.minorticks_off()
    _key(figure, summary, palette, lost)
    return figure, {"": kernel_gradients[COLUMNS], "summary": summary}


def _heatmap(ax: Axes, of_norm: pd.DataFrame) -> bool:
    """A matrix over its mean; whether some entries are not finite."""
    grid = of_norm.pivot(index="out_channel", columns="in_channel", values="gradient").astype(float)
    finite = grid.where(np.isfinite(grid))
    mean = np.nanmean(finite) if finite.notna().to_numpy().any() else np.nan
    ax.set_facecolor(keys.LOST)
    style.heatmap(ax, finite / mean if mean > 0 else finite, cmap="viridis", vmin=0, vmax=5, square=True)
    return bool(finite.isna().to_numpy().any())


def _energy(ax: Axes, left_out: pd.DataFrame, summary: pd.DataFrame, colour: str) -> None:
    """Curves of the seeds and their median, and the open circles of matrices with the same mean everywhere."""
    known = left_out.dropna()
    for _, of_seed in known.groupby("seed"):
        ax.plot(of_seed["rank"], of_seed["left_out"], color=colour, **style.SEED)
    median = known.groupby("rank")["left_out"].median()
    ax.plot(median.index, median, color=colour, **MEDIAN)
    flat = positive(1 - summary["flat_share"])
    ax.plot(np.ones(len(flat)), flat, color=colour, zorder=3, **FLAT)


def _key(figure: Figure, summary: pd.DataFrame, palette: dict[str, str], lost: bool) -> None:
    """What lines and circles are, and the shares of the largest singular value in words."""
    shares: keys.Group = {}
    for norm, colour in palette.items():
        of_norm = summary[summary["norm"] == norm]
        top, flat = (span(100 * of_norm[column], 3) for column in ("top_share", "flat_share"))
        shares[f"{style.label(norm)}: largest singular value {top} %, mean alone {flat} %"] = keys.line(
            color=colour, **MEDIAN
        )
    seeds = summary["seed"].nunique()
    lines: keys.Group = {f"median of {seeds} seeds": keys.line(**MEDIAN), "one seed": keys.line(**style.SEED)}
    lines = lines if seeds > 1 else {"one seed": keys.line(**MEDIAN)}
    lines["left out by the mean alone"] = keys.line(**FLAT)
    lines |= {"overflow or NaN": keys.band(facecolor=keys.LOST)} if lost else {}
    keys.key(figure, {"share of the energy": shares, "lines and circles": lines})
