"""A check: a measured value with its interval against a bound. A claim is one or more of them."""

import math
from dataclasses import dataclass

import numpy as np

from understanding_bn.summaries.intervals import bootstrap_interval, share_interval

REPRODUCED, REFUTED, INCONCLUSIVE, NOT_RUN = "reproduced", "not reproduced", "inconclusive", "not run"


@dataclass(frozen=True)
class Check:
    """One comparison of a claim.

    Attributes:
        name: what is measured, with its unit.
        value: the point estimate; NaN or infinite if it has none.
        interval: its 95 % interval over seeds, or None if there is no such thing.
        relation: "≥", "≤", ">" or "<".
        bound: what the claim requires.
        seeds: the number of seeds, draws or runs behind the value.
        universal: the claim says this of every run, so that one exception refutes it.
    """

    name: str
    value: float
    interval: tuple[float, float] | None
    relation: str
    bound: float
    seeds: int
    universal: bool = False

    @property
    def verdict(self) -> str:
        """Reproduced if the whole interval satisfies the bound, not reproduced if none of it does."""
        if self.universal:
            return REPRODUCED if self._holds(self.value) else REFUTED
        if self.interval is None or not math.isfinite(self.value):
            return INCONCLUSIVE
        low, high = (self._holds(end) for end in self.interval)
        return REPRODUCED if low and high else INCONCLUSIVE if low or high else REFUTED

    def _holds(self, value: float) -> bool:
        compare = {
            "≥": value >= self.bound,
            "≤": value <= self.bound,
            ">": value > self.bound,
            "<": value < self.bound,
        }
        return compare[self.relation]


def mean_check(name: str, values: np.ndarray, relation: str, bound: float) -> Check:
    """A check of the mean of one value per seed."""
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    mean = float(values.mean()) if len(values) else math.nan
    interval = bootstrap_interval(values) if np.isfinite(values).all() else None
    return Check(name, mean, interval, relation, bound, len(values))


def every(name: str, flags: np.ndarray) -> Check:
    """A check that something holds for every run."""
    flags = np.asarray(flags, dtype=bool)
    holds, total = int(flags.sum()), len(flags)
    return Check(name, holds / total, share_interval(holds, total), "≥", 1.0, total, universal=True)


def combine(checks: list[Check]) -> str:
    """A claim's verdict: all its checks must be reproduced; one refuted check refutes it."""
    verdicts = {check.verdict for check in checks}
    if not verdicts:
        return NOT_RUN
    return next(verdict for verdict in (REFUTED, INCONCLUSIVE, REPRODUCED) if verdict in verdicts)
