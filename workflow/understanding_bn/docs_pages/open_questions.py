"""The tables of docs/open-questions.md, from a kept record of preset open-questions."""

from pathlib import Path

import numpy as np
import pandas as pd

from understanding_bn import architecture
from understanding_bn.claims import story
from understanding_bn.claims.checks import NOT_RUN
from understanding_bn.docs_pages import markdown, records
from understanding_bn.docs_pages.markdown import DASH
from understanding_bn.errors import UserError
from understanding_bn.messages import plain
from understanding_bn.summaries.intervals import mean_interval
from understanding_bn.summaries.jacobian_conditioning import MARGIN

# Columns of the figures' CSV files and what the page calls them.
CHANGES = {
    "test_accuracy": "test accuracy (points)",
    "gap": "train − test (points)",
    "log2 update_noise": "log2 of an update's noise",
    "log2 sharpness": "log2 of sharpness",
}
NOISE = {
    "constant": "C",
    "noise_scale": "tr Σ / abs(g)² (images)",
    "mean_entry_variance": "variance of weights' gradients",
    "mean_unit_variation": "variation between units",
    "layer_variation": "variation between layers",
    "rank_share": "rank of layer gradients",
}
# What is compared with the generalisation gap.
RELATED = {
    "update_noise": "noise of an update",
    "noise": "noise of a gradient",
    "sharpness": "sharpness",
    "minibatch_rank": "rank of mini-batch gradients",
} | NOISE
NOISE_TABLE, SLOPES = "figures/noise_by_architecture.csv", "figures/jacobian_conditioning_summary.csv"

Cell = tuple[str, float, int]  # norm, α, B


def moves(folder: Path) -> str:
    """Q1: what a doubling of α, of B, or of both does, with intervals over seeds."""
    rows = []
    for (norm, move), doubled in changes(folder).groupby(["norm", "move"], sort=False):
        row = doubled.set_index("quantity")
        texts = {text: change(row.loc[name]) if name in row.index else DASH for name, text in CHANGES.items()}
        rows.append({"norm": norm, "doubled": move} | texts)
    note = "Mean change per doubling over neighbouring cells, 95 % interval over seeds."
    return markdown.table(pd.DataFrame(rows), note)


def changes(folder: Path) -> pd.DataFrame:
    """A row for each norm, move and quantity of Q1: change, low, high."""
    return records.csv(folder, "figures/alpha_batch_grid_summary.csv")


def change(row: pd.Series) -> str:
    """A change with its interval."""
    return markdown.number(row["change"], (row["low"], row["high"]), "+.2f")


def architectures(folder: Path) -> str:
    """Q2: each kind of noise by architecture and norm, before training and at its end."""
    table = noise(folder)
    rows = []
    for arch in architecture.in_order(table["arch"]):
        for norm, runs in table[table["arch"] == arch].groupby("norm", sort=False):
            for fraction, when in ((0, "before"), (1, "end")):
                medians = runs.loc[runs["fraction"] == fraction, list(NOISE)].median()
                texts = {
                    name: DASH if np.isnan(medians[key]) else plain(medians[key], ".2g") for key, name in NOISE.items()
                }
                rows.append({"network": arch, "norm": norm, "": when} | texts)
    note = f"Medians of {table['seed'].nunique()} seeds."
    summary = "Each kind of noise by network and norm, before training and at its end"
    return _folded(folder, markdown.table(pd.DataFrame(rows), note), summary, len(rows), NOISE_TABLE)


def noise(folder: Path) -> pd.DataFrame:
    """A row for each network, norm, seed and share of training of Q2."""
    return records.csv(folder, NOISE_TABLE)


def _folded(folder: Path, table: str, summary: str, rows: int, csv: str) -> str:
    """A long table that a reader opens; the answer stands above it."""
    return markdown.folded(table, f"{summary} ({rows} rows)", f"../results/reference/{folder.name}/{csv}")


def noise_counts(folder: Path) -> str:
    """Q2: in how many architectures BN raises or lowers each kind of noise, by every seed."""
    rows = []
    for column, name in NOISE.items():
        row = {"batch norm compared with none": name}
        for fraction, when in ((0, "before"), (1, "at the end")):
            raised, lowered, count = agreeing(folder, column, fraction)
            row |= {f"raises it, {when}": f"{raised} of {count}", f"lowers it, {when}": f"{lowered} of {count}"}
        rows.append(row)
    return markdown.table(pd.DataFrame(rows), "Number of architectures in which every seed agrees.")


