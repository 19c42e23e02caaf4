"""The cells of a grid over α and B beside batch norm's best one (Q3)."""

import numpy as np
import pandas as pd

from understanding_bn.summaries import crossed
from understanding_bn.summaries.crossed import Sample
from understanding_bn.summaries.trained_runs import Correct
from understanding_bn.summaries.training import chosen_by

CELL = ["norm", "alpha", "batch_size"]
COLUMNS = [*CELL, "seeds", "failed", "chosen_by", "chosen", "best", "test_accuracy", "test_accuracy_sd"]
COLUMNS += ["compared", "difference", "low", "high", "method"]


def beside_best(grid: pd.DataFrame, correct: Correct | None = None, norm: str = "batch") -> pd.DataFrame:
    """A row for each cell: its accuracy, whether it is its norm's best, and its difference from the best of `norm`.

    Only a cell in which no seed failed has values. The best cell of a norm has the highest mean accuracy on validation
    images, where every sound run of the norm has it, else on test images (`training.chosen_by`).

    Args:
        grid: rows of `trained_runs.runs`.
        correct: which test images each run classifies correctly, so that intervals are over images, too.

    Returns:
        COLUMNS: failed counts seeds; accuracies are in per cent; difference is in points of test accuracy, over the
        seeds that both cells have (compared), with its 95 % interval by `method`.
    """
    finite = grid.replace([np.inf, -np.inf], np.nan)
    cells = {cell: runs.set_index("seed").sort_index() for cell, runs in finite.groupby(CELL)}
    sound = {cell: runs for cell, runs in cells.items() if runs["test_accuracy"].notna().all()}
    best: dict[str, tuple[str, float, int]] = {}
    column = {}
    for name, of_norm in finite.groupby("norm"):
        column[name] = chosen_by(of_norm)
        means = {cell: runs[column[name]].mean() for cell, runs in sound.items() if cell[0] == name}
        if means:
            best[name] = max(means, key=lambda cell: means[cell])
    rows = []
    for cell, runs in cells.items():
        row = dict(zip(CELL, cell, strict=True)) | {
            "seeds": len(runs),
            "failed": int(runs["test_accuracy"].isna().sum()),
        }
        row |= {"chosen_by": column[cell[0]], "best": best.get(cell[0]) == cell}
        if cell in sound:
            accuracy = runs["test_accuracy"].astype(float)
            row |= {"chosen": runs[column[cell[0]]].mean(), "test_accuracy": accuracy.mean()}
            row |= {"test_accuracy_sd": accuracy.std()}
            if norm in best:
                row |= _difference(runs, sound[best[norm]], correct or Correct())
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def _difference(cell: pd.DataFrame, other: pd.DataFrame, correct: Correct) -> dict[str, object]:
    """The cell's mean test accuracy minus another's over the seeds of both, with its interval and method."""
    seeds = cell.index.intersection(other.index)
    values = (cell["test_accuracy"] - other["test_accuracy"])[seeds].astype(float).round(9).to_numpy()
    keys = [[Correct.key(side.loc[seed], seed) for seed in seeds] for side in (cell, other)]
    images = None
    if len(seeds) and all(key in correct for side in keys for key in side):
        ours, theirs = (np.stack([correct[key] for key in side]) for side in keys)
        images = 100 * (ours - theirs)
    sample = Sample(values, images)
    low, high = crossed.interval(sample) or (np.nan, np.nan)
    mean = values.mean() if len(values) else np.nan
    return {"compared": len(seeds), "difference": mean, "low": low, "high": high, "method": sample.method}
