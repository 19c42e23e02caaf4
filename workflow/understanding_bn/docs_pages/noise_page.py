"""Q2 of docs/open-questions.md: where batch norm raises or lowers the noise of SGD."""

from pathlib import Path

import numpy as np
import pandas as pd

from understanding_bn.docs_pages import markdown, records
from understanding_bn.docs_pages.markdown import DASH
from understanding_bn.errors import UserError
from understanding_bn.summaries.noise_and_gap import GAP
from understanding_bn.summaries.noise_at_losses import BEFORE
from understanding_bn.summaries.noise_by_depth import LOG_RATIO, LOWERS, RAISES, TO_LOWERING, TO_RAISING

# Kinds of noise, by their columns in the figures' CSV files, and what the page calls them.
NOISE = {
    "constant": "C",
    "noise_scale": "tr Σ / abs(g)² (images)",
    "relative_curvature": "tr(HΣ) / L",
    "mean_entry_variance": "variance of weights' gradients",
    "mean_unit_variation": "variation between units",
    "layer_variation": "variation between layers",
}
# What is compared with the generalisation gap.
RELATED = {
    "update_noise": "noise of an update",
    "noise": "noise of a gradient",
    "sharpness": "sharpness",
    "minibatch_rank": "rank of mini-batch gradients",
    **{column: name for column, name in NOISE.items() if column != "relative_curvature"},
    "rank_share": "rank of layer gradients",
}
RELATED_TABLE = "figures/noise_by_architecture_summary.csv"


def noise_turns(folder: Path) -> str:
    """Q2: between which depths BN turns from raising to lowering each kind of noise before training, or back."""
    table, compared = turns(folder), by_depth(folder)
    rows = []
    for quantity, name in NOISE.items():
        for _, row in table[table["quantity"] == quantity].iterrows():
            depths = compared[(compared["quantity"] == quantity) & (compared["shortcut"] == row["shortcut"])]
            least, most = int(depths["depth"].min()), int(depths["depth"].max())
            texts = {f"log10 of the ratio, {least} layers": ratio(depths, least)}
            texts["at the deepest"] = f"{ratio(depths, most)} ({most} layers)"
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
    return ratio_text(rows.iloc[0]) if len(rows) == 1 else DASH


def ratio_text(row: pd.Series) -> str:
    """The same of one comparison."""
    if np.isnan(row["mean"]):
        return DASH
    if row["score"] == LOG_RATIO:
        return markdown.number(row["mean"], (row["low"], row["high"]), "+.2f")
    return {1: "+", -1: "−"}.get(row["sign"], "unclear")


def noise_at_losses(folder: Path) -> str:
    """Q2: in how many architectures BN raises or lowers each kind of noise, before training and at matched loss."""
    compared = at_losses(folder)
    moments = list(dict.fromkeys(compared["moment"]))
    rows = []
    for quantity, name in NOISE.items():
        texts = {"batch norm compared with none": name}
        for when in moments:
            signs = signs_at(compared, quantity, when)
            texts[when] = f"raises {(signs > 0).sum()}, lowers {(signs < 0).sum()}"
        rows.append(texts)
    archs, seeds = compared["arch"].nunique(), compared["seeds"].max()
    note = f"Number of the {archs} architectures in which the 95 % interval over {seeds} seeds lies on that side. "
    note += "A loss is the mean training loss (nats) of an epoch, the first at or below it."
    pairs = compared[compared["quantity"] == "constant"].groupby("moment", sort=False)[["not_finite", "seeds"]].sum()
    for when, counts in pairs[pairs["not_finite"] > 0].iterrows():
        note += f" At {when}, {counts['not_finite']} of {counts['seeds']} pairs of runs have one that never got there."
    return markdown.table(pd.DataFrame(rows), note)


def at_losses(folder: Path) -> pd.DataFrame:
    """A row for each architecture, moment of training and kind of noise: BN compared with none."""
    table = records.csv(folder, "figures/noise_at_losses_comparisons.csv")
    return table[table["norm"] == "batch"]


def signs_at(compared: pd.DataFrame, quantity: str, when: str) -> pd.Series:
    """What BN does to a kind of noise at a moment, by architecture: 1, −1, or 0 where it is unclear.

    `compared`: rows of `at_losses`.
    """
    rows = compared[(compared["quantity"] == quantity) & (compared["moment"] == moment(when))]
    if rows.empty:
        raise UserError(f"no comparison of {quantity!r} at {when!r}; expected before, or a loss such as 0.1")
    return rows["sign"]


def moment(when: str) -> str:
    """`before` or `0.1` as the CSV has it."""
    return BEFORE if when == "before" else when if when.startswith(("loss ", BEFORE)) else f"loss {when}"


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
