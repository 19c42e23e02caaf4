"""The values that sentences of the pages hold or rest on: each a short text, read from a kept record.

A page can name every public function of this module. `folder` is results/reference/PRESET; all other arguments are
texts, as the page writes them.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from understanding_bn.claims.checks import REPRODUCED
from understanding_bn.docs_pages import (
    batch_size_page,
    conditioning_page,
    markdown,
    noise_page,
    paper_scale,
    records,
)
from understanding_bn.errors import UserError
from understanding_bn.messages import plain
from understanding_bn.summaries.hessian import of_mode
from understanding_bn.summaries.intervals import LEVEL
from understanding_bn.summaries.learning_rate_grid import MOVES, STATISTICS, UPDATE, UPDATE_AND_ALPHA


def seeds(folder: Path) -> str:
    """The number of seeds."""
    return str(len({seed for job in records.read(folder).jobs for seed in job.seeds}))


def minutes(folder: Path) -> str:
    """Minutes from the first job's start to the last one's end."""
    return f"{records.read(folder).elapsed_minutes:.0f}"


def tally(folder: Path, verdict: str) -> str:
    """How many of the paper's claims have this verdict."""
    return str(sum(claim["verdict"] == verdict for claim in records.claims(folder)))


def measured(folder: Path, claim: str, check: str = "") -> str:
    """What a claim measured, with its interval: of the check that decides, or of the one at a position from 1."""
    judged = _claim(folder, claim)
    try:
        source = judged["checks"][int(check) - 1] if check else judged
    except (ValueError, IndexError):
        raise UserError(f"claim {claim} has {len(judged['checks'])} checks, and none of number {check}") from None
    return markdown.number(source["measured"], source["interval"], ".3g")


def directions(folder: Path, direction: str) -> str:
    """How many of the paper's claims have this direction."""
    return str(sum(claim["direction"] == direction for claim in records.claims(folder)))


def verdict(folder: Path, claim: str) -> str:
    """A claim's verdict."""
    return _claim(folder, claim)["verdict"]


def unmet(folder: Path, claim: str) -> str:
    """How many of a claim's checks that are evidence are not reproduced."""
    checks = [check for check in _claim(folder, claim)["checks"] if check["evidence"]]
    return str(sum(check["verdict"] != REPRODUCED for check in checks))


def _claim(folder: Path, number: str) -> dict:
    judged = records.claims(folder, "followups.json" if number[0] in "LE" else "claims.json")
    for claim in judged:
        if str(claim["id"]) == number:
            return claim
    raise UserError(f"there is no claim {number!r}; expected one of {', '.join(str(claim['id']) for claim in judged)}")


# Q1


ROLES = ("update", "statistics", "update-and-α")  # of B with batch norm, each doubled alone or with α


def doubling(folder: Path, norm: str, move: str, quantity: str) -> str:
    """What a doubling (of `α`, `B`, `both`, or one of ROLES) changes, with its interval."""
    return batch_size_page.change(_move(folder, norm, move, quantity))


def direction(folder: Path, norm: str, move: str, quantity: str) -> str:
    """+ or − where the whole interval of that change lies on one side of zero, else 0."""
    return _sign(_move(folder, norm, move, quantity))


def _move(folder: Path, norm: str, move: str, quantity: str) -> pd.Series:
    names = dict(zip(("α", "B", "both", *ROLES), (*MOVES, UPDATE, STATISTICS, UPDATE_AND_ALPHA), strict=True))
    return records.row(batch_size_page.changes(folder), norm=norm, move=names.get(move, move), quantity=quantity)


def _sign(row: pd.Series) -> str:
    return "+" if row["low"] > 0 else "−" if row["high"] < 0 else "0"


# Q2


def turn(folder: Path, quantity: str, shortcut: str) -> str:
    """What BN does to a kind of noise before training as networks with these shortcuts become deeper."""
    return noise_page.turn(records.row(noise_page.turns(folder), quantity=quantity, shortcut=shortcut))


def ratio_at(folder: Path, quantity: str, shortcut: str, depth: str) -> str:
    """log10 of BN's value over that without, at a depth, with its interval; a sign where one is not positive."""
    compared = noise_page.by_depth(folder)
    rows = compared[(compared["quantity"] == quantity) & (compared["shortcut"] == shortcut)]
    records.row(rows, depth=depth)
    return noise_page.ratio(rows, int(depth))


