"""A check: a measured value with its interval against a bound. A claim is one or more of them.

The rules are those of docs/verdicts.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from understanding_bn.summaries import crossed, intervals
from understanding_bn.summaries.crossed import Sample
from understanding_bn.summaries.intervals import Interval

REPRODUCED, REFUTED, OPPOSITE = "reproduced", "not reproduced", "opposite"
INCONCLUSIVE, PRECONDITION, NOT_RUN = "inconclusive", "precondition not met", "not run"
# Directions.
AS_CLAIMED, AGAINST, UNCLEAR, MIXED = "as claimed", "opposite", "unclear", "mixed"

LEAST_SEEDS = 3  # for a verdict from an interval
LEAST_RUNS = 5  # for "every run does"
ERROR = 1 - intervals.LEVEL
SHARE = "Clopper–Pearson"


@dataclass(frozen=True)
class Check:
    """One comparison of a claim.

    Attributes:
        name: what is measured, with its unit; and how many seeds have no value, where some have none.
        value: the point estimate; NaN or infinite if it has none.
        interval: its 95 % interval, or None if there is no such thing.
        relation: "≥", "≤", ">" or "<".
        bound: what the claim requires.
        seeds: the number of seeds or draws behind the value.
        method: how the interval was made.
        p: two-sided p that the value is the bound; NaN where there is none.
        zero: what no effect would be, against which the direction is judged; None if the check has no direction.
        p_zero: two-sided p that there is no effect; NaN where there is none.
        sign_p: exact sign-flip p of the direction; NaN where there is none.
        universal: the claim says this of every run, so that one exception refutes it.
        evidence: False for what must hold if the code is right, and so says nothing about the claim.
        beside: the same in other terms, for readers; a ratio of error rates beside a difference in points.
        values: what the point estimate is made of, one value a seed or draw in their order, without those that have
            none; 1 and 0 for yes and no. Empty where an estimate compares two means.
    """

    name: str
    value: float
    interval: Interval | None
    relation: str
    bound: float
    seeds: int
    method: str
    p: float = math.nan
    zero: float | None = None
    p_zero: float = math.nan
    sign_p: float = math.nan
    universal: bool = False
    evidence: bool = True
    beside: str = ""
    values: tuple[float, ...] = ()

    @property
    def verdict(self) -> str:
        """By the whole interval against the bound; `combine` corrects refutations for their number."""
        if self.seeds == 0:
            return INCONCLUSIVE
        if self.universal:
            return REFUTED if not self._holds(self.value) else REPRODUCED if self.seeds >= LEAST_RUNS else INCONCLUSIVE
        if self.interval is None or self.seeds < LEAST_SEEDS or not math.isfinite(self.value):
            return INCONCLUSIVE
        low, high = (self._holds(end) for end in self.interval)
        if low != high or self.undecided_by_equal_values:
            return INCONCLUSIVE
        return REPRODUCED if low else OPPOSITE if self.direction == AGAINST else REFUTED

    @property
    def undecided_by_equal_values(self) -> bool:
        """Whether all seeds have the same value, and are too few for the sign flip to decide."""
        return self.interval is not None and self.interval[0] == self.interval[1] and not self.p <= ERROR

    @property
    def direction(self) -> str:
        """On which side of no effect the whole interval lies; "" for a check without one."""
        if self.zero is None:
            return ""
        if self.interval is None or self.seeds < LEAST_SEEDS:
            return UNCLEAR
        low, high = self.interval
        if low == high and not self.sign_p <= ERROR:
            return UNCLEAR
        above, below = low > self.zero, high < self.zero
        if self.relation in ("≤", "<"):
            above, below = below, above
        return AS_CLAIMED if above else AGAINST if below else UNCLEAR

    def _holds(self, value: float) -> bool:
        compare = {
            "≥": value >= self.bound,
            "≤": value <= self.bound,
            ">": value > self.bound,
            "<": value < self.bound,
        }
        return compare[self.relation]


def mean_check(
    name: str,
    values: np.ndarray | Sample,
    relation: str,
    bound: float,
    zero: float | None = None,
    evidence: bool = True,
    beside: str = "",
) -> Check:
    """A check of the mean of one value a seed, by Student's t. NaNs, of seeds without one, are left out and counted.

    The interval of a `Sample` covers the choice of test images, too.
    """
    sample, method = _sample(values)
    name, values = _without(name, values), sample.values
    with np.errstate(invalid="ignore"):  # +∞ and −∞ have no mean
        mean = float(values.mean()) if len(values) else math.nan
    return Check(
        name,
        mean,
        crossed.interval(sample),
        relation,
        bound,
        len(values),
        method,
        p=crossed.p(sample, bound),
        zero=zero,
        p_zero=math.nan if zero is None else crossed.p(sample, zero),
        sign_p=math.nan if zero is None else intervals.sign_flip_p(values - zero),
        evidence=evidence,
        beside=beside,
        values=tuple(values),
    )


def ratio_check(name: str, values: np.ndarray, relation: str, bound: float, zero: float | None = None) -> Check:
    """A check of the geometric mean of one ratio, step size or eigenvalue a seed, by Student's t on its logarithms."""
    name, values = _without(name, values), np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum(values, 0))  # −∞, which has no interval, for what is not positive
    of_logs = mean_check(name, logs, relation, math.log(bound), None if zero is None else math.log(zero))
    return replace(
        of_logs,
        value=float(np.exp(of_logs.value)),
        interval=intervals.geometric_interval(values),
        bound=bound,
        method="Student’s t on logarithms",
        zero=zero,
        values=tuple(values),
    )


