"""The search for the largest stable learning rate, and what is read from it."""

import math

import numpy as np
import pandas as pd
import pytest
from contexts import context_of

from understanding_bn.analysis.learning_rate_search import bisect, trial
from understanding_bn.measurements import max_learning_rate
from understanding_bn.measurements.max_learning_rate import MaxLearningRate
from understanding_bn.summaries.max_learning_rate import largest_stable

GRID = {"smallest_alpha": 1e-4, "largest_alpha": 10, "steps_per_decade": 4}


@pytest.fixture(scope="module")
def context(digits):
    return context_of(digits)


def test_the_grid_is_whole_steps_of_a_decade_within_the_bounds():
    assert max_learning_rate.grid(0.001, 1, 1) == pytest.approx([1e-3, 1e-2, 1e-1, 1])
    assert max_learning_rate.grid(0.002, 0.9, 2) == pytest.approx([10**-2.5, 1e-2, 10**-1.5, 1e-1, 10**-0.5])
    assert len(max_learning_rate.grid(1e-14, 1e3, 4)) == 17 * 4 + 1


@pytest.mark.parametrize("limit", [0.0, 1e-4, 3e-4, 0.02, 1.0, 9.9, 1e9])
def test_bisection_finds_the_limit_of_a_network_that_is_stable_up_to_it(limit):
    alphas = max_learning_rate.grid(*GRID.values())
    tried = bisect(alphas, lambda alpha: ("stable", 5) if alpha <= limit else ("diverged", 2))
    assert len(tried) <= math.ceil(math.log2(len(alphas) + 1))
    trials = pd.DataFrame(tried, columns=["alpha", "outcome", "update"]).assign(seed=0)
    assert trials["update"].tolist() == [5 if outcome == "stable" else 2 for outcome in trials["outcome"]]
    (found,) = largest_stable(trials, ["seed"]).itertuples()
    below = [alpha for alpha in alphas if alpha <= limit]
    if below:
        assert found.alpha == below[-1]
        assert found.limit == ("above" if len(below) == len(alphas) else "")
    else:
        assert math.isnan(found.alpha)
        assert found.limit == "below"


def test_bisection_tries_nothing_where_there_is_nothing():
    assert bisect([], lambda alpha: ("stable", 1)) == []


def test_a_sound_a_collapsed_and_a_diverging_network_are_told_apart(context):
    assert trial(context, "none", 0, 1e-3, 8) == ("stable", 8)
    outcome, update = trial(context, "none", 0, 1e4, 8)
    assert outcome == "diverged"
    assert update <= 8
    # ResNet-8 at this rate jumps to where every ReLU is dead, without a loss beyond the bound.
    outcomes = {trial(context, "none", 0, alpha, 30)[0] for alpha in np.geomspace(0.3, 30, 9)}
    assert "collapsed" in outcomes


def test_a_network_that_blows_up_in_its_last_update_is_not_stable(context):
    bad = trial(context, "none", 0, 1e4, 8)[1]
    assert bad > 1
    assert trial(context, "none", 0, 1e4, bad - 1) == ("diverged", bad - 1)


def test_a_trial_depends_on_its_seed_alone(context):
    options = MaxLearningRate(batch_size=32, updates=4, **GRID)
    first, again = (max_learning_rate.measure(context, "batch", 3, options) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert first["batch_size"].eq(32).all()
    assert first["updates"].eq(4).all()
    assert first["alpha"].isin(max_learning_rate.grid(*GRID.values())).all()
