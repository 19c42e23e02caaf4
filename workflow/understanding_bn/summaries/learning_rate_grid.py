"""Trained networks over a grid of α and B, and what changes where only α, only B or both grow."""

from itertools import pairwise

import numpy as np
import pandas as pd

from understanding_bn.summaries.intervals import mean_interval

ONLY_ALPHA, ONLY_SIZE, BOTH = MOVES = ("only α", "only B", "α and B, α/B fixed")
# Quantities of `trained_runs.runs`, and whether their change is a factor (positive by nature) or a difference.
QUANTITIES = {"test_accuracy": False, "gap": False, "update_noise": True, "sharpness": True}


def largest_grid(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of the (arch, init) with most different (norm, α, B), at every α and norm that has several B.

    This is not `training.main_network`, whose cells share one B.
    """
    counts = runs.groupby(["arch", "init"]).apply(
        lambda network: len(network[["norm", "alpha", "batch_size"]].drop_duplicates()), include_groups=False
    )
    arch, init = counts.idxmax()
    grid = runs[(runs["arch"] == arch) & (runs["init"] == init)]
    for factor in ("norm", "alpha"):
        several = grid.groupby(factor)["batch_size"].nunique() > 1
        grid = grid[grid[factor].isin(several[several].index)] if several.any() else grid
    return grid.reset_index(drop=True)


def moves(grid: pd.DataFrame) -> pd.DataFrame:
    """What a doubling does to each of `QUANTITIES`, by norm and by what is doubled: only α, only B, or both.

    Two cells are compared if they differ in that alone and are neighbours in the grid; a seed counts where both its
    runs are sound, and if it was run in every cell of the norm. Quantities that are positive by nature (noise,
    sharpness) are taken as log2.

    Columns: norm, move, quantity, pairs (of cells), seeds, change (per doubling, mean over pairs, then over seeds), low
    and high (Student's 95 % interval over seeds; NaN for one seed).
    """
    rows = []
    finite = grid.replace([np.inf, -np.inf], np.nan)
    for norm, of_norm in finite.groupby("norm", sort=False):
        of_norm = _of_shared_seeds(of_norm)
        for move in MOVES:
            pairs = neighbours(of_norm, move)
            for quantity, logarithmic in QUANTITIES.items():
                wide = of_norm.pivot_table(index="seed", columns=["alpha", "batch_size"], values=quantity, dropna=False)
                wide = np.log2(wide.where(wide > 0)) if logarithmic else wide
                changes = [(wide[b] - wide[a]) / doublings for a, b, doublings in pairs if {a, b} <= set(wide.columns)]
                if not changes:
                    continue
                by_seed = pd.concat(changes, axis=1).mean(axis=1).dropna().to_numpy()
                used = sum(change.notna().any() for change in changes)
                low, high = mean_interval(by_seed) or (np.nan, np.nan)
                mean = by_seed.mean() if len(by_seed) else np.nan
                name = f"log2 {quantity}" if logarithmic else quantity
                rows.append((norm, move, name, used, len(by_seed), mean, low, high))
    columns = ["norm", "move", "quantity", "pairs", "seeds", "change", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _of_shared_seeds(grid: pd.DataFrame) -> pd.DataFrame:
    """The runs of the seeds that were run in every cell: each seed's mean is then over the same pairs."""
    cells = grid["alpha"].astype(str) + " " + grid["batch_size"].astype(str)
    return grid[cells.groupby(grid["seed"]).transform("nunique") == cells.nunique()]


def neighbours(grid: pd.DataFrame, move: str) -> list[tuple[tuple[float, int], tuple[float, int], float]]:
    """Pairs of cells (α, B) that differ in one of `MOVES` with no cell between them, and by how many doublings."""
    cells = sorted(set(zip(grid["alpha"], grid["batch_size"], strict=True)))
    chains: dict[float, list[tuple[float, int]]] = {}
    for alpha, size in cells:
        fixed = {ONLY_ALPHA: size, ONLY_SIZE: alpha, BOTH: float(f"{alpha / size:.6g}")}[move]
        chains.setdefault(fixed, []).append((alpha, size))
    part = 1 if move == ONLY_SIZE else 0
    pairs = []
    for chain in chains.values():
        pairs += [(a, b, float(np.log2(b[part] / a[part]))) for a, b in pairwise(sorted(chain))]
    return pairs
