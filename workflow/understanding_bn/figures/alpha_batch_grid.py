"""Accuracy, update noise and sharpness over (α, B), and what changes when only α, only B or only both move (Q1, Q3)."""

from collections.abc import Callable
from itertools import product

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, FuncNorm, LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain
from understanding_bn.figures.titles import listed, network, seeds_of
from understanding_bn.summaries.best_cells import beside_best
from understanding_bn.summaries.learning_rate_grid import largest_grid, moves
from understanding_bn.summaries.trained_runs import OF_WHAT, correct_images, runs
from understanding_bn.summaries.training import CELL

COLUMNS = [*CELL, "seed", "failure", "test_accuracy", "validation_accuracy", "train_accuracy", "gap", "loss_gap"]
COLUMNS += ["noise", "constant", "gradient_norm2", "sharpness", "trace", *OF_WHAT, "update_noise", "noise_scale"]
# What a quantity's colour bar calls it, and how its numbers are written.
PANELS: dict[str, tuple[str, Callable[[float], str]]] = {
    "test_accuracy": ("test accuracy (%)", lambda value: f"{value:.1f}"),
    "gap": ("train − test\naccuracy (points)", lambda value: style.number(value, ".1f")),
    "update_noise": (f"log₁₀ of an update's noise\n{style.UPDATE_NOISE}", lambda value: style.number(value, ".1f")),
    "sharpness": (r"sharpness $\lambda_\mathrm{max}$", lambda value: plain(value, 2)),
}
# Light enough for black numbers.
COLOURS: Colormap = LinearSegmentedColormap.from_list("light", mpl.colormaps["YlGnBu"](np.linspace(0.02, 0.6, 64)))
CELL_HEIGHT = 0.31  # inches, of two lines of numbers
NEAR = 90  # per cent, from which on an accuracy is coloured by the logarithm of its error
CLOSEST = 0.1  # points below 100 % at which the colours of accuracies end
NOT_MEASURED = "–"
HATCH: style.Look = {"facecolor": "white", "edgecolor": "0.6", "hatch": "////", "linewidth": 0}


