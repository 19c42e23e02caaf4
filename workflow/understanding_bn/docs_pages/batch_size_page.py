"""Q1 and Q3 of docs/open-questions.md: learning rate against batch size, from a record that has a grid over both."""

from pathlib import Path

import numpy as np
import pandas as pd

from understanding_bn.docs_pages import markdown, records
from understanding_bn.docs_pages.markdown import DASH
from understanding_bn.errors import UserError
from understanding_bn.summaries.intervals import mean_interval
from understanding_bn.summaries.training import chosen_by

SHARPNESS, PARTITION = "log2 sharpness", "sharpness_partition"
# Columns of the figures' CSV files and what the page calls them.
CHANGES = {
    "test_accuracy": "test accuracy (points)",
    "gap": "train − test (points)",
    "log2 update_noise": "log2 of an update's noise",
    SHARPNESS: "log2 of sharpness",
}

Cell = tuple[str, float, int]  # norm, α, B


def moves(folder: Path) -> str:
    """Q1: what a doubling of α, of B, or of both does, with intervals over seeds.

    Sharpness is compared only where it is that of one partition for all cells.
    """
    rows, shown = [], dict(CHANGES)
    if grid(folder)[PARTITION].nunique() > 1:  # batch norm's loss depends on it
        del shown[SHARPNESS]
    for (norm, move), doubled in changes(folder).groupby(["norm", "move"], sort=False):
        row = doubled.set_index("quantity")
        texts = {text: change(row.loc[name]) if name in row.index else DASH for name, text in shown.items()}
        rows.append({"norm": norm, "doubled": move} | texts)
    note = "Mean change per doubling over neighbouring cells, 95 % interval over seeds."
    return markdown.table(pd.DataFrame(rows), note)


def changes(folder: Path) -> pd.DataFrame:
    """A row for each norm, move and quantity of Q1: change, low, high. With ghost norms B's roles are moves, too."""
    roles = "figures/batch_size_roles.csv"
    return records.csv(folder, roles if (folder / roles).is_file() else "figures/alpha_batch_grid_summary.csv")


def change(row: pd.Series) -> str:
    """A change with its interval."""
    return markdown.number(row["change"], (row["low"], row["high"]), "+.2f")


def small_steps(folder: Path) -> str:
    """Q3: each cell without BN at the smallest B, compared with BN at its best."""
    table = grid(folder)
    cells = sound_cells(table)
    best = best_cell(table, "batch")
    smallest = table["batch_size"].min()
    rows, counts = [], set()
    for alpha, runs in table[(table["norm"] == "none") & (table["batch_size"] == smallest)].groupby("alpha"):
        cell = ("none", alpha, smallest)
        if cell in cells:
            counts.add(len(cells[cell].index.intersection(cells[best].index)))
            accuracy, (difference, interval) = markdown.spread(cells[cell]), paired(cells[cell], cells[best])
            text, verdict = markdown.number(difference, interval, "+.2f"), _compared(interval)
            errors = [100 - cells[each].mean() for each in (cell, best)]
            ratio = f"{errors[0] / errors[1]:.2f}" if errors[1] > 0 else DASH
        else:
            ratio = DASH
            accuracy, text, verdict = f"failed in {runs['failure'].notna().sum()} of {len(runs)} seeds", DASH, ""
        rows.append((f"α = {alpha:g}, B = {smallest}", accuracy, text, ratio, verdict))
    head = ["without BN", "test accuracy (%)", "minus BN at its best (points)", "error rate over BN's", ""]
    ours = f"α = {best[1]:g}, B = {best[2]}, {markdown.spread(cells[best])} %"
    seeds = " or ".join(map(str, sorted(counts or {len(cells[best])})))
    note = f"BN at its best: {ours}. Interval over {seeds} seeds, paired."
    return markdown.table(pd.DataFrame(rows, columns=head), note)


def grid(folder: Path) -> pd.DataFrame:
    """A row for each run of the grid over α and B."""
    return records.csv(folder, "figures/alpha_batch_grid.csv")


def sound_cells(table: pd.DataFrame) -> dict[Cell, pd.Series]:
    """Test accuracy by seed of every (norm, α, B) in which no seed failed."""
    runs = table.set_index("seed").groupby(["norm", "alpha", "batch_size"])["test_accuracy"]
    return {cell: of_cell for cell, of_cell in runs if of_cell.notna().all()}


def best_cell(table: pd.DataFrame, norm: str) -> Cell:
    """The cell of a norm with the highest mean accuracy: on the validation split, where there is one (`chosen_by`).

    Raises:
        UserError: it has none in which every seed trained.
    """
    of_norm = table[(table["norm"] == norm) & table["test_accuracy"].notna()]
    sound = sorted(cell for cell in sound_cells(table) if cell[0] == norm)
    if not sound:
        raise UserError(f"no cell with norm {norm} in which every seed trained")
    means = of_norm.groupby(["norm", "alpha", "batch_size"])[chosen_by(of_norm)].mean()
    return max(sound, key=lambda cell: means[cell])


def paired(one: pd.Series, other: pd.Series) -> tuple[float, tuple[float, float] | None]:
    """The mean difference between two cells over the seeds that both have, and its interval."""
    difference = (one - other).dropna().to_numpy()
    return float(difference.mean()) if len(difference) else np.nan, mean_interval(difference)


def _compared(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return "too few seeds"
    low, high = interval
    return "below BN" if high < 0 else "above BN" if low > 0 else "no difference beyond chance"
