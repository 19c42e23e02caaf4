"""The tables of docs/open-questions.md, drawn from the kept records of preset open-questions."""

from pathlib import Path

import numpy as np
import pandas as pd

from understanding_bn import architecture, files
from understanding_bn.claims.statistics import bootstrap_interval

QUANTITIES = {
    "test_accuracy": "test accuracy (points)",
    "gap": "train − test (points)",
    "log2 update_noise": "log2 of an update's noise",
    "log2 sharpness": "log2 of sharpness",
}
COLUMNS = {
    "constant": "C",
    "noise_scale": "tr Σ / abs(g)² (images)",
    "mean_entry_variance": "variance of weights' gradients",
    "mean_unit_variation": "variation between units",
    "layer_variation": "variation between layers",
    "rank_share": "rank of layer gradients",
}
# What is set beside the generalisation gap.
RELATED = {"update_noise": "noise of an update", "noise": "noise of a gradient", "sharpness": "sharpness"} | COLUMNS
RELATED |= {"minibatch_rank": "rank of mini-batch gradients"}

# Alternative texts of the figures that pages in docs/ show.
PICTURES = {
    "alpha_batch_grid": "Test accuracy, gap, update noise and sharpness over learning rate and batch size",
    "noise_by_architecture": "Variance of gradients between mini-batches, weights, units and layers, by architecture",
    "noise_along_training": "Noise along training",
    "jacobian_conditioning": "Condition number of the input–output Jacobian against depth",
    "hessian_spectrum": "Spectral density of the Hessian, sharpness and trace",
    "fig1_accuracy": "Accuracy against training done, with batch norm and without, at four learning rates",
    "other_norms": "Final test accuracy against learning rate with layer and group norm, beside batch norm and none",
    "single_final_bn": "Accuracy with a single batch norm at the end, beside none and batch norm everywhere",
}


def picture(preset: str, name: str) -> str:
    """A kept figure, as a page in docs/ shows it."""
    return f"\n![{PICTURES[name]}](../results/reference/{preset}/figures/{name}.png)\n"


def moves(folder: Path) -> str:
    """Q1: what a doubling of α, of B, or of both does, with intervals over seeds."""
    table = pd.read_csv(folder / "figures" / "alpha_batch_grid_summary.csv")
    rows = []
    for (norm, move), here in table.groupby(["norm", "move"], sort=False):
        row = here.set_index("quantity")
        rows.append([norm, move, *(change(row.loc[name]) if name in row.index else "–" for name in QUANTITIES)])
    note = "Mean change per doubling over neighbouring cells, 95 % interval over seeds."
    return markdown(["norm", "doubled", *QUANTITIES.values()], rows, note)


def small_steps(folder: Path) -> str:
    """Q3: each cell without BN at the smallest B beside BN at its best."""
    table = pd.read_csv(folder / "figures" / "alpha_batch_grid.csv")
    cells = sound_cells(table)
    best = best_cell(cells, "batch")
    smallest = table["batch_size"].min()
    none = table[(table["norm"] == "none") & (table["batch_size"] == smallest)]
    rows = []
    for alpha, runs in none.groupby("alpha"):
        name, cell = f"α = {alpha:g}, B = {smallest}", ("none", alpha, smallest)
        if cell not in cells:
            rows.append([name, f"failed in {runs['failure'].notna().sum()} of {len(runs)} seeds", "–", ""])
            continue
        difference = (cells[cell] - cells[best]).to_numpy()
        low, high = bootstrap_interval(difference) or (np.nan, np.nan)
        text = "below BN" if high < 0 else "above BN" if low > 0 else "no difference beyond chance"
        rows.append([name, _spread(cells[cell]), f"{difference.mean():+.2f} [{low:+.2f}, {high:+.2f}]", text])
    own = f"α = {best[1]:g}, B = {best[2]}, {_spread(cells[best])} %"
    note = f"BN at its best: {own}. Interval over {len(cells[best])} seeds, paired."
    return markdown(["without BN", "test accuracy (%)", "minus BN at its best (points)", ""], rows, note)


def sound_cells(table: pd.DataFrame) -> dict[tuple[str, float, int], pd.Series]:
    """Test accuracy by seed of every (norm, α, B) in which no seed failed."""
    wide = table.pivot_table(
        index="seed", columns=["norm", "alpha", "batch_size"], values="test_accuracy", dropna=False
    )
    return {cell: wide[cell] for cell in wide.columns if wide[cell].notna().all()}