def quotient_check(
    name: str,
    part: np.ndarray | Sample,
    whole: np.ndarray | Sample,
    relation: str,
    bound: float,
    zero: float = 0,
) -> Check:
    """A check of mean(part) / mean(whole), paired by seed, by Fieller's interval.

    `zero`: the ratio that no effect would have. With 0 the direction is that of the part.
    """
    (part, method), (whole, _) = _sample(part), _sample(whole)
    n, denominator = len(whole.values), whole.values.mean() if len(whole.values) else math.nan
    return Check(
        name,
        float(part.values.mean() / denominator) if denominator > 0 else math.nan,
        crossed.ratio_interval(part, whole) if denominator > 0 else None,
        relation,
        bound,
        n,
        f"Fieller’s, with {method}",
        p=crossed.p(crossed.difference(part, bound * whole), 0),
        zero=zero,
        p_zero=crossed.p(crossed.difference(part, zero * whole), 0),
        sign_p=intervals.sign_flip_p(part.values - zero * whole.values),
    )


def difference_check(name: str, left: np.ndarray, right: np.ndarray, relation: str, bound: float) -> Check:
    """A check of the difference left − right of the means of independent draws, by Welch's t."""
    left, right = (np.asarray(side, dtype=float) for side in (left, right))
    interval = intervals.difference_interval(left, right)
    p, p_zero = (intervals.welch_p(left, right, value) if interval else math.nan for value in (bound, 0))
    seeds, difference = min(len(left), len(right)), float(left.mean() - right.mean())
    return Check(name, difference, interval, relation, bound, seeds, "Welch’s t", p=p, zero=0, p_zero=p_zero)


def within(
    name: str, values: np.ndarray | Sample, low: float, high: float, logs: bool = False, beside: str = ""
) -> list[Check]:
    """The two checks of an equivalence: the whole interval of the mean must lie between the bounds."""
    if logs:
        assert not isinstance(values, Sample)
        return [ratio_check(name, values, "≥", low), ratio_check(name, values, "≤", high)]
    return [mean_check(name, values, relation, end, beside=beside) for relation, end in (("≥", low), ("≤", high))]


def every(name: str, flags: np.ndarray) -> Check:
    """A check that something holds for every seed, one flag each. Seeds without one (NA) are left out and counted."""
    known = pd.Series(flags).dropna()
    name, flags = _without(name, pd.Series(flags)), known.to_numpy(dtype=bool)
    holds, total = int(flags.sum()), len(flags)
    share, interval = (holds / total, intervals.share_interval(holds, total)) if total else (math.nan, None)
    return Check(name, share, interval, "≥", 1.0, total, SHARE, universal=True, values=tuple(flags.astype(float)))


