"""Where normalisation raises or lowers SGD's noise, by architecture, and what that has to do with the gap (Q2)."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from understanding_bn import architecture
from understanding_bn.claims.statistics import bootstrap
from understanding_bn.figures import style
from understanding_bn.figures.noise_along_training import noise
from understanding_bn.figures.trained_runs import CELL, runs

# Column, what is drawn, on a logarithmic axis or not.
PANELS = (
    ("constant", "between mini-batches:\nsingle-sample variance C", True),
    ("noise_scale", "relative to the gradient:\ntr Σ / |g|²  (images)", True),
    ("mean_entry_variance", "between weights of a layer:\nvariance (mean over layers)", True),
    ("mean_unit_variation", "between units of a layer:\nsquared coefficient of variation", True),
    ("layer_variation", "between layers:\nvariance of ln rms gradient", False),
    ("rank_share", "rank of layer gradients\n(share of the most it could be)", False),
)
RELATED = (
    ("update_noise", "noise of an update, α²·E‖g_B − g‖²", True),
    ("mean_unit_variation", "variation between units", True),
    ("minibatch_rank", "rank of mini-batch gradients", False),
)
GAP = "loss_gap"


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Above, each quantity by architecture and norm, before training (open) and at its end (filled); below, the gap.

    `values`: histories and rows of `gradient_structure` on trained networks. Dots are seeds. Above are cells of the α
    and B at which most architectures were trained; below all cells of the grid (means over seeds) with Spearman's rank
    correlation between the quantity at the end and the gap, and its 95 % bootstrap interval over cells. The CSV has
    every network above, the summary every correlation, `cells` what it is of.
    """
    table = noise(values[values["quantity"].notna()])
    table = table[table["fraction"].isin([0, 1])]
    shared = compared(table)
    cells = by_cell(runs(values))
    related = correlations(cells)
    norms = style.ordered(table["norm"])
    palette = style.colours(norms)
    figure, axes = plt.subplots(3, 3, figsize=(style.WIDTH, 6.6))
    archs = architecture.in_order(shared["arch"])
    for ax, (quantity, title, logarithmic) in zip(axes[:2].flat, PANELS, strict=True):
        for shift, norm in zip(np.linspace(-0.25, 0.25, len(norms)), norms, strict=True):
            for fraction, marker, offset in ((0, "o", -0.06), (1, "o", 0.06)):
                here = shared[(shared["norm"] == norm) & (shared["fraction"] == fraction)]
                face = "white" if fraction == 0 else palette[norm]
                x = np.array([archs.index(arch) for arch in here["arch"]], dtype=float) + shift + offset
                ax.plot(x, here[quantity], marker, color=palette[norm], markerfacecolor=face, markersize=3.5)
        ax.set_xticks(range(len(archs)), [arch.replace("resnet", "res").replace("-", "\n") for arch in archs])
        ax.set_xlim(-0.5, len(archs) - 0.5)
        if logarithmic:
            style.logarithmic(ax.yaxis, shared[quantity])
        ax.set_title(title)
    for ax, (quantity, title, logarithmic) in zip(axes[2], RELATED, strict=True):
        for norm in norms:
            here = cells[cells["norm"] == norm]
            ax.plot(here[quantity], here[GAP], ".", color=palette[norm], markersize=5, alpha=0.8)
        if logarithmic:
            style.logarithmic(ax.xaxis, cells[quantity])
        ax.set_xlabel(title, fontsize=7)
        ax.set_title(_correlation_text(related, quantity), fontsize=7)
    axes[2, 0].set_ylabel("generalisation gap\ntest − train loss (nats)")
    _legend(figure, norms, palette)
    facts = shared.iloc[0]
    figure.suptitle(
        f"B = {facts['batch_size']}, α = {facts['alpha']:g}, {table['seed'].nunique()} seeds; below {len(cells)} cells",
        fontsize=7,
    )
    columns = [*CELL, "seed", "epoch", "fraction", "bn_mode", *(name for name, _, _ in PANELS), "minibatch_rank"]
    extra = [name for name in ("sample_constant",) if name in shared]
    return figure, {"": shared[columns + extra], "summary": related, "cells": cells}


def compared(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the (init, α, B, epochs) that most architectures and norms share."""
    setting = ["init", "alpha", "batch_size", "epochs"]
    counts = table.groupby(setting, sort=False)[["arch", "norm"]].apply(lambda here: len(here.drop_duplicates()))
    return table[(table[setting] == pd.Series(counts.idxmax(), index=setting)).all(axis=1)]


def by_cell(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the sound seeds of every cell: its gaps and the quantities at the end of training."""
    measured = [name for name in table.columns if name not in (*CELL, "seed", "failure")]
    found = table.groupby(CELL, as_index=False)[measured].mean()
    return found.dropna(subset=[GAP, "noise"]).reset_index(drop=True)


def correlations(cells: pd.DataFrame) -> pd.DataFrame:
    """Spearman's ρ between each quantity and either gap over the cells, for all norms together and one by one.

    Columns: norm ("all" or one), quantity, gap, cells, rho, low, high (95 % bootstrap over cells; NaN below four).
    """
    quantities = list(dict.fromkeys([*(name for name, _, _ in (*PANELS, *RELATED)), "noise", "sharpness"]))
    rows = []
    for norm in ("all", *cells["norm"].unique()):
        chosen = cells if norm == "all" else cells[cells["norm"] == norm]
        for gap in ("gap", GAP):
            for quantity in (name for name in quantities if name in cells):
                pair = chosen[[quantity, gap]].dropna().to_numpy()
                rho, low, high = np.nan, np.nan, np.nan
                if len(pair) >= 4:
                    rho = float(spearman(pair))
                    low, high = bootstrap(lambda index, pair=pair: spearman(pair[index]), len(pair)) or (low, high)
                rows.append((norm, quantity, gap, len(pair), rho, low, high))
    return pd.DataFrame(rows, columns=["norm", "quantity", "gap", "cells", "rho", "low", "high"])


def spearman(pairs: np.ndarray) -> np.ndarray:
    """Spearman's ρ of (..., n, 2) pairs; 0 where one side is constant, as resamples of few cells can be."""
    ranks = stats.rankdata(pairs, axis=-2)
    x, y = np.moveaxis(ranks - ranks.mean(axis=-2, keepdims=True), -1, 0)
    covariance, spread = (x * y).sum(axis=-1), np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    return np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)


def _correlation_text(related: pd.DataFrame, quantity: str) -> str:
    row = related[(related["norm"] == "all") & (related["quantity"] == quantity) & (related["gap"] == GAP)].iloc[0]
    if np.isnan(row["rho"]):
        return "too few cells to correlate"
    return f"ρ = {row['rho']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def _legend(figure: Figure, norms: list[str], palette: dict[str, str]) -> None:
    """One legend for all panels: colours are norms, open dots are before training."""
    handles = [plt.Line2D([], [], marker="o", linestyle="", color=palette[norm], markersize=4) for norm in norms]
    labels = [style.label(norm) for norm in norms]
    for face, text in (("white", "before training"), ("0.3", "at its end")):
        handles.append(plt.Line2D([], [], marker="o", linestyle="", color="0.3", markerfacecolor=face, markersize=4))
        labels.append(text)
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
