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


def moves(folder: Path) -> str:
    """Q1: what a doubling of α, of B, or of both does, with intervals over seeds."""
    table = pd.read_csv(folder / "figures" / "alpha_batch_grid_summary.csv")
    lines = ["| norm | doubled | " + " | ".join(QUANTITIES.values()) + " |", "|---" * (2 + len(QUANTITIES)) + "|"]
    for (norm, move), here in table.groupby(["norm", "move"], sort=False):
        row = here.set_index("quantity")
        cells = [_change(row.loc[name]) if name in row.index else "–" for name in QUANTITIES]
        lines.append(f"| {norm} | {move} | " + " | ".join(cells) + " |")
    note = "*Mean change per doubling over neighbouring cells, 95 % interval over seeds.*"
    return "\n".join(["", *lines, "", note, ""])


def small_steps(folder: Path) -> str:
    """Q3: each cell without BN at the smallest B beside BN at its best."""
    table = pd.read_csv(folder / "figures" / "alpha_batch_grid.csv", keep_default_na=True)
    wide = table.pivot_table(
        index="seed", columns=["norm", "alpha", "batch_size"], values="test_accuracy", dropna=False
    )
    cells = {cell: wide[cell] for cell in wide.columns if wide[cell].notna().all()}
    best = max((cell for cell in cells if cell[0] == "batch"), key=lambda cell: cells[cell].mean())
    smallest = table["batch_size"].min()
    lines = ["| without BN | test accuracy (%) | minus BN at its best (points) | |", "|---|---|---|---|"]
    alphas = sorted(table["alpha"].unique())
    for alpha in alphas:
        cell = ("none", alpha, smallest)
        failed = table[(table["norm"] == "none") & (table["alpha"] == alpha) & (table["batch_size"] == smallest)]
        if cell not in cells:
            count = failed["failure"].notna().sum()
            lines.append(f"| α = {alpha:g}, B = {smallest} | failed in {count} of {len(failed)} seeds | – | |")
            continue
        difference = (cells[cell] - cells[best]).to_numpy()
        low, high = bootstrap_interval(difference) or (np.nan, np.nan)
        text = "below BN" if high < 0 else "above BN" if low > 0 else "no difference beyond chance"
        accuracy = f"{cells[cell].mean():.2f} ± {cells[cell].std():.2f}"
        between = f"{difference.mean():+.2f} [{low:+.2f}, {high:+.2f}]"
        lines.append(f"| α = {alpha:g}, B = {smallest} | {accuracy} | {between} | {text} |")
    own = f"{cells[best].mean():.2f} ± {cells[best].std():.2f} %"
    note = f"*BN at its best: α = {best[1]:g}, B = {best[2]}, {own}. Interval over {len(wide)} seeds, paired.*"
    return "\n".join(["", *lines, "", note, ""])


def architectures(folder: Path) -> str:
    """Q2: where the noise is, by architecture and norm, before training and at its end."""
    table = pd.read_csv(folder / "figures" / "noise_by_architecture.csv")
    lines = ["| network | norm | | " + " | ".join(COLUMNS.values()) + " |", "|---" * (3 + len(COLUMNS)) + "|"]
    order = sorted(table["arch"].unique(), key=lambda a: (a.rsplit("-", 1)[0], architecture.depth(a)))
    for arch in order:
        for norm, here in table[table["arch"] == arch].groupby("norm", sort=False):
            for fraction, when in ((0, "before"), (1, "end")):
                cells = [_median(here.loc[here["fraction"] == fraction, name]) for name in COLUMNS]
                lines.append(f"| {arch} | {norm} | {when} | " + " | ".join(cells) + " |")
    return "\n".join(["", *lines, "", f"*Medians of {table['seed'].nunique()} seeds.*", ""])


def related(folder: Path) -> str:
    """Q2: which quantities go with the generalisation gap over the cells of the grid."""
    table = pd.read_csv(folder / "figures" / "noise_by_architecture_summary.csv")
    table = table[(table["gap"] == "loss_gap") & table["rho"].notna()]
    norms = list(dict.fromkeys(table["norm"]))
    names = {"update_noise": "noise of an update", "noise": "noise of a gradient", "sharpness": "sharpness"} | COLUMNS
    names |= {"minibatch_rank": "rank of mini-batch gradients"}
    lines = ["| at the end of training | " + " | ".join(f"ρ, {norm}" for norm in norms) + " |"]
    lines.append("|---" * (1 + len(norms)) + "|")
    for quantity, here in table.groupby("quantity", sort=False):
        row = here.set_index("norm")
        cells = [_correlation(row.loc[norm]) if norm in row.index else "–" for norm in norms]
        lines.append(f"| {names.get(quantity, quantity)} | " + " | ".join(cells) + " |")
    note = "*Spearman's ρ with test − train loss over cells (number in brackets), 95 % bootstrap interval over cells.*"
    return "\n".join(["", *lines, "", note, ""])


def conditioning(folder: Path) -> str:
    """Q4: how the Jacobian's condition number grows with depth, beside Theorem 1."""
    table = pd.read_csv(folder / "figures" / "jacobian_conditioning_summary.csv")
    lines = ["| shortcuts | norm | BN mode | initialisation | decades per layer | Theorem 1 |", "|---" * 6 + "|"]
    for row in table.to_dict("records"):
        slope = row["condition_slope"]
        low, high = (row.get(f"condition_{end}", np.nan) for end in ("low", "high"))
        between = f" [{low:.3f}, {high:.3f}]" if np.isfinite([low, high]).all() else ""
        text = f"{slope:.3f}{between}" if np.isfinite(slope) else "rank-deficient"
        facts = [row[name] if isinstance(row[name], str) else "–" for name in ("shortcut", "norm", "bn_mode", "init")]
        lines.append(f"| {' | '.join(facts)} | {text} | {row['condition_theory']:.2f} |")
    return "\n".join(["", *lines, "", "*Slope of log10 condition number against depth, 95 % interval over seeds.*", ""])


def predictions(folder: Path) -> str:
    """The predictions of later work with their verdicts."""
    lines = ["| # | prediction | source | ours | verdict |", "|---" * 5 + "|"]
    for claim in files.read_json(folder / "later.json"):
        ours = "–"
        if claim["measured"] is not None:
            between = " to ".join(f"{end:.3g}" for end in claim["interval"]) if claim["interval"] else "no interval"
            ours = f"{claim['measure']}: {claim['measured']:.3g} [{between}], n = {claim['seeds']}"
        elif claim["note"]:
            ours = claim["note"]
        cells = [claim["id"], claim["statement"], claim["source"], ours, claim["verdict"]]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(["", *lines, ""])


def _change(row: pd.Series) -> str:
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
