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
from understanding_bn.summaries.noise_and_gap import GAP
from understanding_bn.summaries.noise_by_depth import LOG_RATIO, LOWERS, RAISES, TO_LOWERING, TO_RAISING

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
# What is compared by depth, before training.
BY_DEPTH = {
    "constant": "C",
    "noise_scale": "tr Σ / abs(g)² (images)",
    "relative_curvature": "tr(HΣ) / L",
    "mean_entry_variance": "variance of weights' gradients",
    "mean_unit_variation": "variation between units",
    "layer_variation": "variation between layers",
}
NOISE_TABLE, SLOPES = "figures/noise_by_architecture.csv", "figures/jacobian_conditioning_summary.csv"
RELATED_TABLE = "figures/noise_by_architecture_summary.csv"
AT_LOSSES = "figures/noise_by_architecture_at_losses.csv"

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
    """Q2: in how many architectures BN raises or lowers each kind of noise, by every seed.

    Before training and at its end; and, if that was measured, where training first reached each of some losses, so that
    networks are compared at the same one.
    """
    ends, reached = noise(folder), _at_losses(folder)
    moments = {when: ends[ends["fraction"] == fraction] for fraction, when in ((0, "before"), (1, "at the end"))}
    moments |= {f"at loss {loss:g}": runs for loss, runs in reached.groupby("at_loss", sort=False)}
    rows = []
    for column, name in NOISE.items():
        row = {"batch norm compared with none": name}
        for when, runs in moments.items():
            raised, lowered, count = _agreeing(runs, column)
            row |= {f"raises it, {when}": f"{raised} of {count}", f"lowers it, {when}": f"{lowered} of {count}"}
        rows.append(row)
    note = "Number of architectures in which every seed agrees."
    if len(reached):
        note += " A loss is the mean training loss (nats) of an epoch, the first at or below it."
    for loss, runs in reached.groupby("at_loss", sort=False):
        missed = int(runs["epoch"].isna().sum())
        note += f" {missed} of {len(runs)} runs never reached {loss:g}." if missed else ""
    return markdown.table(pd.DataFrame(rows), note)


def _at_losses(folder: Path) -> pd.DataFrame:
    """A row for each run and loss that networks were measured at; none if they were not, as in earlier records."""
    return records.csv(folder, AT_LOSSES) if (folder / AT_LOSSES).is_file() else pd.DataFrame(columns=["at_loss"])


def agreeing(folder: Path, column: str, fraction: float) -> tuple[int, int, int]:
    """In how many architectures every seed says that BN raises a kind of noise, and lowers it, at a share of training.

    Returns:
        Both numbers, and that of the architectures with and without BN.
    """
    table = noise(folder)
    return _agreeing(table[table["fraction"] == fraction], column)


def _agreeing(runs: pd.DataFrame, column: str) -> tuple[int, int, int]:
    wide = runs.pivot_table(index=["arch", "seed"], columns="norm", values=column)
    wide = wide.reindex(columns=["batch", "none"]).dropna()
    higher = (wide["batch"] > wide["none"]).groupby("arch")
    return int(higher.all().sum()), int((~higher.any()).sum()), higher.ngroups


def noise_turns(folder: Path) -> str:
    """Q2: between which depths BN turns from raising to lowering each kind of noise before training, or back."""
    table, compared = turns(folder), by_depth(folder)
    rows = []
    for quantity, name in BY_DEPTH.items():
        for _, row in table[table["quantity"] == quantity].iterrows():
            depths = compared[(compared["quantity"] == quantity) & (compared["shortcut"] == row["shortcut"])]
            texts = {f"log10 of the ratio, {depth} layers": ratio(depths, depth) for depth in ends_of(compared)}
            rows.append({"": name, "shortcuts": row["shortcut"], "batch norm": turn(row)} | texts)
    note = "Ratio of the value with BN to that without, mean over seeds with its 95 % interval; signs where it has no "
    note += "logarithm: minus, BN has the smaller value. Depths are judged one by one by that interval."
    return markdown.table(pd.DataFrame(rows), note)


def turns(folder: Path) -> pd.DataFrame:
    """A row for each kind of shortcut and quantity of Q2: where BN turns from raising to lowering it."""
    table = records.csv(folder, "figures/noise_by_depth_summary.csv")
    return table[table["norm"] == "batch"]


def by_depth(folder: Path) -> pd.DataFrame:
    """A row for each kind of shortcut, depth and quantity: BN compared with no normalisation."""
    table = records.csv(folder, "figures/noise_by_depth_comparisons.csv")
    return table[table["norm"] == "batch"]


def ends_of(compared: pd.DataFrame) -> list[int]:
    """The smallest and the largest depth."""
    return sorted({int(compared["depth"].min()), int(compared["depth"].max())})


