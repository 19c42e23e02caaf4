"""Trained networks over a grid of α and B, and what changes where only α, only B or both grow."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from understanding_bn.summaries import crossed
from understanding_bn.summaries.crossed import Sample
from understanding_bn.summaries.trained_runs import Correct, Run
from understanding_bn.summaries.training import images_of_statistics

ONLY_ALPHA, ONLY_SIZE, BOTH = MOVES = ("only α", "only B", "α and B, α/B fixed")
# Of B with batch norm: the images of a mini-batch, α as it is or with α/B fixed, and those that statistics are from.
UPDATE, UPDATE_AND_ALPHA = "only the mini-batch", "α and the mini-batch, α/B fixed"
STATISTICS = "only the statistics’ images"
ROLE_CELL = ["alpha", "batch_size", "statistics"]
CHANGE = ["quantity", "pairs", "seeds", "change", "low", "high", "method"]
OF_IMAGES = {"test_accuracy": 1, "gap": -1}  # quantities that the choice of test images moves, and which way
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


def moves(grid: pd.DataFrame, correct: Correct | None = None) -> pd.DataFrame:
    """What a doubling does to each of `QUANTITIES`, by norm and by what is doubled: only α, only B, or both.

    Two cells are compared if they differ in that alone and are neighbours in the grid; a seed counts where both its
    runs are sound, and if it was run in every cell of the norm. Quantities that are positive by nature (noise,
    sharpness) are taken as log2.

    Columns: norm, move, quantity, pairs (of cells), seeds, change (per doubling, mean over pairs, then over seeds), low
    and high (its 95 % interval; NaN for one seed) and method: intervals of accuracies are over seeds and test images
    (`crossed`), where `correct` says which images each run classifies correctly, others over seeds.
    """
    rows = []
    for norm, of_norm in grid.groupby("norm", sort=False):
        of_norm = _of_shared_seeds(of_norm, ["alpha", "batch_size"])
        for move in MOVES:
            found = _changes(of_norm, ["alpha", "batch_size"], neighbours(of_norm, move), correct or Correct())
            rows += [(norm, move, *change) for change in found]
    return pd.DataFrame(rows, columns=["norm", "move", *CHANGE])


def roles(runs: pd.DataFrame, correct: Correct | None = None) -> pd.DataFrame:
    """What a doubling of each role of B does with batch norm: the images of an update, and those of the statistics.

    Batch norm takes its statistics from the whole mini-batch, a ghost norm from some of it at a time. Cells and seeds
    are compared as in `moves`. Columns are those of `moves` without norm; empty where there is no ghost norm.

    Args:
        runs: of `trained_runs.runs`.
    """
    table = runs.assign(statistics=images_of_statistics(runs)).dropna(subset="statistics")
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
            rows += [
                (role, *change)
                for change in _changes(table, ROLE_CELL, pairs_along(cells, key, part), correct or Correct())
            ]
    return pd.DataFrame(rows, columns=["move", *CHANGE])


def _changes(table: pd.DataFrame, cell: list[str], pairs: list[Pair], correct: Correct) -> Iterator[tuple[Any, ...]]:
    """CHANGE of each quantity over pairs of cells, whose names are the values of the columns `cell`."""
    finite = table.replace([np.inf, -np.inf], np.nan)
    rows = table.iterrows() if correct else ()
    runs = {(*row[cell], row["seed"]): Correct.key(row, row["seed"]) for _, row in rows}
    for quantity, logarithmic in QUANTITIES.items():
        wide = finite.pivot_table(index="seed", columns=cell, values=quantity, dropna=False)
        wide = np.log2(wide.where(wide > 0)) if logarithmic else wide
        known = [(a, b, doublings) for a, b, doublings in pairs if {a, b} <= set(wide.columns)]
        if not known:
            continue
        changes = pd.concat([(wide[b] - wide[a]) / doublings for a, b, doublings in known], axis=1)
        by_seed = changes.mean(axis=1).dropna()
        sample = Sample(by_seed.to_numpy())
        if quantity in OF_IMAGES:
            sound = {
                seed: [p for p, has in zip(known, changes.loc[seed].notna(), strict=True) if has]
                for seed in by_seed.index
            }
            images = _of_images(sound, runs, correct)
            sample = Sample(sample.values, None if images is None else OF_IMAGES[quantity] * images)
        low, high = crossed.interval(sample) or (np.nan, np.nan)
        mean = sample.values.mean() if len(by_seed) else np.nan
        method = sample.method if quantity in OF_IMAGES else "Student’s t over seeds"
        name = f"log2 {quantity}" if logarithmic else quantity
        yield name, int(changes.notna().any().sum()), len(by_seed), mean, low, high, method


def _of_images(sound: dict[Any, list[Pair]], runs: dict[Any, Run], correct: Correct) -> np.ndarray | None:
    """(seeds, images): what each test image adds to a seed's mean change in points; None where it is not recorded."""
    rows = []
    for seed, pairs in sound.items():
        ends = [(runs.get((*a, seed), ()), runs.get((*b, seed), ()), doublings) for a, b, doublings in pairs]
        if any(a not in correct or b not in correct for a, b, _ in ends):
            return None
        rows.append(np.mean([100 * (correct[b] - correct[a]) / doublings for a, b, doublings in ends], axis=0))
    return np.stack(rows) if rows else None


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
    return pairs_along(cells, fixed[move], 1 if move == ONLY_SIZE else 0)


def pairs_along(cells: Sequence[tuple[Any, ...]], fixed: Callable[..., object], part: int) -> list[Pair]:
    """Neighbours among cells for which `fixed` is the same, and by how many doublings of that part they differ."""
    chains: dict[object, list[tuple[Any, ...]]] = {}
    for cell in cells:
        chains.setdefault(fixed(*cell), []).append(cell)
    pairs = []
    for chain in chains.values():
        in_order = sorted(chain, key=lambda cell: cell[part])
        pairs += [(a, b, float(np.log2(b[part] / a[part]))) for a, b in pairwise(in_order)]
    return pairs
