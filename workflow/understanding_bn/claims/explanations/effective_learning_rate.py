"""Weight decay as an effective learning rate. Each function is one prediction; bounds are constants."""

from dataclasses import replace

import pandas as pd

from understanding_bn.claims.checks import Check, quotient_check, within
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.summaries import effective_learning_rate as summary

SAME_PRODUCT = 1 / 3  # of the mean difference in accuracy between cells of equal αλ over that between others
SLOPE_ERROR = 0.2  # of log ‖w‖⁴ against log(α/λ) about 1
DECAYED = {"all": "all parameters decayed", "kernels": "only kernels decayed"}


def weight_decay_sets_an_effective_learning_rate(results: Results) -> list[Check]:
    """van Laarhoven (2017): with BN accuracy depends on αλ, and kernels settle where ‖w‖⁴ is proportional to α/λ.

    For each set of decayed parameters. Which cells are compared, and which runs have settled, is defined in
    `summaries.effective_learning_rate`. Runs that failed are in no pair and no slope, runs that have not settled in no
    slope; the names count them.

    Raises:
        NotRunError: no two cells have the same αλ.
    """
    table = summary.runs(results.measurement("effective_learning_rate", norms=("batch",)))
    checks = []
    for decayed, cells in table.groupby("decayed", sort=False):
        checks += _of(cells, DECAYED[decayed])
    return checks


def _of(table: pd.DataFrame, where: str) -> list[Check]:
    """The three checks of one set of decayed parameters."""
    sides = summary.differences(table)
    equal, unequal = (side.shape[1] for side in sides)
    if not equal or not unequal:
        raise NotRunError("effective_learning_rate at several α and λ, some of the same αλ")
    means = pd.concat([side.mean(axis=1) for side in sides], axis=1).dropna()
    lost, total = sum(int(side.isna().sum().sum()) for side in sides), sum(side.size for side in sides)
    name = f"mean |difference| of accuracy on held-out images, BN in eval mode, between neighbouring cells, {where}, "
    name += f"{equal} pairs of equal αλ over {unequal} of unequal"
    name += f" ({lost} of {total} differences have a run that failed)" if lost else ""
    pairs = quotient_check(name, means[0].to_numpy(), means[1].to_numpy(), "≤", SAME_PRODUCT, zero=1)
    sizes = (*means.mean(), summary.fluctuation(table).mean())
    pairs = replace(
        pairs, beside="{:.2g} over {:.2g} points; one run differs by {:.2g} over its last quarter".format(*sizes)
    )
    counts = table["outcome"].value_counts().to_dict()
    settled = counts.pop(summary.SOUND, 0)
    left_out = "".join(f", {number} {outcome}" for outcome, number in counts.items())
    name = f"slope of log ‖w‖⁴ against log(α/λ) at equal αλ, {where} ({settled} of {len(table)} runs{left_out})"
    return [pairs, *within(name, summary.slopes(table).to_numpy(), 1 - SLOPE_ERROR, 1 + SLOPE_ERROR)]