def majority(name: str, flags: np.ndarray) -> Check:
    """A check that something holds for more than half of all seeds, one flag each: the sign test."""
    flags = np.asarray(flags, dtype=bool)
    holds, total = int(flags.sum()), len(flags)
    if total == 0:
        return Check(name, math.nan, None, ">", 0.5, 0, SHARE, zero=0.5)
    p = float(stats.binomtest(holds, total).pvalue)
    interval = intervals.share_interval(holds, total)
    return Check(name, holds / total, interval, ">", 0.5, total, SHARE, p, 0.5, p, p, values=tuple(flags.astype(float)))


def combine(checks: Sequence[Check]) -> tuple[str, list[str]]:
    """A claim's verdict, and those of its checks.

    Reproduced if every check is (an intersection–union test, which needs no correction). A check refutes, or is
    opposite, only if it is so after Holm's correction for the claim's number of checks; otherwise it is inconclusive,
    or does not more than refute. One exception to "every" refutes as it is. Checks that are no evidence have no part.
    """
    verdicts = [check.verdict for check in checks]
    tested = [i for i, check in enumerate(checks) if check.evidence and not check.universal]
    missed = [i for i in tested if verdicts[i] in (REFUTED, OPPOSITE)]
    refuting = _holm({i: checks[i].p for i in missed}, len(tested))
    against = _against(checks)
    for i in missed:
        verdicts[i] = INCONCLUSIVE if i not in refuting else OPPOSITE if i in against else REFUTED
    counted = {verdict for verdict, check in zip(verdicts, checks, strict=True) if check.evidence}
    if not counted:
        return NOT_RUN, verdicts
    if OPPOSITE in counted and direction(checks) == MIXED:
        counted = counted - {OPPOSITE} | {REFUTED}
    order = (OPPOSITE, REFUTED, INCONCLUSIVE, REPRODUCED)
    return next(verdict for verdict in order if verdict in counted), verdicts


def direction(checks: Sequence[Check]) -> str:
    """A claim's direction: that of its checks that have one, where they agree; "" if none has."""
    against = _against(checks)
    found = {
        UNCLEAR if check.direction == AGAINST and i not in against else check.direction
        for i, check in enumerate(checks)
        if check.evidence and check.direction
    }
    if {AS_CLAIMED, AGAINST} <= found:
        return MIXED
    if AGAINST in found:
        return AGAINST
    return "" if not found else UNCLEAR if UNCLEAR in found else AS_CLAIMED


def _sample(values: np.ndarray | Sample) -> tuple[Sample, str]:
    """Values as a sample, without NaNs, and how their interval is made."""
    if isinstance(values, Sample):
        return values, values.method
    values = np.asarray(values, dtype=float)
    return Sample(values[~np.isnan(values)]), "Student’s t"


def _without(name: str, values: np.ndarray | pd.Series | Sample) -> str:
    """The name of a check, and how many of its seeds have no value, where some have none."""
    missing = 0 if isinstance(values, Sample) else int(pd.isna(values).sum())
    return f"{name}; {missing} of {len(values)} without a value" if missing else name  # type: ignore[arg-type]


def _against(checks: Sequence[Check]) -> set[int]:
    """The checks whose effect is beyond chance the other way, after Holm's correction for those with a direction."""
    directed = {i: check for i, check in enumerate(checks) if check.evidence and check.direction}
    return _holm({i: c.p_zero for i, c in directed.items() if c.direction == AGAINST}, len(directed))


def _holm(p: dict[int, float], tests: int) -> set[int]:
    """Which of some tests are significant by Holm's (1979) step-down procedure; `tests`: how many were made in all."""
    return {i for i, adjusted in zip(p, intervals.holm([*p.values()], tests), strict=True) if adjusted <= ERROR}
