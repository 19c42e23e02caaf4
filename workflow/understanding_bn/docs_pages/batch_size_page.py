"""Q1 and Q3 of docs/open-questions.md: learning rate against batch size, from a record that has a grid over both."""

from pathlib import Path

import numpy as np
import pandas as pd

from understanding_bn.docs_pages import markdown, records
from understanding_bn.docs_pages.markdown import DASH
from understanding_bn.errors import UserError

SHARPNESS, PARTITION = "log2 sharpness", "sharpness_partition"
# Columns of the figures' CSV files and what the page calls them.
CHANGES = {
    "test_accuracy": "test accuracy (points)",
    "gap": "train − test (points)",
    "log2 update_noise": "log2 of an update's noise",
    SHARPNESS: "log2 of sharpness",
}


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
    note = "Mean change per doubling over neighbouring cells, with its 95 % interval: over seeds and test images for "
    note += "accuracies, where it was recorded which images are right, else over seeds."
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
    table = cells(folder)
    best = best_cell(folder, "batch")
    smallest = table["batch_size"].min()
    rows = []
    for _, cell in table[(table["norm"] == "none") & (table["batch_size"] == smallest)].iterrows():
        name = f"α = {cell['alpha']:g}, B = {smallest}"
        if cell["failed"]:
            rows.append((name, f"failed in {cell['failed']} of {cell['seeds']} seeds", DASH, DASH, ""))
            continue
        errors = [100 - each["test_accuracy"] for each in (cell, best)]
        ratio = f"{errors[0] / errors[1]:.2f}" if errors[1] > 0 else DASH
        rows.append((name, accuracy(cell), difference(cell), ratio, standing(cell)))
    head = ["without BN", "test accuracy (%)", "minus BN at its best (points)", "error rate over BN's", ""]
    ours = f"α = {best['alpha']:g}, B = {best['batch_size']}, {accuracy(best)} %"
    compared = table[(table["norm"] == "none") & table["compared"].notna()]
    seeds = " or ".join(map(str, sorted({*compared["compared"].astype(int)} or {best["seeds"]})))
    methods = " / ".join(dict.fromkeys(compared["method"].dropna()))
    by = "validation" if best["chosen_by"] == "validation_accuracy" else "test"
    note = f"BN at its best, chosen on {by} images: {ours}. Interval over {seeds} seeds, paired: {methods}."
    return markdown.table(pd.DataFrame(rows, columns=head), note)


def grid(folder: Path) -> pd.DataFrame:
    """A row for each run of the grid over α and B."""
    return records.csv(folder, "figures/alpha_batch_grid.csv")


def cells(folder: Path) -> pd.DataFrame:
    """A row for each cell of that grid: see `summaries.best_cells`."""
    return records.csv(folder, "figures/alpha_batch_grid_best.csv")


def best_cell(folder: Path, norm: str) -> pd.Series:
    """The best cell of a norm, of those in which no seed failed.

    Raises:
        UserError: it has none.
    """
    table = cells(folder)
    best = table[(table["norm"] == norm) & table["best"]]
    if best.empty:
        raise UserError(f"no cell with norm {norm} in which every seed trained")
    return best.iloc[0]


def accuracy(cell: pd.Series) -> str:
    """A cell's test accuracy in per cent, ± its standard deviation over seeds."""
    return f"{cell['test_accuracy']:.2f} ± {cell['test_accuracy_sd']:.2f}"


def difference(cell: pd.Series) -> str:
    """A cell minus batch norm's best, in points, with its interval."""
    return markdown.number(cell["difference"], interval(cell), "+.2f")


def interval(cell: pd.Series) -> tuple[float, float] | None:
    """That interval; None where there are too few seeds for one."""
    return None if np.isnan(cell["low"]) else (cell["low"], cell["high"])


def standing(cell: pd.Series) -> str:
    """On which side of batch norm's best the whole interval of a cell lies."""
    if np.isnan(cell["low"]):
        return "too few seeds"
    return "below BN" if cell["high"] < 0 else "above BN" if cell["low"] > 0 else "no difference beyond chance"
