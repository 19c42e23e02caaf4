"""What other readings of the paper would change: shortcuts, initialisation, where moments are taken."""

import math
from typing import Any

import numpy as np
import pandas as pd

from understanding_bn import architecture, paper
from understanding_bn.figures import style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain
from understanding_bn.figures.titles import count
from understanding_bn.summaries.channel_moments import distance_from_paper, moments_by_layer
from understanding_bn.summaries.logit_gradients import one_class_for_all

READING = ["arch", "init"]
COLUMNS = [*READING, "site", "norm", "quantity", "value", "sd", "paper", "paper_origin", "seeds"]


def tabulate(
    channel_moments: pd.DataFrame | None = None,
    gradient_sums: pd.DataFrame | None = None,
    logit_gradients: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, str]:
    """Figs. 5 and 6 and Table 1 for each reading; the first one is the preset's own.

    Values are means over seeds, with their standard deviation where each seed has a value of its own.

    Raises:
        NothingToShow: nothing was measured.
    """
    parts = ((channel_moments, _moments), (gradient_sums, _ratios), (logit_gradients, _one_class))
    given = [(values, summarise) for values, summarise in parts if values is not None and len(values)]
    if not given:
        raise NothingToShow("No reading was measured.")
    rows = []
    for arch, init in pd.concat([values[READING] for values, _ in given]).drop_duplicates().to_numpy():
        for values, summarise in given:
            of_reading = values[(values["arch"] == arch) & (values["init"] == init)]
            rows += [{"arch": arch, "init": init} | row for row in (summarise(of_reading) if len(of_reading) else [])]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table, _markdown(table)


def _moments(channel_moments: pd.DataFrame) -> list[dict]:
    """Root-mean-square distance from the paper's Fig. 5 in natural-log units, for each site."""
    rows = []
    seeds = channel_moments["seed"].nunique()
    for row in distance_from_paper(moments_by_layer(channel_moments), True).to_dict("records"):
        name = f"Fig. 5, {row['statistic'].replace('_', '-')}: rms distance from the paper"
        rows.append({"site": row["site"], "norm": row["norm"], "quantity": name, "seeds": seeds})
        rows[-1] |= {"value": row["rms_distance_from_paper"], "paper": 0.0, "paper_origin": row["paper_origin"]}
    return rows


def _ratios(gradient_sums: pd.DataFrame) -> list[dict]:
    """Means over seeds of a/b, and of b, the mean |gradient| of a kernel entry, whose unit in the paper is unknown."""
    rows = []
    for (norm, layer), group in gradient_sums.groupby(["norm", "layer"]):
        shared = {"site": "", "norm": norm}
        published = paper.GRADIENT_SUM_RATIO.value.get((norm, layer), math.nan)
        known: dict[str, Any] = {
            "paper": published,
            "paper_origin": _origin(paper.GRADIENT_SUM_RATIO.origin, published),
        }
        name = f"Table 1, {{}} at layer {layer:g}"
        for quantity, values, theirs in (("a/b", group["ratio"], known), ("b", group["b"], {"paper": math.nan})):
            finite = values[np.isfinite(values)]
            row = {
                "quantity": name.format(quantity),
                "value": finite.mean(),
                "sd": values.std() if len(finite) == len(values) else math.nan,
                "seeds": len(finite),
            }
            rows.append(shared | row | theirs)
    return rows


def _one_class(logit_gradients: pd.DataFrame) -> list[dict]:
    """The share of networks in which one class's gradient is positive for all images; the paper shows one of each."""
    name = "Fig. 6, share of networks with one class positive for all images"
    rows = []
    for norm, some in one_class_for_all(logit_gradients).groupby("norm"):
        published = paper.ONE_CLASS_FOR_ALL.value.get(norm, math.nan)
        known = some.dropna().astype(float)
        rows.append({"site": "", "norm": norm, "quantity": name, "value": known.mean(), "seeds": len(known)})
        rows[-1] |= {"paper": published, "paper_origin": _origin(paper.ONE_CLASS_FOR_ALL.origin, published)}
    return rows


def _origin(origin: str, published: float) -> str | None:
    """The origin of a table of the paper, where it has a value."""
    return None if math.isnan(published) else origin


def _markdown(table: pd.DataFrame) -> str:
    """One column per reading, one line per quantity."""
    readings = list(table[READING].drop_duplicates().itertuples(index=False, name=None))
    names = [_name(*reading) + (" (ours)" if number == 0 else "") for number, reading in enumerate(readings)]
    lines = ["| quantity | norm | " + " | ".join(names) + " | paper |", "|---" * (len(names) + 3) + "|"]
    for (quantity, site, norm), rows in table.groupby(["quantity", "site", "norm"], sort=False):
        by_reading = rows.set_index(READING)[["value", "sd"]]
        cells = [_cell(*by_reading.loc[reading]) if reading in by_reading.index else "–" for reading in readings]
        place = f", {SITES[site]}" if site else ""
        published = rows["paper"].iloc[0]
        mark = "unknown" if math.isnan(published) else f"{plain(published, 4)} ({rows['paper_origin'].iloc[0]})"
        lines.append(f"| {quantity}{place} | {style.label(norm)} | " + " | ".join([*cells, mark]) + " |")
    seeds = count(int(table["seeds"].max()), "seed")
    lines += ["", f"Means and standard deviations over {seeds} at initialisation, BN in train mode, float32."]
    return "\n".join(lines) + "\n"


SITES = {"convolution": "outputs of convolutions", "stream": "stream after ReLU"}
SHORTCUTS = {"projection": "projections", "padding": "zero padding", "none": "no shortcuts"}


def _cell(value: float, sd: float) -> str:
    """A mean with its standard deviation, if it has one."""
    return plain(value) + (f" ± {plain(sd, 2)}" if math.isfinite(sd) else "")


def _name(arch: str, init: str) -> str:
    shortcut, _ = architecture.parse(arch)
    return f"{SHORTCUTS[shortcut]}, {init.replace('_', ' ')}"
