"""Accuracy, update noise and sharpness over (α, B), and what changes when only α, only B or only both move (Q1, Q3)."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from understanding_bn.claims.statistics import bootstrap_interval
from understanding_bn.figures import style
from understanding_bn.figures.trained_runs import runs

# What is shown: column, title, unit of the number in a cell, logarithmic or not.
PANELS = (
    ("test_accuracy", "test accuracy (%)", "{:.1f}", False),
    ("gap", "train − test accuracy (points)", "{:.1f}", False),
    ("update_noise", "noise of an update  α²·E‖g_B − g‖²", "{:.0e}", True),
    ("sharpness", "sharpness  λ_max", "{:.3g}", True),
)
MOVES = ("only α", "only B", "α and B, α/B fixed")


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row per quantity and a column per norm: means over sound seeds; hatched where every seed failed.

    `values`: histories and measurements on trained networks. Drawn is the network with most (α, B) cells; the CSV has
    every run of it, the summary what a doubling of α, of B, or of both does, by norm.
    """
    table = main_network(runs(values))
    norms = style.ordered(table["norm"])
    panels = [panel for panel in PANELS if table[panel[0]].notna().any()] or list(PANELS[:1])
    alphas, sizes = sorted(table["alpha"].unique()), sorted(table["batch_size"].unique())
    height = 0.55 + len(panels) * (0.45 + 0.22 * len(alphas))
    figure, axes = plt.subplots(len(panels), len(norms), figsize=(style.WIDTH, height), squeeze=False)
    for row, (quantity, title, form, logarithmic) in zip(axes, panels, strict=True):
        here = table[quantity]
        low, high = here.min(), here.max()
        if np.isnan(low):
            low, high = 0, 1  # every run failed
        scale = LogNorm(low, high) if logarithmic and low > 0 else Normalize(low, high)
        for ax, norm in zip(row, norms, strict=True):
            image = _heatmap(ax, table[table["norm"] == norm], quantity, form, scale, alphas, sizes)
            ax.set_title(f"{style.label(norm)}: {title}" if ax is row[0] else style.label(norm))
        figure.colorbar(image, ax=row, shrink=0.9, aspect=12, pad=0.02)
    for ax in axes[:, 0]:
        ax.set_ylabel("learning rate α")
    for ax in axes[-1]:
        ax.set_xlabel("batch size B")
    facts = table.iloc[0]
    figure.suptitle(
        f"{facts['arch'].replace('resnet', 'ResNet')}, {style.span(table['epochs'].drop_duplicates(), 'd')} epochs, "
        f"{table['seed'].nunique()} seeds; hatched: failed in every seed, n/m: in some",
        fontsize=7,
    )
    return figure, {"": table, "summary": moves(table)}


def main_network(table: pd.DataFrame) -> pd.DataFrame:
    """The runs of the (arch, init) with most different (norm, α, B), at every α and norm that has several B."""
    network = table.groupby(["arch", "init"]).apply(
        lambda here: len(here[["norm", "alpha", "batch_size"]].drop_duplicates()), include_groups=False
    )
    arch, init = network.idxmax()
    here = table[(table["arch"] == arch) & (table["init"] == init)]
    for factor in ("norm", "alpha"):
        several = here.groupby(factor)["batch_size"].nunique() > 1
        here = here[here[factor].isin(several[several].index)] if several.any() else here
    return here.reset_index(drop=True)


def moves(table: pd.DataFrame) -> pd.DataFrame:
    """What a doubling does to each quantity, by norm and by what is doubled: only α, only B, or both.

    Two cells are compared where they differ in that alone and are next to each other in the grid; a seed counts where
    both its runs are sound. Quantities that are positive by nature (noise, sharpness) are taken as log2.

    Columns: norm, move, quantity, pairs (of cells), seeds, change (per doubling, mean over pairs, then over seeds), low
    and high (95 % bootstrap interval over seeds; NaN for one seed).
    """
    rows = []
    for norm, here in table.groupby("norm", sort=False):
        for move in MOVES:
            pairs = neighbours(here, move)
            for quantity, _, _, logarithmic in PANELS:
                wide = here.pivot_table(index="seed", columns=["alpha", "batch_size"], values=quantity, dropna=False)
                wide = np.log2(wide.where(wide > 0)) if logarithmic else wide
                changes = [(wide[b] - wide[a]) / doublings for a, b, doublings in pairs if {a, b} <= set(wide.columns)]
                if not changes:
                    continue
                by_seed = pd.concat(changes, axis=1).mean(axis=1).dropna().to_numpy()
                used = sum(change.notna().any() for change in changes)
                low, high = bootstrap_interval(by_seed) or (np.nan, np.nan)
                mean = by_seed.mean() if len(by_seed) else np.nan
                name = f"log2 {quantity}" if logarithmic else quantity
                rows.append((norm, move, name, used, len(by_seed), mean, low, high))
    columns = ["norm", "move", "quantity", "pairs", "seeds", "change", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def neighbours(here: pd.DataFrame, move: str) -> list[tuple[tuple[float, int], tuple[float, int], float]]:
    """Pairs of cells (α, B) that differ in one move and have none between them, and by how many doublings."""
    cells = sorted(set(zip(here["alpha"], here["batch_size"], strict=True)))
    chains: dict[float, list[tuple[float, int]]] = {}
    for alpha, size in cells:
        fixed = {"only α": size, "only B": alpha, MOVES[2]: float(f"{alpha / size:.6g}")}[move]
        chains.setdefault(fixed, []).append((alpha, size))
    part = 1 if move == "only B" else 0
    found = []
    for chain in chains.values():
        found += [(a, b, float(np.log2(b[part] / a[part]))) for a, b in pairwise(sorted(chain))]
    return found


def _heatmap(
    ax: Axes, here: pd.DataFrame, quantity: str, form: str, scale: Normalize, alphas: list[float], sizes: list[int]
):
    """Cell means with their numbers; how many seeds failed where some did."""
    mean = here.pivot_table(index="alpha", columns="batch_size", values=quantity, dropna=False)
    mean = mean.reindex(index=alphas, columns=sizes)
    image = ax.pcolormesh(np.arange(len(sizes) + 1), np.arange(len(alphas) + 1), mean, norm=scale, cmap="cividis")
    ax.grid(False)
    ax.set_xticks(np.arange(len(sizes)) + 0.5, [str(size) for size in sizes])
    ax.set_yticks(np.arange(len(alphas)) + 0.5, [f"{alpha:g}" for alpha in alphas])
    counts = here.groupby(["alpha", "batch_size"])["failure"].agg(lambda f: ((f != "").sum(), len(f)))
    for (row, alpha), (column, size) in ((r, c) for r in enumerate(alphas) for c in enumerate(sizes)):
        failed, total = counts.get((alpha, size), (0, 0))
        value = mean.loc[alpha, size]
        if total and failed == total:
            ax.add_patch(plt.Rectangle((column, row), 1, 1, fill=False, hatch="////", edgecolor="0.6", linewidth=0))
        elif total and not np.isfinite(value):
            ax.text(column + 0.5, row + 0.5, "not measured", ha="center", va="center", fontsize=6, color="0.5")
        elif np.isfinite(value):
            text = form.format(value) + (f"  ({failed}/{total})" if failed else "")
            colour = "white" if scale(value) < 0.5 else "black"
            ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=6, color=colour)
    return image
