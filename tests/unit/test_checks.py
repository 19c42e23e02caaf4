"""Checks and verdicts: where intervals lie, and how several checks make a claim."""

import numpy as np
import pytest

from understanding_bn.claims.checks import (
    AGAINST,
    AS_CLAIMED,
    INCONCLUSIVE,
    MIXED,
    NOT_RUN,
    OPPOSITE,
    REFUTED,
    REPRODUCED,
    UNCLEAR,
    combine,
    direction,
    every,
    majority,
    mean_check,
    ratio_check,
    within,
)


def around(middle, spread=0.1, seeds=3):
    """Values with this mean, to either side of it."""
    return middle + spread * np.linspace(-1, 1, seeds)


@pytest.mark.parametrize(
    ("values", "verdict", "towards"),
    [
        (around(10), REPRODUCED, AS_CLAIMED),
        (around(8), INCONCLUSIVE, AS_CLAIMED),
        (around(6), REFUTED, AS_CLAIMED),
        (around(0), REFUTED, UNCLEAR),
        (around(-3), OPPOSITE, AGAINST),
        (around(10, seeds=2), INCONCLUSIVE, UNCLEAR),
        ([20], INCONCLUSIVE, UNCLEAR),
        ([20, 21, np.inf], INCONCLUSIVE, UNCLEAR),
        ([], INCONCLUSIVE, UNCLEAR),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_verdict_and_direction_are_where_the_interval_lies(values, verdict, towards, sign):
    check = mean_check("x", sign * np.array(values, float), "≥" if sign > 0 else "≤", sign * 8, zero=0)
    assert (check.verdict, check.direction) == (verdict, towards)
    assert mean_check("x", np.array(values, float), "≥", 8).direction == ""


def test_what_misses_a_bound_without_a_direction_is_not_opposite():
    assert mean_check("x", around(-3), "≥", 8).verdict == REFUTED


@pytest.mark.parametrize(("seeds", "verdict"), [(5, INCONCLUSIVE), (6, REPRODUCED)])
def test_equal_values_are_decided_by_the_sign_flip(seeds, verdict):
    check = mean_check("x", np.full(seeds, 9.0), "≥", 8, zero=0)
    assert check.verdict == verdict
    assert check.direction == (AS_CLAIMED if seeds == 6 else UNCLEAR)
    assert mean_check("x", np.full(seeds, 8.0), "≥", 8).verdict == INCONCLUSIVE, "on the bound there is no sign"


def test_seeds_without_a_value_are_left_out():
    check = mean_check("x", np.array([1, np.nan, 3]), "≥", 0)
    assert (check.value, check.seeds) == (2, 2)


def test_a_check_keeps_the_value_of_each_seed_as_it_was_measured():
    values = np.array([4.0, np.nan, 16.0])
    assert mean_check("x", values, "≥", 0).values == ratio_check("x", values, "≥", 2).values == (4, 16)
    assert every("x", [True, False]).values == majority("x", [True, False]).values == (1, 0)


def test_ratios_are_judged_on_their_logarithms():
    values = np.array([4.0, 8.0, 16.0])
    check = ratio_check("x", values, "≥", 2, zero=1)
    logs = mean_check("x", np.log2(values), "≥", 1, zero=0)
    assert check.value == pytest.approx(8)
    assert check.interval == pytest.approx(tuple(2 ** np.array(logs.interval)))
    assert (check.verdict, check.direction) == (logs.verdict, logs.direction)
    assert (check.p, check.sign_p) == (pytest.approx(logs.p), logs.sign_p)
    assert ratio_check("x", np.array([1.0, 0.0, 2.0]), "≥", 2).verdict == INCONCLUSIVE


def test_relations():
    for relation, holds in (("≥", True), (">", False), ("≤", True), ("<", False)):
        check = mean_check("x", np.full(6, 8.0), relation, 8)
        assert check._holds(8.0) == holds
        assert check._holds(9.0) == (relation in "≥>")


def test_every_run_needs_five_seeds_and_no_exception():
    assert every("x", [True] * 4).verdict == INCONCLUSIVE
    assert every("x", [True] * 5).verdict == REPRODUCED
    assert every("x", [True] * 99 + [False]).verdict == REFUTED
    assert every("x", [True] * 5).interval == pytest.approx((0.025**0.2, 1))


def test_most_runs():
    assert majority("x", [True] * 5).verdict == INCONCLUSIVE  # 2 · 2⁻⁵ = 6 %
    assert majority("x", [True] * 6).verdict == REPRODUCED
    assert majority("x", [False] * 6).verdict == OPPOSITE
    assert majority("x", []).verdict == INCONCLUSIVE


def test_combination():
    good, open_, bad = (mean_check("x", around(v), "≥", 8) for v in (9, 8, 1))
    assert combine([good, good])[0] == REPRODUCED
    assert combine([good, open_]) == (INCONCLUSIVE, [REPRODUCED, INCONCLUSIVE])
    assert combine([open_, bad, good])[0] == REFUTED
    assert combine([]) == (NOT_RUN, [])


def test_one_of_several_checks_refutes_only_after_holms_correction():
    good, bad = mean_check("x", around(9), "≥", 8), mean_check("x", around(7.72), "≥", 8)
    assert 0.025 < bad.p < 0.05
    assert combine([bad])[0] == REFUTED
    assert combine([bad, good]) == (INCONCLUSIVE, [INCONCLUSIVE, REPRODUCED])
    worse = mean_check("x", around(1), "≥", 8)
    assert combine([bad, worse]) == (REFUTED, [REFUTED, REFUTED]), "with the worse one rejected, one is left"
    assert combine([bad, worse, good]) == (REFUTED, [INCONCLUSIVE, REFUTED, REPRODUCED])
    assert combine([every("x", [False] * 5), good, good])[0] == REFUTED, "a count is no test"


def test_a_claim_is_opposite_where_nothing_goes_as_claimed():
    up, down, flat = (mean_check("x", around(v), ">", 0, zero=0) for v in (1, -1, 0))
    assert combine([down, flat])[0] == OPPOSITE
    assert combine([down, up]) == (REFUTED, [OPPOSITE, REPRODUCED])
    assert [direction(c) for c in ([up], [up, flat], [down, flat], [down, up])] == [AS_CLAIMED, UNCLEAR, AGAINST, MIXED]
    assert direction([mean_check("x", around(1), ">", 0)]) == ""


def test_what_must_hold_by_construction_is_no_evidence():
    identity = mean_check("x", around(1), "≥", 8, evidence=False)
    good = mean_check("x", around(9), "≥", 8)
    assert combine([identity, good])[0] == REPRODUCED
    assert combine([identity])[0] == NOT_RUN


def test_an_equivalence_needs_the_whole_interval_between_its_bounds():
    assert combine(within("x", around(0.5), -1, 1))[0] == REPRODUCED
    assert combine(within("x", around(0.99), -1, 1))[0] == INCONCLUSIVE
    assert combine(within("x", around(3), -1, 1))[0] == REFUTED
    assert combine(within("x", np.exp(around(0.5)), np.exp(-1), np.exp(1), logs=True))[0] == REPRODUCED