def draw(
    histories: pd.DataFrame,
    gradient_structure: pd.DataFrame | None = None,
    hessian_spectrum: pd.DataFrame | None = None,
) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row per quantity and a column per norm: medians and ranges of the sound seeds; hatched where every seed failed.

    Drawn is the network with most (α, B) cells. The CSV has every run of it, the summary what a doubling of α, of B, or
    of both does, by norm, and `best` each cell beside batch norm's best one.

    Raises:
        NothingToShow: every run failed.
    """
    table = largest_grid(runs(histories, gradient_structure, hessian_spectrum))
    logarithm = np.log10(table["update_noise"].where(table["update_noise"] > 0))
    shown = table.assign(update_noise=logarithm).replace([np.inf, -np.inf], np.nan)
    quantities = [name for name in PANELS if shown[name].notna().any()]
    if not quantities:
        raise NothingToShow("Every run of this grid failed: it diverged or stayed at chance.")
    norms = style.ordered(table["norm"])
    alphas, sizes = sorted(table["alpha"].unique()), sorted(table["batch_size"].unique())
    height = 1.2 + len(quantities) * (0.3 + CELL_HEIGHT * max(len(alphas), 4))  # colour bars' names need so much
    shape, size = (len(quantities), len(norms)), (style.WIDTH, height)
    figure, axes = plt.subplots(*shape, figsize=size, sharex=True, sharey=True, squeeze=False)
    for row, quantity in zip(axes, quantities, strict=True):
        medians = shown.groupby(["norm", "alpha", "batch_size"])[quantity].median().dropna()
        scale = _scale(quantity, medians)
        for ax, norm in zip(row, norms, strict=True):
            _heatmap(ax, shown[shown["norm"] == norm], quantity, scale, alphas, sizes, table["seed"].nunique())
        row[0].set_ylabel("learning rate α")
        _colour_bar(figure, row, quantity, scale)
    for ax, norm in zip(axes[0], norms, strict=True):
        ax.set_title(style.label(norm))
    for ax in axes[-1]:
        ax.set_xlabel("batch size B")
    _key(figure, table)
    correct = correct_images(histories)
    return figure, {"": table, "summary": moves(table, correct), "best": beside_best(table, correct)}


def _scale(quantity: str, medians: pd.Series) -> Normalize:
    """Colours from the least to the largest median; of accuracies near 100 % by the logarithm of the error."""
    low, high = medians.min(), medians.max()
    if quantity == "test_accuracy" and high >= NEAR:
        ends = (lambda v: -np.log10(np.maximum(100 - np.asarray(v), CLOSEST)), lambda v: 100 - 10.0 ** -np.asarray(v))
        return FuncNorm(ends, min(low, 99.0), min(max(high, low + 0.5, 99.0), 100 - CLOSEST))
    if quantity == "sharpness" and low > 0:
        return LogNorm(low / 1.5, high * 1.5)
    return Normalize(low, max(high, low + 1e-9 * max(1, abs(low))))


def _heatmap(
    ax: Axes, of_norm: pd.DataFrame, quantity: str, scale: Normalize, alphas: list[float], sizes: list[int], seeds: int
) -> None:
    """The median of each cell, with the range of the seeds below it, and how many they are where some failed.

    `seeds`: how many there are; a cell in which fewer were run has their number, too.
    """
    write = PANELS[quantity][1]
    for (row, alpha), (column, size) in product(enumerate(alphas), enumerate(sizes)):
        cell = of_norm[(of_norm["alpha"] == alpha) & (of_norm["batch_size"] == size)]
        values = cell[quantity].dropna()
        corner, middle = (column, row), (column + 0.5, row + 0.5)
        text: style.Look = {"ha": "center", "fontsize": 6}
        if len(values):
            ax.add_patch(Rectangle(corner, 1, 1, facecolor=COLOURS(scale(values.median())), linewidth=0))
            fewer = f" (n = {len(values)})" if (cell["failure"] != "").any() or len(cell) < seeds else ""
            ax.text(*middle, write(values.median()) + fewer, va="bottom", weight="bold", **text)
            if len(values) > 1:
                ends = dict.fromkeys((write(values.min()), write(values.max())))
                ax.text(*middle, " to ".join(ends), va="top", **text)
        elif len(cell) and (cell["failure"] != "").all():
            ax.add_patch(Rectangle(corner, 1, 1, **HATCH))
        else:
            ax.text(*middle, NOT_MEASURED, va="center", color="0.5", **text)
    ax.set(xlim=(0, len(sizes)), ylim=(0, len(alphas)))
    ax.set_xticks(np.arange(len(sizes)) + 0.5, [plain(size, 6) for size in sizes])
    ax.set_yticks(np.arange(len(alphas)) + 0.5, [plain(alpha) for alpha in alphas])
    ax.tick_params(length=0)
    ax.grid(False)


def sharpness_of(table: pd.DataFrame) -> str:
    """What sharpness is of: the mode of batch norm, and the images in its mini-batches; "" where it has no mode."""
    measured = table.dropna(subset="sharpness")
    modes = [mode for mode in measured["sharpness_bn_mode"].unique() if mode != "none"]
    sizes = sorted(measured["sharpness_partition"].unique())
    own = len(sizes) > 1 and (measured["sharpness_partition"] == measured["batch_size"]).all()
    size = "each cell’s own B" if own else listed(sizes)
    return f"sharpness: batch norm in {modes[0]} mode, mini-batches of {size} images" if modes else ""


def _colour_bar(figure: Figure, row: np.ndarray, quantity: str, scale: Normalize) -> None:
    """A colour bar beside a row, named and with a few plain numbers."""
    mappable = plt.cm.ScalarMappable(scale, COLOURS)
    bar = figure.colorbar(mappable, ax=row, shrink=0.9, aspect=10, pad=0.02)
    if isinstance(scale, LogNorm):
        bar.ax.yaxis.set_major_locator(LogLocator(numticks=5))
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value, 1)))
    elif isinstance(scale, FuncNorm):
        low, high = scale.vmin or 0, scale.vmax or 100
        ends = [tick for tick in (20, 50, 80, 90, 95, 98, 99, 99.5, 99.8) if low <= tick <= high]
        bar.set_ticks(ends, labels=[plain(tick) for tick in ends])
    else:
        bar.ax.yaxis.set_major_locator(MaxNLocator(4))
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    bar.set_label(PANELS[quantity][0])


def _key(figure: Figure, table: pd.DataFrame) -> None:
    """Which network it is, and what stands in a cell."""
    facts = table.iloc[0]
    epochs = style.span(table["epochs"].drop_duplicates(), "d")
    cell: keys.Group = {
        "bold: median of the seeds that did not fail, n of them where some did": keys.line(linestyle="")
    }
    cell["below it: their range"] = keys.line(linestyle="")
    cell[f"{NOT_MEASURED}: not measured"] = keys.line(linestyle="")
    if what := sharpness_of(table):
        cell[what] = keys.line(linestyle="")
    hatched: keys.Group = {"every seed failed": Patch(**HATCH)} if _all_failed(table) else {}
    keys.key(figure, {f"{network(facts['arch'])}, {epochs} epochs, {seeds_of(table, CELL)}": cell, "hatched": hatched})


def _all_failed(table: pd.DataFrame) -> bool:
    """Whether there is a cell in which every seed failed."""
    return bool((table["failure"] != "").groupby([table[name] for name in CELL]).all().any())
