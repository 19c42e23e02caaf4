"""Accuracy, update noise and sharpness over (α, B), and what changes when only α, only B or only both move (Q1, Q3)."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from understanding_bn.figures import style
from understanding_bn.summaries.learning_rate_grid import QUANTITIES, largest_grid, moves
from understanding_bn.summaries.trained_runs import runs

# Title of a quantity's panels, and the format of the number in a cell.
PANELS = {
    "test_accuracy": ("test accuracy (%)", ".1f"),
    "gap": ("train − test accuracy (points)", ".1f"),
    "update_noise": ("noise of an update " + style.UPDATE_NOISE, ".0e"),
    "sharpness": (r"sharpness $\lambda_\mathrm{max}$", ".3g"),
}


def draw(
    histories: pd.DataFrame,
    gradient_structure: pd.DataFrame | None = None,
    hessian_spectrum: pd.DataFrame | None = None,
) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row per quantity and a column per norm: means over sound seeds; hatched where every seed failed.

    Drawn is the network with most (α, B) cells. The CSV has every run of it, the summary what a doubling of α, of B, or
    of both does, by norm.
    """
    table = largest_grid(runs(histories, gradient_structure, hessian_spectrum))
    norms = style.ordered(table["norm"])
    quantities = [name for name in PANELS if table[name].notna().any()] or list(PANELS)[:1]
    alphas, sizes = sorted(table["alpha"].unique()), sorted(table["batch_size"].unique())
    height = 0.55 + len(quantities) * (0.45 + 0.22 * len(alphas))
    figure, axes = plt.subplots(len(quantities), len(norms), figsize=(style.WIDTH, height), squeeze=False)
    for row, quantity in zip(axes, quantities, strict=True):
        low, high = table[quantity].agg(["min", "max"])
        if np.isnan(low):
            low, high = 0, 1  # every run failed
        scale = LogNorm(low, high) if QUANTITIES[quantity] and low > 0 else Normalize(low, high)
        for ax, norm in zip(row, norms, strict=True):
            _heatmap(ax, table[table["norm"] == norm], quantity, scale, alphas, sizes)
            title = style.label(norm) + (f": {PANELS[quantity][0]}" if ax is row[0] else "")
            ax.set(title=title, xlabel="batch size B" if ax in axes[-1] else "", ylabel="")
        row[0].set_ylabel("learning rate α")
        figure.colorbar(ax.collections[0], ax=row, shrink=0.9, aspect=12, pad=0.02).minorticks_off()
    facts = table.iloc[0]
    epochs = style.span(table["epochs"].drop_duplicates(), "d")
    text = f"{facts['arch'].replace('resnet', 'ResNet')}, {epochs} epochs, {table['seed'].nunique()} seeds"
    figure.suptitle(f"{text}; hatched: failed in every seed, n/m: in some", fontsize=7)
    return figure, {"": table, "summary": moves(table)}


def _heatmap(
    ax: Axes, of_norm: pd.DataFrame, quantity: str, scale: Normalize, alphas: list[float], sizes: list[int]
) -> None:
    """Cell means with their numbers; how many seeds failed where some did."""
    failed = of_norm["failure"] != ""
    by_cell = of_norm.assign(failed=failed).groupby(["alpha", "batch_size"])
    cells = by_cell.agg(mean=(quantity, "mean"), failed=("failed", "sum"), runs=("failed", "size"))
    numbers = cells["mean"].map(lambda mean: style.number(mean, PANELS[quantity][1]))
    some = cells["failed"] > 0
    numbers[some] += "  (" + cells["failed"].astype(str) + "/" + cells["runs"].astype(str) + ")"
    means, texts = (column.unstack().reindex(index=alphas, columns=sizes) for column in (cells["mean"], numbers))
    look: style.Look = {"norm": scale, "vmin": scale.vmin, "vmax": scale.vmax, "cmap": "cividis", "rasterized": False}
    named: style.Look = {"xticklabels": sizes, "yticklabels": [f"{alpha:g}" for alpha in alphas]}
    style.heatmap(ax, means, annot=texts, fmt="", annot_kws={"fontsize": 6}, **look, **named)
    ax.invert_yaxis()
    for text, mean in zip(ax.texts, means.to_numpy()[means.notna()], strict=True):
        text.set_color("white" if scale(mean) < 0.5 else "black")
    for (alpha, size), cell in cells[cells["mean"].isna()].iterrows():
        column, row = sizes.index(size), alphas.index(alpha)
        if cell["failed"] == cell["runs"]:
            ax.add_patch(plt.Rectangle((column, row), 1, 1, fill=False, hatch="////", edgecolor="0.6", linewidth=0))
        else:
            ax.text(column + 0.5, row + 0.5, "not measured", ha="center", va="center", fontsize=6, color="0.5")
