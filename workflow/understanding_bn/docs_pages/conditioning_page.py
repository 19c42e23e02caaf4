"""Q4 of docs/open-questions.md: the conditioning of networks against depth, beside products of Gaussian matrices."""

from pathlib import Path

import pandas as pd

from understanding_bn.docs_pages import markdown, records
from understanding_bn.docs_pages.markdown import DASH
from understanding_bn.errors import UserError
from understanding_bn.summaries.jacobian_conditioning import MARGIN

SLOPES = "figures/jacobian_conditioning_summary.csv"


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


def conditioning_slopes(folder: Path) -> pd.DataFrame:
    """A row for each kind of network of Q4; condition_slope is NaN where a Jacobian lacks full rank."""
    return records.csv(folder, SLOPES)


def with_interval(row: pd.Series, name: str, form: str) -> str:
    """A value of Q4 with its interval."""
    ends = name.removesuffix("_slope")
    return markdown.number(row[name], (row[f"{ends}_low"], row[f"{ends}_high"]), form)
