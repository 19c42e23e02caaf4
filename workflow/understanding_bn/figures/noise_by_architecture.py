"""Where normalisation raises or lowers SGD's noise, by architecture, and what that has to do with the gap (Q2)."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from understanding_bn import architecture
from understanding_bn.figures import style
from understanding_bn.summaries.gradient_structure import along_training
from understanding_bn.summaries.noise_and_gap import GAP, by_cell, correlations, most_shared_setting
from understanding_bn.summaries.trained_runs import runs
from understanding_bn.summaries.training import CELL

# Column, what is drawn, on a logarithmic axis or not.
PANELS = (
    ("constant", "between mini-batches:\nsingle-sample variance C", True),
    ("noise_scale", "relative to the gradient:\ntr Σ / |g|²  (images)", True),
    ("mean_entry_variance", "between weights of a layer:\nvariance (mean over layers)", True),
    ("mean_unit_variation", "between units of a layer:\nsquared coefficient of variation", True),
    ("layer_variation", "between layers:\nvariance of ln rms gradient", False),
    ("rank_share", "rank of layer gradients\n(share of the most it could be)", False),
)
NOISE = "noise of an update, " + style.UPDATE_NOISE
RELATED = (
    ("update_noise", NOISE, True),
    ("mean_unit_variation", "variation between units", True),
    ("minibatch_rank", "rank of mini-batch gradients", False),
)


def draw(histories: pd.DataFrame, gradient_structure: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Above, each quantity by architecture and norm, before training (open) and at its end (filled); below, the gap.

    Dots are seeds. Above are cells of the α and B at which most architectures were trained; below all cells of the grid
    (means over seeds) with Spearman's rank correlation between the quantity at the end and the gap, and its 95 %
    interval, as if cells were independent. The CSV has every network above, the summary every correlation, `cells` what
    it is of.
    """
    table = along_training(gradient_structure)
    table = table[table["fraction"].isin([0, 1])]
    shared = most_shared_setting(table)
    cells = by_cell(runs(histories, gradient_structure))
    related = correlations(cells)
    palette = style.colours(style.ordered(table["norm"]))
    figure, axes = plt.subplots(3, 3, figsize=(style.WIDTH, 6.6))
    for ax, (quantity, title, logarithmic) in zip(axes[:2].flat, PANELS, strict=True):
        _by_architecture(ax, shared, quantity, palette)
        if logarithmic:
            style.logarithmic(ax.yaxis, shared[quantity])
        ax.set_title(title)
    dots = {"hue": "norm", "palette": palette, "alpha": 0.8, "s": 14, "linewidth": 0, "legend": False}
    for ax, (quantity, title, logarithmic) in zip(axes[2], RELATED, strict=True):
        if len(cells):
            sns.scatterplot(cells, x=quantity, y=GAP, ax=ax, **dots)
        if logarithmic:
            style.logarithmic(ax.xaxis, cells[quantity])
        ax.set_xlabel(title, fontsize=7)
        ax.set_ylabel("generalisation gap\ntest − train loss (nats)" if ax is axes[2, 0] else "")
        ax.set_title(_correlation_text(related, quantity), fontsize=7)
    _legend(figure, palette)
    facts = shared.iloc[0]
    setting = f"B = {facts['batch_size']}, α = {facts['alpha']:g}, {table['seed'].nunique()} seeds"
    figure.suptitle(f"{setting}; below {len(cells)} cells", fontsize=7)
    columns = [*CELL, "seed", "epoch", "fraction", "bn_mode", *(name for name, _, _ in PANELS), "minibatch_rank"]
    extra = [name for name in ("sample_constant",) if name in shared]
    return figure, {"": shared[columns + extra], "summary": related, "cells": cells}


def _by_architecture(ax: Axes, networks: pd.DataFrame, quantity: str, palette: dict[str, str]) -> None:
    """A dot for each network: open before training, filled at its end; norms are side by side."""
    archs = architecture.in_order(networks["arch"])
    for shift, (norm, colour) in zip(np.linspace(-0.25, 0.25, len(palette)), palette.items(), strict=True):
        for fraction, face, offset in ((0, "white", -0.06), (1, colour, 0.06)):
            seeds = networks[(networks["norm"] == norm) & (networks["fraction"] == fraction)]
            x = seeds["arch"].map(archs.index).astype(float) + shift + offset
            ax.plot(x, seeds[quantity], "o", color=colour, markerfacecolor=face, markersize=3.5)
    ax.set_xticks(range(len(archs)), [arch.replace("resnet", "res").replace("-", "\n") for arch in archs])
    ax.set_xlim(-0.5, len(archs) - 0.5)


def _correlation_text(related: pd.DataFrame, quantity: str) -> str:
    row = related[(related["norm"] == "all") & (related["quantity"] == quantity) & (related["gap"] == GAP)].iloc[0]
    if np.isnan(row["rho"]):
        return "too few cells to correlate"
    rho, low, high = (style.number(row[name], ".2f") for name in ("rho", "low", "high"))
    return f"ρ = {rho} [{low}, {high}]"


def _legend(figure: Figure, palette: dict[str, str]) -> None:
    """One legend for all panels: colours are norms, open dots are before training."""
    entries = [(style.label(norm), colour, colour) for norm, colour in palette.items()]
    entries += [("before training", "0.3", "white"), ("at its end", "0.3", "0.3")]
    look: style.Look = {"marker": "o", "linestyle": "", "markersize": 4}
    handles = [Line2D([], [], color=edge, markerfacecolor=face, label=text, **look) for text, edge, face in entries]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
