"""How often the rules of verdicts are wrong, by simulation: coverage, and false verdicts where the truth is on a bound.

A rate is of 2,000 simulated claims. Where it is 5 %, its standard error is half a point.
"""

import numpy as np
import pytest

from understanding_bn.claims.checks import (
    OPPOSITE,
    REFUTED,
    REPRODUCED,
    combine,
    difference_check,
    every,
    majority,
    mean_check,
    quotient_check,
    ratio_check,
    within,
)
from understanding_bn.summaries import crossed
from understanding_bn.summaries.crossed import Sample

CLAIMS = 2000
ALLOWED = 0.05 + 3 * (0.05 * 0.95 / CLAIMS) ** 0.5
BOUND = 2.0
IMAGES = 100


def normal(rng, seeds, mean=BOUND):
    return rng.normal(mean, 1, seeds)


def lognormal(rng, seeds, median=BOUND):
    return median * np.exp(rng.normal(0, 1, seeds))


def a_mean(rng, seeds, at):
    return [mean_check("x", normal(rng, seeds, at), "≥", BOUND, zero=0)]


def a_direction(rng, seeds, at):
    """A direction whose bound is no effect."""
    return [mean_check("x", normal(rng, seeds, at), "<", 0, zero=0)]


def a_ratio(rng, seeds, at):
    return [ratio_check("x", lognormal(rng, seeds, 2.0**at), "≥", 2.0**BOUND, zero=1)]


def a_difference_of_draws(rng, seeds, at):
    right = rng.normal(0, 3, seeds + 2)
    return [difference_check("x", right * 0 + normal(rng, seeds + 2, at), right, "≥", BOUND)]


def a_quotient(rng, seeds, at):
    whole = rng.normal(20, 2, seeds)
    return [quotient_check("x", at * whole + rng.normal(0, 3, seeds), whole, "≥", BOUND)]


def a_majority(rng, seeds, at):
    return [majority("x", rng.random(seeds) < 0.5)]


def an_equivalence(rng, seeds, at):
    return within("x", normal(rng, seeds, at), BOUND, BOUND + 20)


def accuracies(rng, seeds, at):
    """Differences of accuracy: luck of the seed, of the test image, and of both together."""
    table = at + rng.normal(0, 1, (seeds, 1)) + rng.normal(0, 8, (1, IMAGES)) + rng.normal(0, 8, (seeds, IMAGES))
    return Sample(table.mean(axis=1), table)


def a_mean_of_accuracies(rng, seeds, at):
    return [mean_check("x", accuracies(rng, seeds, at), "≥", BOUND, zero=0)]


def an_equivalence_of_accuracies(rng, seeds, at):
    return within("x", accuracies(rng, seeds, at), BOUND, BOUND + 20)


def a_quotient_of_accuracies(rng, seeds, at):
    whole, luck = accuracies(rng, seeds, 20), accuracies(rng, seeds, 0)
    return [quotient_check("x", crossed.difference(at * whole, -1.0 * luck), whole, "≥", BOUND)]


def several_of_accuracies(rng, seeds, at):
    """Two differences that share a cell, and so its seeds' and images' luck."""
    middle = accuracies(rng, seeds, at)
    return [
        mean_check("x", crossed.difference(accuracies(rng, seeds, at), middle), ">", 0, zero=0),
        mean_check("x", crossed.difference(middle, accuracies(rng, seeds, at)), ">", 0, zero=0),
    ]


def several(rng, seeds, at, parts=4):
    """Independent parts, all of them on the bound."""
    return [a_mean(rng, seeds, at)[0] for _ in range(parts)]


def several_of_the_same_seeds(rng, seeds, at, parts=4):
    """Parts that share most of their seeds' luck, as layers of a network do."""
    luck = rng.normal(0, 1, seeds)
    return [mean_check("x", at + luck + rng.normal(0, 0.3, seeds), "≥", BOUND, zero=0) for _ in range(parts)]


def one_on_the_bound_among_clear_ones(rng, seeds, at):
    return [*a_mean(rng, seeds, at), *a_mean(rng, seeds, at + 50), every("x", [True] * 5)]


KINDS = [a_mean, a_direction, a_ratio, a_difference_of_draws, a_quotient, a_majority, an_equivalence]
KINDS += [a_mean_of_accuracies, an_equivalence_of_accuracies, a_quotient_of_accuracies, several_of_accuracies]
KINDS += [several, several_of_the_same_seeds, one_on_the_bound_among_clear_ones]


WITHOUT_DIRECTION = (an_equivalence, a_majority, a_quotient, an_equivalence_of_accuracies, a_quotient_of_accuracies)


def rates(kind, seeds, at):
    """The share of each verdict over simulated claims whose truth is `at`."""
    rng = np.random.default_rng(seeds)
    verdicts = [combine(kind(rng, seeds, at))[0] for _ in range(CLAIMS)]
    return {verdict: verdicts.count(verdict) / CLAIMS for verdict in set(verdicts)}


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize(("draw", "check"), [(normal, mean_check), (lognormal, ratio_check)])
def test_an_interval_covers_the_truth_as_often_as_it_says(draw, check, seeds):
    rng = np.random.default_rng(seeds)
    made = [check("x", draw(rng, seeds), "≥", 1).interval for _ in range(CLAIMS)]
    covered = np.mean([low <= BOUND <= high for low, high in made])
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_on_the_bound_is_seldom_decided(kind, seeds):
    found = rates(kind, seeds, 0 if kind is a_direction else BOUND)
    assert found.get(REPRODUCED, 0) <= ALLOWED
    assert found.get(REFUTED, 0) + found.get(OPPOSITE, 0) <= ALLOWED


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in WITHOUT_DIRECTION])
def test_without_an_effect_the_opposite_is_seldom_seen(kind, seeds):
    assert rates(kind, seeds, 0).get(OPPOSITE, 0) <= ALLOWED


@pytest.mark.parametrize("seeds", [3, 5])
def test_what_is_far_from_the_bound_is_decided(seeds):
    """The rules are not safe by deciding nothing."""
    assert rates(a_mean, seeds, BOUND + 12)[REPRODUCED] > 0.95
    assert rates(a_mean, seeds, BOUND - 12)[OPPOSITE] > 0.9


@pytest.mark.parametrize("seeds", [2, 5, 9])
def test_every_run_is_not_said_of_what_fails_now_and_then(seeds):
    """ "Every run" is seen where half of them fail with 2⁻ⁿ, and never of fewer than five."""
    rng = np.random.default_rng(seeds)
    found = np.mean([every("x", rng.random(seeds) < 0.5).verdict == REPRODUCED for _ in range(CLAIMS)])
    assert found <= (0 if seeds < 5 else 0.05)
