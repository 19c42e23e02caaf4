"""Where normalisation raises or lowers SGD's noise, by architecture, and what that has to do with the gap (Q2)."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn import architecture
from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain, positive
from understanding_bn.figures.titles import network, seeds_of
from understanding_bn.summaries.gradient_structure import along_training
from understanding_bn.summaries.noise_and_gap import ALL, GAP, by_cell, correlations, most_shared_setting
from understanding_bn.summaries.trained_runs import runs
from understanding_bn.summaries.training import CELL, with_failures

# Column, what is drawn, on a logarithmic axis or not.
PANELS = (
    ("constant", "between mini-batches:\none sample's variance C", True),
    ("noise_scale", "relative to the gradient:\n" + r"$\mathrm{tr}\,\Sigma\,/\,\|g\|^2$ (images)", True),
    ("mean_entry_variance", "between weights of a layer:\nvariance, mean over layers", True),
    ("mean_unit_variation", "between units of a layer:\nsquared coefficient of variation", True),
    ("layer_variation", "between layers:\nvariance of ln(rms gradient)", False),
    ("rank_share", "rank of a layer's gradient\n(share of the most it could be)", False),
)
# Of these, the first three that were measured.
RELATED = (
    ("update_noise", "noise of an update " + style.UPDATE_NOISE, True),
    ("sharpness", r"sharpness $\lambda_\mathrm{max}$", True),
    ("mean_unit_variation", "variation between units", True),
    ("minibatch_rank", "rank of mini-batch gradients", False),
)
COLUMNS = [*CELL, "seed", "failure", "epoch", "fraction", "bn_mode", *(name for name, _, _ in PANELS), "minibatch_rank"]
LEAST_CELLS = 10  # that the lower row is drawn from; the summary has the correlations of fewer
MOMENTS = {0: "before training", 1: "after training"}


def draw(
    histories: pd.DataFrame, gradient_structure: pd.DataFrame, hessian_spectrum: pd.DataFrame | None = None
) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Above, each quantity by architecture and norm, before training (open) and at its end (filled); below, the gap.

    Above are medians over the sound seeds with their range, of the cells of the α and B at which most architectures
    were trained; norms stand alone where there is one architecture. Below are all cells of the grid (means over seeds)
    with Spearman's rank correlation between the quantity at the end and the gap, and the same given α and B with its
    95 % interval, as if cells were independent; there are none where cells are few. The CSV has every network above,
    the summary every correlation, `cells` what it is of.

    Raises:
        NothingToShow: no network that trained was measured at the start or the end, or there is nothing to compare.
    """
    table = with_failures(along_training(gradient_structure), histories)
    table = table[table["fraction"].isin([*MOMENTS])]
    sound = table[
        (table["failure"] == "") & np.isfinite(table[[name for name, _, _ in PANELS]].astype(float)).any(axis=1)
    ]
    if sound.empty:
        raise NothingToShow("Every network that was to be measured had failed: it diverged or stayed at chance.")
    shared = most_shared_setting(sound)
    cells = by_cell(runs(histories, gradient_structure, hessian_spectrum))
    if len(shared[["arch", "norm"]].drop_duplicates()) < 2 and len(cells) < LEAST_CELLS:
        raise NothingToShow("Only one network has values to show, so there are no architectures or norms to compare.")
    related = correlations(cells)
    palette = style.colours(style.ordered(sound["norm"]))
    below = len(cells) >= LEAST_CELLS
    size = (style.WIDTH, 4.4 + 2 * below)
    figure, axes = plt.subplots(2 + below, 3, figsize=size, squeeze=False)
    for ax, (quantity, title, logarithmic) in zip(axes[:2].flat, PANELS, strict=True):
        _by_architecture(ax, shared, quantity, palette, logarithmic)
        ax.set_title(title)
    measured = [each for each in RELATED if cells[each[0]].notna().any()]
    for ax, (quantity, title, logarithmic) in zip(axes[2] if below else (), measured, strict=False):
        _against_gap(ax, cells, quantity, palette, logarithmic)
        ax.set(xlabel=title, title=_correlation_text(related, quantity))
    if below:
        axes[2, 0].set_ylabel("generalisation gap:\ntest − train loss (nats)")
    _key(figure, shared, palette, len(cells) if below else 0)
    # Measured only where samples have gradients of their own.
    extra = [name for name in ("sample_constant",) if name in table]
    tables = {"": most_shared_setting(table)[COLUMNS + extra], "summary": related, "cells": cells}
    return figure, tables