def ratio_at_loss(folder: Path, quantity: str, arch: str, moment: str) -> str:
    """The same at matched training loss: of an architecture, `before` training or at a loss such as `0.1`."""
    facts = {"quantity": quantity, "arch": arch, "moment": noise_page.moment(moment)}
    return noise_page.ratio_text(records.row(noise_page.at_losses(folder), **facts))


def at_loss(folder: Path, quantity: str, way: str, moment: str) -> str:
    """In how many architectures BN `raises` or `lowers` a kind of noise beyond chance, at matched training loss."""
    if way not in ("raises", "lowers"):
        raise UserError(f"{way!r}: expected raises or lowers")
    signs = noise_page.signs_at(noise_page.at_losses(folder), quantity, moment)
    return f"{(signs == (1 if way == 'raises' else -1)).sum()} of {len(signs)}"


def correlation(folder: Path, norm: str, quantity: str) -> str:
    """Spearman's ρ with the generalisation gap over the cells of a norm (or `all`), and its interval."""
    row = _related(folder, norm, quantity)
    return markdown.number(row["rho"], (row["low"], row["high"]), ".2f")


def partial(folder: Path, norm: str, quantity: str) -> str:
    """The same of what is left of both given α and B."""
    return noise_page.partial(_related(folder, norm, quantity))


def _related(folder: Path, norm: str, quantity: str) -> pd.Series:
    return records.row(noise_page.related(folder), norm=norm, quantity=quantity)


def beyond_chance(folder: Path, norm: str) -> str:
    """The quantities whose correlation with the gap given α and B has p < 0.05 after Holm's correction, with its sign.

    The correction is for all quantities and norms that were tried.
    """
    table = noise_page.related(folder)
    found = table[(table["norm"] == norm) & (table["p_holm"] < 1 - LEVEL)].sort_values("quantity")
    signs = np.where(found["partial"] > 0, "+", "−")
    return " ".join(sign + quantity for sign, quantity in zip(signs, found["quantity"], strict=True)) or "none"


def tested(folder: Path) -> str:
    """How many correlations with the gap given α and B that correction is for."""
    return str(noise_page.tested(folder))


def compared(folder: Path, norm: str) -> str:
    """How many quantities were compared with the gap."""
    return str((noise_page.related(folder)["norm"] == norm).sum())


def cells(folder: Path, norm: str, quantity: str = "") -> str:
    """Over how many cells of the grid; over those in which a quantity was measured, if one is named."""
    if quantity:
        return str(_related(folder, norm, quantity)["cells"])
    table = noise_page.related(folder)
    return str(table.loc[table["norm"] == norm, "cells"].max())


# Q3


def best_cell(folder: Path, norm: str) -> str:
    """The best cell of a norm, of those in which no seed failed."""
    best = batch_size_page.best_cell(folder, norm)
    return f"α = {best['alpha']:g} and B = {best['batch_size']}"


def best_accuracy(folder: Path, norm: str) -> str:
    """Its test accuracy in per cent, ± its standard deviation over seeds."""
    return batch_size_page.accuracy(batch_size_page.best_cell(folder, norm))


def shortfall(folder: Path, norm: str) -> str:
    """The best cell of a norm minus batch norm's, in points, paired by seed."""
    return batch_size_page.difference(batch_size_page.best_cell(folder, norm))


def standing(folder: Path, norm: str) -> str:
    """Whether that cell is `above BN` or `below BN` by the whole interval, or there is no difference beyond chance."""
    return batch_size_page.standing(batch_size_page.best_cell(folder, norm))


def within(folder: Path, norm: str, points: str) -> str:
    """Whether that whole interval lies between −points and 0: yes or no."""
    interval = batch_size_page.interval(batch_size_page.best_cell(folder, norm))
    return "yes" if interval and -float(points) <= interval[0] and interval[1] <= 0 else "no"


# Q4


def slope(folder: Path, shortcut: str, norm: str, bn_mode: str, size: str, init: str) -> str:
    """A network's growth in decades per layer, with its interval; the `size` of a mini-batch where BN has a mode."""
    facts = {"shortcut": shortcut, "norm": norm, "bn_mode": bn_mode, "init": init}
    row = records.row(conditioning_page.conditioning_slopes(folder), **facts | _of_size(bn_mode, size))
    return conditioning_page.with_interval(row, "condition_slope", ".3f")