def agreeing(folder: Path, column: str, fraction: float) -> tuple[int, int, int]:
    """In how many architectures every seed says that BN raises a kind of noise, and lowers it, at a share of training.

    Returns:
        Both numbers, and that of the architectures with and without BN.
    """
    table = noise(folder)
    runs = table[table["fraction"] == fraction]
    wide = runs.pivot_table(index=["arch", "seed"], columns="norm", values=column)
    wide = wide.reindex(columns=["batch", "none"]).dropna()
    higher = (wide["batch"] > wide["none"]).groupby("arch")
    return int(higher.all().sum()), int((~higher.any()).sum()), higher.ngroups


def correlations(folder: Path) -> str:
    """Q2: how each quantity correlates with the generalisation gap over the cells of the grid."""
    table = related(folder)
    norms = list(dict.fromkeys(table["norm"]))
    rows = []
    for quantity, group in table.groupby("quantity", sort=False):
        row = group.set_index("norm")
        texts = {f"ρ, {norm}": correlation(row.loc[norm]) if norm in row.index else DASH for norm in norms}
        rows.append({"at the end of training": RELATED[quantity]} | texts)
    note = "Spearman's ρ with test − train loss over cells (number in brackets), with its 95 % interval by Fisher's z, "
    note += "as if cells were independent."
    return markdown.table(pd.DataFrame(rows), note)


def related(folder: Path) -> pd.DataFrame:
    """A row for each norm (or "all") and quantity of which there is a correlation with the gap in loss."""
    table = records.csv(folder, "figures/noise_by_architecture_summary.csv")
    return table[(table["gap"] == "loss_gap") & table["rho"].notna()]


def correlation(row: pd.Series) -> str:
    """ρ with its interval and the number of cells."""
    return f"{markdown.number(row['rho'], (row['low'], row['high']), '.2f')} ({row['cells']})"


def small_steps(folder: Path) -> str:
    """Q3: each cell without BN at the smallest B, compared with BN at its best."""
    table = grid(folder)
    cells = sound_cells(table)
    best = best_cell(cells, "batch")
    smallest = table["batch_size"].min()
    rows = []
    for alpha, runs in table[(table["norm"] == "none") & (table["batch_size"] == smallest)].groupby("alpha"):
        cell = ("none", alpha, smallest)
        if cell in cells:
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
    note = f"BN at its best: {ours}. Interval over {len(cells[best])} seeds, paired."
    return markdown.table(pd.DataFrame(rows, columns=head), note)


def grid(folder: Path) -> pd.DataFrame:
    """A row for each run of the grid over α and B."""
    return records.csv(folder, "figures/alpha_batch_grid.csv")


def sound_cells(table: pd.DataFrame) -> dict[Cell, pd.Series]:
    """Test accuracy by seed of every (norm, α, B) in which no seed failed."""
    wide = table.pivot_table(
        index="seed", columns=["norm", "alpha", "batch_size"], values="test_accuracy", dropna=False
    )
    return {cell: wide[cell] for cell in wide.columns if wide[cell].notna().all()}


def best_cell(cells: dict[Cell, pd.Series], norm: str) -> Cell:
    """The cell of a norm with the highest mean accuracy.

    Raises:
        UserError: it has none.
    """
    of_norm = [cell for cell in cells if cell[0] == norm]
    if not of_norm:
        raise UserError(f"no cell with norm {norm} in which every seed trained")
    return max(of_norm, key=lambda cell: cells[cell].mean())


def paired(one: pd.Series, other: pd.Series) -> tuple[float, tuple[float, float] | None]:
    """The mean difference between two cells over the seeds that both have, and its interval."""
    difference = (one - other).to_numpy()
    return float(difference.mean()), mean_interval(difference)