def _by_architecture(
    ax: Axes, networks: pd.DataFrame, quantity: str, palette: dict[str, str], logarithmic: bool
) -> None:
    """Median and range over seeds of each network: open before training, filled at its end; norms are side by side."""
    archs = architecture.in_order(networks["arch"])
    norms = [norm for norm in palette if norm in set(networks["norm"])]
    values = networks[
        np.isfinite(networks[quantity].astype(float)) & (~np.array(logarithmic) | (networks[quantity] > 0))
    ]
    width = 0.8 / len(norms) if len(archs) > 1 else 1.0
    for (arch, norm, fraction), seeds in values.groupby(["arch", "norm", "fraction"])[quantity]:
        group = archs.index(arch) + (norms.index(norm) - (len(norms) - 1) / 2) * width
        x = group + (fraction - 0.5) * width * 0.42
        look: style.Look = {
            "color": palette[norm],
            "mfc": palette[norm] if fraction else "white",
            "markersize": 3.6,
            "mew": 0.8,
        }
        reach = [[seeds.median() - seeds.min()], [seeds.max() - seeds.median()]]
        ax.errorbar([x], [seeds.median()], yerr=reach, fmt="o", elinewidth=0.7, **look)
    for border in range(len(archs) - 1):
        ax.axvline(border + 0.5, color="0.9", linewidth=0.7, zorder=0)
    if len(archs) > 1:
        ax.set_xticks(range(len(archs)), [network(arch).replace("-", "\n", 1) for arch in archs])
        ax.set_xlim(-0.5, len(archs) - 0.5)
    else:
        middle = (len(norms) - 1) / 2
        ax.set_xticks(np.arange(len(norms)) - middle, [style.label(norm).replace(" ", "\n", 1) for norm in norms])
        ax.set_xlim(-middle - 0.6, middle + 0.6)
    ax.tick_params(axis="x", length=0, labelsize=6)
    ax.grid(axis="x", visible=False)
    _scale(ax, "y", values[quantity], logarithmic)


def _against_gap(ax: Axes, cells: pd.DataFrame, quantity: str, palette: dict[str, str], logarithmic: bool) -> None:
    """A dot for each cell."""
    for norm, colour in palette.items():
        of_norm = cells[cells["norm"] == norm]
        ax.plot(of_norm[quantity], of_norm[GAP], "o", color=colour, markersize=3.4, mew=0, alpha=0.75)
    _scale(ax, "x", cells[quantity], logarithmic)


def _scale(ax: Axes, which: str, values: pd.Series, logarithmic: bool) -> None:
    if logarithmic and len(positive(values)):
        style.logarithmic(ax.xaxis if which == "x" else ax.yaxis, values)
        ax.minorticks_off()


def _correlation_text(related: pd.DataFrame, quantity: str) -> str:
    rows = related[(related["norm"] == ALL) & (related["quantity"] == quantity) & (related["gap"] == GAP)]
    if rows.empty or np.isnan(rows["rho"].iloc[0]):
        return "too few cells to correlate"
    row = rows.iloc[0]
    text = f"ρ = {style.number(row['rho'], '.2f')}; given α and B:\n"
    if np.isnan(row["partial"]):
        return text + "no value"
    partial, low, high = (style.number(row[name], ".2f") for name in ("partial", "partial_low", "partial_high"))
    return f"{text}{partial} [{low}, {high}]"


def _key(figure: Figure, shared: pd.DataFrame, palette: dict[str, str], cells: int) -> None:
    """Colours are norms, open markers are before training; and which networks these are."""
    most = seeds_of(shared, [*CELL, "fraction"])
    moments: keys.Group = {
        f"{name}: median of {most}": keys.marker("o", mfc=keys.GREY if moment else "white")
        for moment, name in MOMENTS.items()
        if moment in set(shared["fraction"])
    }
    if shared["seed"].nunique() > 1:
        moments["their range"] = keys.marker("|", markersize=9)
    if cells:
        moments[f"bottom row: one of {cells} cells of the grid"] = keys.marker("o", markersize=3.4, alpha=0.75)
    facts = shared.iloc[0]
    archs = architecture.in_order(shared["arch"])
    name = f"{network(archs[0])}, " if len(archs) == 1 else ""
    setting = f"{name}B = {facts['batch_size']}, α = {plain(facts['alpha'])}"
    colours = keys.norms(palette, marker="o", linestyle="", markersize=4)
    keys.key(figure, {"norm": colours, setting: moments})
