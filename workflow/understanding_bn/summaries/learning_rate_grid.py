"""Trained networks over a grid of α and B, and what changes where only α, only B or both grow."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from understanding_bn.norm_names import group_size
from understanding_bn.summaries.intervals import mean_interval

ONLY_ALPHA, ONLY_SIZE, BOTH = MOVES = ("only α", "only B", "α and B, α/B fixed")
# Of B with batch norm: the images of a mini-batch, α as it is or with α/B fixed, and those that statistics are from.
UPDATE, UPDATE_AND_ALPHA = "only the mini-batch", "α and the mini-batch, α/B fixed"
STATISTICS = "only the statistics’ images"
ROLE_CELL = ["alpha", "batch_size", "statistics"]
CHANGE = ["quantity", "pairs", "seeds", "change", "low", "high"]
Pair = tuple[tuple[Any, ...], tuple[Any, ...], float]  # two cells, and by how many doublings they differ
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
    for norm, of_norm in grid.groupby("norm", sort=False):
        of_norm = _of_shared_seeds(of_norm, ["alpha", "batch_size"])
        for move in MOVES:
            found = _changes(of_norm, ["alpha", "batch_size"], neighbours(of_norm, move))
            rows += [(norm, move, *change) for change in found]
    return pd.DataFrame(rows, columns=["norm", "move", *CHANGE])


def roles(runs: pd.DataFrame) -> pd.DataFrame:
    """What a doubling of each role of B does with batch norm: the images of an update, and those of the statistics.

    Batch norm takes its statistics from the whole mini-batch, a ghost norm from some of it at a time. Cells and seeds
    are compared as in `moves`. Columns are those of `moves` without norm; empty where there is no ghost norm.

    Args:
        runs: of `trained_runs.runs`.
    """
    images = runs["norm"].map(group_size).where(runs["norm"] != "batch", runs["batch_size"])
    table = runs.assign(statistics=images).dropna(subset="statistics")
    rows = []
    if (table["norm"] != "batch").any():
        (arch, init), *_ = table.loc[table["norm"] != "batch", ["arch", "init"]].value_counts().index
        table = _of_shared_seeds(table[(table["arch"] == arch) & (table["init"] == init)], ROLE_CELL)
        cells = sorted(set(table[ROLE_CELL].itertuples(index=False, name=None)))
        fixed: dict[str, Callable[[Any, Any, Any], object]] = {
            UPDATE: lambda alpha, size, images: (alpha, images),
            STATISTICS: lambda alpha, size, images: (alpha, size),
            UPDATE_AND_ALPHA: lambda alpha, size, images: (float(f"{alpha / size:.6g}"), images),
        }
        for role, key in fixed.items():
            part = 2 if role == STATISTICS else 1
            rows += [(role, *change) for change in _changes(table, ROLE_CELL, _pairs(cells, key, part))]
    return pd.DataFrame(rows, columns=["move", *CHANGE])


def _changes(table: pd.DataFrame, cell: list[str], pairs: list[Pair]) -> Iterator[tuple[Any, ...]]:
    """CHANGE of each quantity over pairs of cells, whose names are the values of the columns `cell`."""
    finite = table.replace([np.inf, -np.inf], np.nan)
    for quantity, logarithmic in QUANTITIES.items():
        wide = finite.pivot_table(index="seed", columns=cell, values=quantity, dropna=False)
        wide = np.log2(wide.where(wide > 0)) if logarithmic else wide
        changes = [(wide[b] - wide[a]) / doublings for a, b, doublings in pairs if {a, b} <= set(wide.columns)]
        if not changes:
            continue
        by_seed = pd.concat(changes, axis=1).mean(axis=1).dropna().to_numpy()
        used = sum(change.notna().any() for change in changes)
        low, high = mean_interval(by_seed) or (np.nan, np.nan)
        mean = by_seed.mean() if len(by_seed) else np.nan
        yield f"log2 {quantity}" if logarithmic else quantity, used, len(by_seed), mean, low, high


def _of_shared_seeds(grid: pd.DataFrame, cell: list[str]) -> pd.DataFrame:
    """The runs of the seeds that were run in every cell: each seed's mean is then over the same pairs."""
    cells = grid.groupby(cell).ngroup()
    return grid[cells.groupby(grid["seed"]).transform("nunique") == cells.nunique()]


def neighbours(grid: pd.DataFrame, move: str) -> list[Pair]:
    """Pairs of cells (α, B) that differ in one of `MOVES` with no cell between them, and by how many doublings."""
    cells = sorted(set(zip(grid["alpha"], grid["batch_size"], strict=True)))
    fixed: dict[str, Callable[[Any, Any], object]] = {
        ONLY_ALPHA: lambda alpha, size: size,
        ONLY_SIZE: lambda alpha, size: alpha,
        BOTH: lambda alpha, size: float(f"{alpha / size:.6g}"),
    }
    return _pairs(cells, fixed[move], 1 if move == ONLY_SIZE else 0)


def _pairs(cells: Sequence[tuple[Any, ...]], fixed: Callable[..., object], part: int) -> list[Pair]:
    """Neighbours among cells for which `fixed` is the same, and by how many doublings of that part they differ."""
    chains: dict[object, list[tuple[Any, ...]]] = {}
    for cell in cells:
        chains.setdefault(fixed(*cell), []).append(cell)
    pairs = []
    for chain in chains.values():
        in_order = sorted(chain, key=lambda cell: cell[part])
        pairs += [(a, b, float(np.log2(b[part] / a[part]))) for a, b in pairwise(in_order)]
    return pairs
