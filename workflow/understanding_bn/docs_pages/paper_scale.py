"""The tables of docs/paper-scale.md, from a kept record of preset cifar10-init."""

from pathlib import Path

import pandas as pd

from understanding_bn import paper
from understanding_bn.docs_pages import markdown, records
from understanding_bn.docs_pages.markdown import DASH
from understanding_bn.errors import UserError
from understanding_bn.messages import plain
from understanding_bn.summaries.channel_moments import MAIN_SITE
from understanding_bn.summaries.relative_loss import of_paper

# Columns of Fig. 3's summary, and what the page calls them.
LANDMARKS = {
    "minimum": "minimum",
    "minimum_step": "its step",
    "passes_1": "passes 1",
    "passes_1000": "passes 1e3",
    "passes_1e+06": "passes 1e6",
}


def checks(folder: Path) -> str:
    """Every check of every claim that was judged."""
    rows = [
        {
            "#": str(claim["id"]),
            "what is measured": check["name"],
            "ours": "not finite" if check["measured"] is None else plain(check["measured"]),
            "95 % interval": markdown.ends(check["interval"]),
            "required": f"{check['relation']} {check['bound']:g}",
            "n": str(check["seeds"]),
            "method": check["method"],
            "verdict": check["verdict"] or "no evidence",
            "direction": check["direction"] or DASH,
        }
        for claim in records.claims(folder)
        for check in claim["checks"]
    ]
    return markdown.table(pd.DataFrame(rows))


def kept_table(folder: Path, name: str) -> str:
    """A table that the run itself wrote as Markdown.

    Raises:
        UserError: the record has no such table.
    """
    try:
        return "\n" + (folder / "tables" / f"{name}.md").read_text(encoding="utf-8") + "\n"
    except FileNotFoundError:
        raise UserError(f"{folder / 'tables' / name}.md: no such file; name a table of this record") from None


def relative_loss(folder: Path) -> str:
    """Landmarks of Fig. 3 over seeds, and the paper's from `paper`: a record may be older than what it says."""
    table = records.csv(folder, "figures/fig3_relative_loss_summary.csv")
    rows = []
    for (norm, minibatch), curves in table.groupby(["norm", "minibatch"], sort=False):
        facts = {"norm": norm, "mini-batch": str(minibatch)}
        ours = {text: markdown.median(curves[column]) for column, text in LANDMARKS.items()}
        published = of_paper(norm, minibatch)
        papers = {text: _known(published[f"paper_{column}"]) for column, text in LANDMARKS.items()}
        if (norm, minibatch) in (never := paper.RELATIVE_LOSS_BELOW_1_UP_TO).value:
            papers[LANDMARKS["passes_1"]] = f"not up to {never.value[norm, minibatch]:g}"
        rows.append(facts | {"": "ours"} | ours)
        rows.append(facts | {"": f"paper ({published['paper_origin']})"} | papers)
    note = f"Ours: median of {table['seed'].nunique()} seeds (smallest to largest). A dash: the paper shows none."
    return markdown.table(pd.DataFrame(rows), note)


def _known(value: float | str) -> str:
    """A number of the paper, or a dash where it has none."""
    return DASH if pd.isna(value) else f"{value:g}"


def channel_moments(folder: Path) -> str:
    """Fig. 5 over seeds, and the paper's values."""
    table = moments(folder)
    rows = []
    for (norm, statistic), published in paper.CHANNEL_MOMENTS.value.items():
        ours = table[(table["norm"] == norm) & (table["statistic"] == statistic)].groupby("layer")["value"]
        facts = {"moment": statistic.replace("_", "-"), "norm": norm}
        layers = [f"layer {layer}" for layer, _ in ours]
        rows.append(
            facts | {"": "ours"} | dict(zip(layers, (markdown.spread(seeds) for _, seeds in ours), strict=True))
        )
        name = f"paper ({paper.CHANNEL_MOMENTS.origin})"
        rows.append(facts | {"": name} | dict(zip(layers, map("{:.2f}".format, published), strict=True)))
    note = f"Ours: mean ± standard deviation over {table['seed'].nunique()} seeds, after the ReLU."
    return markdown.table(pd.DataFrame(rows), note)


def moments(folder: Path) -> pd.DataFrame:
    """A row for each norm, seed, layer and statistic of Fig. 5, after the ReLU."""
    table = records.csv(folder, "figures/fig5_channel_moments.csv")
    return table[table["site"] == MAIN_SITE]


def max_alpha(folder: Path) -> str:
    """The largest stable learning rates over seeds."""
    rows = [
        (norm, init, str(depth), markdown.median(seeds["alpha"]), str(seeds["seed"].nunique()))
        for (norm, init, depth), seeds in stable_alphas(folder).groupby(["norm", "init", "depth"])
    ]
    head = ["norm", "initialisation", "depth", "largest stable α", "seeds"]
    return markdown.table(pd.DataFrame(rows, columns=head), "Median (smallest to largest).")


def stable_alphas(folder: Path) -> pd.DataFrame:
    """A row for each norm, initialisation, depth and seed: the largest stable α."""
    return records.csv(folder, "figures/max_learning_rate.csv")