def turn(row: pd.Series) -> str:
    """What BN does: `raises it at all depths`, or `raises it up to 56, lowers it from 110`."""
    verdict = row["verdict"]
    if verdict in (TO_LOWERING, TO_RAISING):
        first, then = (RAISES, LOWERS) if verdict == TO_LOWERING else (LOWERS, RAISES)
        return f"{first} it up to {row['above']:.0f}, {then} it from {row['below']:.0f}"
    if verdict not in (RAISES, LOWERS):
        return verdict
    clear = row["raised"] + row["lowered"]
    where = "all depths" if clear == row["depths"] else f"{clear} of {row['depths']} depths, unclear at the others"
    return f"{verdict} it at {where}"


def ratio(compared: pd.DataFrame, depth: int) -> str:
    """log10 of the ratio at a depth with its interval; only the sign of the difference where one is not positive."""
    rows = compared[compared["depth"] == depth]
    if len(rows) != 1 or np.isnan(rows["mean"].iloc[0]):
        return DASH
    row = rows.iloc[0]
    if row["score"] == LOG_RATIO:
        return markdown.number(row["mean"], (row["low"], row["high"]), "+.2f")
    return {1: "+", -1: "−"}.get(row["sign"], "unclear")


def correlations(folder: Path) -> str:
    """Q2: how each quantity correlates with the generalisation gap over the cells of the grid, also given α and B.

    Norms of which no cells are left to compare, given α and B, are in the CSV alone.
    """
    table = related(folder)
    norms = list(dict.fromkeys(table.loc[table["partial"].notna(), "norm"]))
    rows = []
    for quantity, group in table[table["norm"].isin(norms)].groupby("quantity", sort=False):
        texts = {"at the end of training": RELATED[quantity]}
        for norm in norms:
            of_norm = group[group["norm"] == norm]
            raw, given = correlation(of_norm.iloc[0]) if len(of_norm) else (DASH, DASH)
            texts |= {f"ρ, {norm}": raw, f"given α and B, {norm}": given}
        rows.append(texts)
    note = (
        "Spearman's ρ with test − train loss over cells (their number in brackets), and then that of what is left of "
    )
    note += (
        "both given α and B of each norm, with its 95 % interval by Fisher's z, as if cells were independent, and p "
    )
    note += f"after Holm's correction for {tested(folder)} tests. "
    note += "In cells marked incomplete, some of the sound seeds have no value."
    csv = f"../results/reference/{folder.name}/{RELATED_TABLE}"
    return markdown.table(pd.DataFrame(rows), f"{note} All of them are in [the CSV]({csv}).")


def related(folder: Path) -> pd.DataFrame:
    """A row for each norm (or "all") and quantity of which there is a correlation with the gap in loss."""
    table = records.csv(folder, RELATED_TABLE)
    return table[(table["gap"] == GAP) & table["rho"].notna()]


def tested(folder: Path) -> int:
    """How many correlations with that gap, given α and B, Holm's correction is for."""
    return int(related(folder)["p"].notna().sum())


def correlation(row: pd.Series) -> tuple[str, str]:
    """ρ with the number of cells; and ρ given α and B with its interval, p and number of cells."""
    incomplete = f", {row['incomplete']} incomplete" if row["incomplete"] else ""
    raw = f"{markdown.number(row['rho'], None, '.2f')} ({row['cells']}{incomplete})"
    return raw, f"{partial(row)}, {p(row)} ({row['compared']})" if pd.notna(row["partial"]) else DASH


def partial(row: pd.Series) -> str:
    """ρ given α and B, with its interval."""
    return markdown.number(row["partial"], (row["partial_low"], row["partial_high"]), ".2f")


def p(row: pd.Series) -> str:
    """p after Holm's correction."""
    value = row["p_holm"]
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def small_steps(folder: Path) -> str:
    """Q3: each cell without BN at the smallest B, compared with BN at its best."""
    table = grid(folder)
    cells = sound_cells(table)
    best = best_cell(cells, "batch")
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
    difference = (one - other).dropna().to_numpy()
    return float(difference.mean()) if len(difference) else np.nan, mean_interval(difference)


def _compared(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return "too few seeds"
    low, high = interval
    return "below BN" if high < 0 else "above BN" if low > 0 else "no difference beyond chance"


def conditioning(folder: Path) -> str:
    """Q4: how the Jacobian's condition number grows with depth, compared with Theorem 1."""
    names = {"shortcut": "shortcuts", "norm": "norm", "bn_mode": "BN mode", "init": "initialisation"}
    slopes = conditioning_slopes(folder)
    frame = slopes[list(names)].rename(columns=names)
    frame["decades per layer"] = [
        "rank-deficient" if np.isnan(slope) else markdown.number(slope, interval, ".3f")
        for slope, *interval in slopes[["condition_slope", "condition_low", "condition_high"]].to_numpy()
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
        source = DASH if claim["verdict"] == NOT_RUN else records.named(reference, claim["record"])
        rows.append((claim["id"], claim["statement"], claim["source"], source, ours, claim["verdict"]))
    return markdown.table(pd.DataFrame(rows, columns=["#", "prediction", "source", "record", "ours", "verdict"]))