def _compared(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return "one seed"
    low, high = interval
    return "below BN" if high < 0 else "above BN" if low > 0 else "no difference beyond chance"


def conditioning(folder: Path) -> str:
    """Q4: how the Jacobian's condition number grows with depth, compared with Theorem 1."""
    names = {"shortcut": "shortcuts", "norm": "norm", "bn_mode": "BN mode", "init": "initialisation"}
    slopes = conditioning_slopes(folder)
    frame = slopes[list(names)].rename(columns=names)
    if "batch_size" in slopes and slopes["batch_size"].nunique() > 1:
        sizes = slopes["batch_size"].astype(str).where(slopes["bn_mode"] != "none", DASH)
        frame.insert(list(names).index("bn_mode") + 1, "B", sizes)
    frame["decades per layer"] = [
        "rank-deficient" if np.isnan(row["condition_slope"]) else with_interval(row, "condition_slope", ".3f")
        for _, row in slopes.iterrows()
    ]
    frame["Theorem 1"] = slopes["condition_theory"].map("{:.2f}".format)
    table = markdown.table(frame, "Slope of log10 condition number against depth, 95 % interval over seeds.")
    return _folded(folder, table, "The growth of the condition number in every kind of network", len(frame), SLOPES)


def conditioning_counts(folder: Path) -> str:
    """Q4: in how many initialisations BN makes that growth slower or faster, of those of full rank in both cases."""
    slopes = conditioning_slopes(folder).dropna(subset="condition_slope")
    rows = []
    for shortcut, mode in ((shortcut, mode) for shortcut in ("none", "projection") for mode in ("train", "eval")):
        networks = slopes[slopes["shortcut"] == shortcut]
        batch = networks[(networks["norm"] == "batch") & (networks["bn_mode"] == mode)]
        pairs = networks[networks["norm"] == "none"].merge(batch, on="init", suffixes=("", "_batch"))
        rows.append(
            {
                "shortcuts": shortcut,
                "batch norm in": f"{mode} mode",
                "slower": str((pairs["condition_high_batch"] < pairs["condition_low"]).sum()),
                "faster": str((pairs["condition_low_batch"] > pairs["condition_high"]).sum()),
                "initialisations": str(len(pairs)),
            }
        )
    return markdown.table(pd.DataFrame(rows))


def conditioning_slopes(folder: Path) -> pd.DataFrame:
    """A row for each kind of network of Q4; condition_slope is NaN where a Jacobian lacks full rank."""
    return records.csv(folder, SLOPES)


def comparators(folder: Path) -> str:
    """Q4: plain networks without normalisation beside products of Gaussian matrices of their own sizes."""
    rows = []
    for _, network in compared_networks(folder).iterrows():
        row = {"initialisation": network["init"], "network": with_interval(network, "condition_slope", ".3f")}
        row["products"] = with_interval(network, "condition_gaussian", ".3f")
        row["products with half masks"] = with_interval(network, "condition_gaussian_masked", ".3f")
        row["network − the latter"] = with_interval(network, "condition_over_masked", "+.3f")
        rows.append(row | {"": network["condition_verdict"]})
    margin = f"within ±{100 * MARGIN:.0f} % of the slope with masks"
    note = f"Decades per layer, 95 % interval over seeds. Slopes agree where that of their difference is {margin}."
    return markdown.table(pd.DataFrame(rows), note)


def compared_networks(folder: Path) -> pd.DataFrame:
    """The plain networks without normalisation that have a product of Gaussian matrices beside them.

    Raises:
        UserError: no such product was measured.
    """
    slopes = conditioning_slopes(folder)
    if "condition_gaussian_masked" in slopes:
        found = slopes[(slopes["shortcut"] == "none") & (slopes["norm"] == "none")]
        found = found.dropna(subset="condition_gaussian_masked")
        if len(found):
            return found
    raise UserError(
        f"{folder / SLOPES}: no product of Gaussian matrices was measured; set that measurement's `gaussian`"
    )


def conditioning_changes(folder: Path) -> str:
    """Q4: how much batch norm changes that growth, by its mode and B: a column for each initialisation."""
    slopes = conditioning_slopes(folder)
    batch = slopes[slopes["norm"] == "batch"].dropna(subset="condition_over_none")
    rows = []
    for (shortcut, mode, size), networks in batch.groupby(["shortcut", "bn_mode", "batch_size"], sort=False):
        row = {"shortcuts": shortcut, "batch norm in": f"{mode} mode", "B": str(size)}
        inits = networks.set_index("init")
        rows.append(row | {init: with_interval(inits.loc[init], "condition_over_none", "+.3f") for init in inits.index})
    note = "Decades per layer with batch norm minus without, paired by seed, 95 % interval."
    return markdown.table(pd.DataFrame(rows).fillna(DASH), note)


def with_interval(row: pd.Series, name: str, form: str) -> str:
    """A value of Q4 with its interval."""
    ends = name.removesuffix("_slope")
    return markdown.number(row[name], (row[f"{ends}_low"], row[f"{ends}_high"]), form)


def followups(reference: Path, *presets: str) -> str:
    """The predictions of later work with their verdicts, each from the record that says most about it."""
    judged = [records.claims(reference / preset, "followups.json") for preset in presets]
    named = [[claim | {"record": preset} for claim in claims] for preset, claims in zip(presets, judged, strict=True)]
    rows = []
    for claim in story.best(named):
        ours = claim["note"] or DASH
        if claim["measured"] is not None:
            interval = markdown.ends(claim["interval"], "no interval")
            ours = f"{claim['measure']}: {plain(claim['measured'])} [{interval}], n = {claim['seeds']}"
        source = DASH if claim["verdict"] == NOT_RUN else f"`{claim['record']}`"
        rows.append((claim["id"], claim["statement"], claim["source"], source, ours, claim["verdict"]))
    return markdown.table(pd.DataFrame(rows, columns=["#", "prediction", "source", "record", "ours", "verdict"]))
