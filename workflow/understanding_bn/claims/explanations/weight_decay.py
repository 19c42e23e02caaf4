"""What weight decay does where weights are scale-invariant. Each function is one prediction; bounds are constants."""

from dataclasses import replace

import pandas as pd

from understanding_bn.claims.checks import Check, every
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.summaries.equivalent_schedule import NOTHING, after

SAME_LOGITS = 1e-6  # largest difference
UPDATES = 50
# How a comparison breaks an assumption, by the measurement's word for it.
BROKEN = {
    NOTHING: "",
    "schedule": ", at a constant α without decay",
    "epsilon": ", with the ε of training",
    "kernels only": ", all parameters decayed or scheduled",
    "momentum": ", with momentum",
}


def decay_is_an_exponential_schedule(results: Results) -> list[Check]:
    """Li & Arora (2020): with BN, weight decay is the schedule α(1 − αλ)^(−2t−1) without it, up to rounding.

    One seed beyond the bound refutes it. Seeds whose logits are not finite have no value. What breaks one of the
    theorem's assumptions should fail the bound: that shows that the check can, and is no evidence.

    Raises:
        NotRunError: no trajectory has so many updates.
    """
    table = after(results.measurement("equivalent_schedule"), UPDATES)
    table = table[table["norm"].isin(["batch", "none"])]
    if table.empty:
        raise NotRunError(f"equivalent_schedule of {UPDATES} updates or more")
    kept = (table["norm"] == "batch") & (table["broken"] == NOTHING)
    checks = [_within(f"with BN, after {UPDATES} updates in float64", table[kept])]
    for (norm, broken), rows in table[~kept].groupby(["norm", "broken"], sort=False):
        text = ("with BN" if norm == "batch" else "without BN") + BROKEN[broken]
        checks.append(replace(_within(f"{text}, to show that the check can fail", rows), evidence=False))
    return checks


def _within(where: str, rows: pd.DataFrame) -> Check:
    """The share of seeds within the bound, and beside it the differences' median and the largest."""
    known = rows["difference"]
    flags = (known < SAME_LOGITS).astype("boolean").mask(known.isna())
    check = every(f"share of seeds whose largest difference of logits is below {SAME_LOGITS:g}, {where}", flags)
    sizes = (
        f"largest difference {known.max():.2g}, median over seeds {known.median():.2g}" if known.notna().any() else ""
    )
    return replace(check, beside=sizes)