def slope_of_products(folder: Path, kind: str, init: str) -> str:
    """That of products of Gaussian matrices (`gaussian`, `gaussian_masked`) over the depths of plain networks."""
    row = records.row(conditioning_page.compared_networks(folder), init=init)
    return conditioning_page.with_interval(row, f"condition_{kind}", ".3f")


def slope_of_theorem(folder: Path, init: str) -> str:
    """That of products of square Gaussian matrices, by Theorem 1, over the same depths."""
    row = records.row(conditioning_page.compared_networks(folder), init=init)
    return f"{row['condition_theory']:.2f}"


def over_products(folder: Path, init: str) -> str:
    """The growth of plain networks without normalisation minus that of products with half masks."""
    row = records.row(conditioning_page.compared_networks(folder), init=init)
    return conditioning_page.with_interval(row, "condition_over_masked", "+.3f")


def following(folder: Path, verdict: str) -> str:
    """The initialisations of plain networks whose growth `agrees` with those products', is `above`, `below`, `open`."""
    networks = conditioning_page.compared_networks(folder)
    return " ".join(sorted(networks.loc[networks["condition_verdict"] == verdict, "init"])) or "none"


def over_none(folder: Path, shortcut: str, bn_mode: str, size: str, init: str) -> str:
    """What batch norm changes of that growth, paired by seed."""
    return conditioning_page.with_interval(
        _over_none(folder, shortcut, bn_mode, size, init), "condition_over_none", "+.3f"
    )


def direction_over_none(folder: Path, shortcut: str, bn_mode: str, size: str, init: str) -> str:
    """+ or − where the whole interval of that change lies on one side of zero, else 0."""
    row = _over_none(folder, shortcut, bn_mode, size, init)
    return _sign(pd.Series({"low": row["condition_over_none_low"], "high": row["condition_over_none_high"]}))


def _over_none(folder: Path, shortcut: str, bn_mode: str, size: str, init: str) -> pd.Series:
    facts = {"shortcut": shortcut, "norm": "batch", "bn_mode": bn_mode, "init": init}
    return records.row(conditioning_page.conditioning_slopes(folder), **facts | _of_size(bn_mode, size))


def _of_size(bn_mode: str, size: str) -> dict[str, str]:
    return {"batch_size": size} if bn_mode != "none" else {}


# Curvature


def edge(folder: Path, norm: str) -> str:
    """Final sharpness relative to 2/α, smallest to largest over the runs that trained."""
    table = records.csv(folder, "figures/hessian_spectrum_summary.csv")
    table = table[(table["block"] == "all") & (table["epoch"] == table["epochs"]) & table["failure"].isna()]
    table = of_mode(table)
    table = table[table["norm"] == norm]
    shares = table["top_eigenvalue"] * table["alpha"] / 2
    return f"{shares.min():.2f} to {shares.max():.2f}"


# The paper's scale


def gradient_sd(folder: Path, norm: str) -> str:
    """Standard deviation of the gradient of Fig. 2's kernel, smallest to largest seed."""
    table = records.csv(folder, "figures/fig2_gradient_histogram_summary.csv")
    values = table.loc[table["norm"] == norm, "sd"]
    return f"{plain(values.min(), '.2g')} to {plain(values.max(), '.2g')}"


def moment(folder: Path, norm: str, statistic: str, layer: str) -> str:
    """A channel moment of Fig. 5, ± its standard deviation over seeds."""
    table = paper_scale.moments(folder)
    rows = (table["norm"] == norm) & (table["statistic"] == statistic) & (table["layer"] == int(layer))
    return markdown.spread(table.loc[rows, "value"])


def reading(folder: Path, arch: str, init: str, norm: str, quantity: str, site: str = "") -> str:
    """A quantity under one reading of the paper."""
    table = records.csv(folder, "tables/readings.csv").fillna({"site": ""})
    return plain(records.row(table, arch=arch, init=init, norm=norm, quantity=quantity, site=site)["value"])


def max_alpha(folder: Path, norm: str, init: str, depth: str) -> str:
    """The largest stable learning rate, median (smallest to largest) over seeds."""
    table = paper_scale.stable_alphas(folder)
    rows = (table["norm"] == norm) & (table["init"] == init) & (table["depth"] == int(depth))
    return markdown.median(table.loc[rows, "alpha"])