def best_cell(cells: dict[tuple[str, float, int], pd.Series], norm: str) -> tuple[str, float, int] | None:
    """The cell of a norm with the highest mean accuracy; None if it has none."""
    return max((cell for cell in cells if cell[0] == norm), key=lambda cell: cells[cell].mean(), default=None)


def architectures(folder: Path) -> str:
    """Q2: where the noise is, by architecture and norm, before training and at its end."""
    table = pd.read_csv(folder / "figures" / "noise_by_architecture.csv")
    rows = []
    for arch in architecture.in_order(table["arch"]):
        for norm, here in table[table["arch"] == arch].groupby("norm", sort=False):
            for fraction, when in ((0, "before"), (1, "end")):
                rows.append([arch, norm, when, *(_median(here.loc[here["fraction"] == fraction, c]) for c in COLUMNS)])
    return markdown(["network", "norm", "", *COLUMNS.values()], rows, f"Medians of {table['seed'].nunique()} seeds.")


def related(folder: Path) -> str:
    """Q2: which quantities go with the generalisation gap over the cells of the grid."""
    table = pd.read_csv(folder / "figures" / "noise_by_architecture_summary.csv")
    table = table[(table["gap"] == "loss_gap") & table["rho"].notna()]
    norms = list(dict.fromkeys(table["norm"]))
    rows = []
    for quantity, here in table.groupby("quantity", sort=False):
        row = here.set_index("norm")
        rows.append([RELATED[quantity], *(_correlation(row.loc[n]) if n in row.index else "–" for n in norms)])
    note = "Spearman's ρ with test − train loss over cells (number in brackets), 95 % bootstrap interval over cells."
    return markdown(["at the end of training", *(f"ρ, {norm}" for norm in norms)], rows, note)


def conditioning(folder: Path) -> str:
    """Q4: how the Jacobian's condition number grows with depth, beside Theorem 1."""
    table = pd.read_csv(folder / "figures" / "jacobian_conditioning_summary.csv", keep_default_na=False, na_values=[""])
    rows = []
    for row in table.to_dict("records"):
        slope, low, high = (row[f"condition_{name}"] for name in ("slope", "low", "high"))
        between = f" [{low:.3f}, {high:.3f}]" if np.isfinite([low, high]).all() else ""
        text = f"{slope:.3f}{between}" if np.isfinite(slope) else "rank-deficient"
        facts = [row[name] for name in ("shortcut", "norm", "bn_mode", "init")]
        rows.append([*facts, text, f"{row['condition_theory']:.2f}"])
    head = ["shortcuts", "norm", "BN mode", "initialisation", "decades per layer", "Theorem 1"]
    return markdown(head, rows, "Slope of log10 condition number against depth, 95 % interval over seeds.")


def predictions(folder: Path) -> str:
    """The predictions of later work with their verdicts."""
    rows = []
    for claim in files.read_json(folder / "later.json"):
        ours = claim["note"] or "–"
        if claim["measured"] is not None:
            between = ends(claim["interval"], "no interval")
            ours = f"{claim['measure']}: {claim['measured']:.3g} [{between}], n = {claim['seeds']}"
        rows.append([claim["id"], claim["statement"], claim["source"], ours, claim["verdict"]])
    return markdown(["#", "prediction", "source", "ours", "verdict"], rows)


def ends(interval: list[float] | None, without: str = "–") -> str:
    """An interval in words."""
    return " to ".join(f"{end:.3g}" for end in interval) if interval else without


def markdown(head: list[str], rows: list[list[str]], note: str = "") -> str:
    """A Markdown table between blank lines, and a note in italics below it."""
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in (head, *rows)]
    lines = [f"| {lines[0]} |", "|---" * len(head) + "|", *(f"| {line} |" for line in lines[1:])]
    return "\n".join(["", *lines, "", *([f"*{note}*", ""] if note else [])])


def _spread(values: pd.Series) -> str:
    """Mean and standard deviation over seeds."""
    return f"{values.mean():.2f} ± {values.std():.2f}"


def change(row: pd.Series) -> str:
    """A change with its interval."""
    if not np.isfinite(row["change"]):
        return "–"
    between = f" [{row['low']:+.2f}, {row['high']:+.2f}]" if np.isfinite(row["low"]) else ""
    return f"{row['change']:+.2f}{between}"


def _correlation(row: pd.Series) -> str:
    between = f" [{row['low']:.2f}, {row['high']:.2f}]" if np.isfinite(row["low"]) else ""
    return f"{row['rho']:.2f}{between} ({row['cells']})"


def _median(values: pd.Series) -> str:
    return f"{values.median():.2g}" if values.notna().any() else "–"
