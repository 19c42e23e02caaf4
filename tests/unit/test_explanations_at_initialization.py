"""Explanations of batch norm that speak of networks before training, judged on made-up results whose truth is known."""

import itertools

import evidence
import numpy as np
import pandas as pd
import pytest
import test_branch_variance
import test_feature_rank
import test_gradient_correlation

from understanding_bn.claims.catalogue import BY_ID
from understanding_bn.claims.checks import INCONCLUSIVE, OPPOSITE, REFUTED, REPRODUCED, combine
from understanding_bn.claims.results import NotRunError

SEEDS = range(5)


class Made:
    """Results that have just this table."""

    def __init__(self, rows):
        self.table = pd.DataFrame(rows)

    def measurement(self, name):
        return self.table


def judged(number, rows):
    """The verdict of a claim on these rows of its measurement, and its checks."""
    checks = BY_ID[number].judge(Made(rows))
    return combine(checks)[0], checks


@pytest.mark.slow
def test_claims_are_judged_on_their_measurements_files(tmp_path):
    rows = {"branch_variance": branches(-1), "feature_rank": ranks(lambda depth: 0.5, lambda depth: 1 / depth)}
    rows["gradient_correlation"] = correlations(lambda depth: 0.9**depth, lambda depth: depth**-0.5)
    paths = [path for name, table in rows.items() for path in evidence.measured_at_start(tmp_path, name, table)]
    claims = evidence.judged(tmp_path, paths)
    assert [claims[number]["verdict"] for number in ("Eg", "Ei", "Ek")] == [REPRODUCED] * 3
    assert all(claims[number]["runs"] and claims[number]["source"] for number in ("Eg", "Ei", "Ek"))


def branches(exponent, archs=("resnet-26",), first=1.0):
    """With BN the ratio is a power of ℓ, a little different by seed; without, it is constant."""
    rows = []
    for arch, seed in itertools.product(archs, SEEDS):
        rows += test_branch_variance.rows_of(arch, "batch", seed, exponent + 0.01 * (seed - 2), first)
        rows += test_branch_variance.rows_of(arch, "none", seed, 0.0)
    return rows


@pytest.mark.parametrize(("exponent", "verdict"), [(-1, REPRODUCED), (-0.85, INCONCLUSIVE), (-0.5, REFUTED)])
def test_branches_shrink_as_one_over_the_block_in_each_stage(exponent, verdict):
    found, checks = judged("Eg", branches(exponent))
    assert found == verdict
    assert len(checks) == 6  # both bounds of three stages
    assert checks[0].value == pytest.approx(exponent)
    assert "ℓ = 1 to 4, ResNet-26, kaiming" in checks[0].name


def test_the_deepest_network_is_judged_if_it_has_blocks_for_a_slope():
    rows = branches(-0.5, ["resnet-20"]) + branches(-1.0, ["resnet-32"])
    assert judged("Eg", rows)[0] == REPRODUCED
    with pytest.raises(NotRunError, match="26 layers or more"):
        judged("Eg", branches(-1.0, ["resnet-20"]))


def ranks(batch, none, depths=(8, 56)):
    """Second singular values by norm and depth, a little different by seed."""
    cells = itertools.product(depths, (("batch", batch), ("none", none)), SEEDS)
    rows = []
    for depth, (norm, second), seed in cells:
        rows += test_feature_rank.rows_of(
            f"plain-{depth}", norm, seed, second(depth) * (1 + 0.01 * (seed - 2) * depth / 56)
        )
    return rows


@pytest.mark.parametrize(
    ("batch", "none", "verdict"),
    [
        (lambda depth: 0.5, lambda depth: 0.5 if depth == 8 else 0.05, REPRODUCED),
        (lambda depth: 0.5, lambda depth: 0.5, REFUTED),  # without a norm rank is kept, too
        (lambda depth: 0.5 if depth == 8 else 0.1, lambda depth: 0.5 if depth == 8 else 0.05, REFUTED),
        (lambda depth: 0.5, lambda depth: 0.1 if depth == 8 else 0.5, OPPOSITE),  # and even rises
    ],
)
def test_rank_is_kept_with_batch_norm_and_lost_without(batch, none, verdict):
    assert judged("Ei", ranks(batch, none))[0] == verdict


def test_ranks_are_compared_between_two_depths_and_a_seed_without_features_is_counted():
    with pytest.raises(NotRunError, match="plain-56"):
        judged("Ei", ranks(lambda depth: 0.5, lambda depth: 0.5, depths=(8, 20)))
    rows = pd.DataFrame(ranks(lambda depth: 0.5, lambda depth: 0.5 if depth == 8 else 0.05))
    dead = (rows["arch"] == "plain-56") & (rows["norm"] == "none") & (rows["seed"] == 3)
    rows.loc[dead, "singular_value"] = 0.0
    verdict, (_, without) = judged("Ei", rows)
    assert "1 of 5 without a value" in without.name and verdict == REPRODUCED


def correlations(plain, residual, **options):
    rows = test_gradient_correlation.made_up(plain, residual, seeds=SEEDS, **options)
    return rows.assign(correlation=rows["correlation"] * (1 + 1e-4 * rows["seed"] * np.sqrt(depths_of(rows))))


def depths_of(rows):
    return rows["arch"].str.rsplit("-", n=1).str[-1].astype(float)


@pytest.mark.parametrize(
    ("plain", "residual", "verdict"),
    [
        (lambda depth: 0.9**depth, lambda depth: depth**-0.5, REPRODUCED),
        (
            lambda depth: depth**-0.8,
            lambda depth: depth**-0.5,
            REPRODUCED,
        ),  # at these depths a power is nearly straight
        (lambda depth: 0.9**depth, lambda depth: depth**-0.1, REFUTED),
        (lambda depth: 0.9**depth, lambda depth: 0.9**depth, REFUTED),
        (lambda depth: 0.5 if depth == 56 else 0.6, lambda depth: depth**-0.5, REFUTED),  # falls, but not linearly
        (lambda depth: 0.01 * 1.05**depth, lambda depth: depth**-0.5, OPPOSITE),  # rises
    ],
)
def test_correlations_fall_exponentially_in_plain_networks_and_as_a_power_in_residual_ones(plain, residual, verdict):
    found, checks = judged("Ek", correlations(plain, residual))
    assert found == verdict
    assert "kaiming, at 4 of 4 depths" in checks[0].name


def test_it_needs_depths_from_8_to_56_and_correlations_that_are_above_noise():
    with pytest.raises(NotRunError, match="depths or more from 8 to 56"):
        judged("Ek", correlations(lambda depth: 0.9**depth, lambda depth: depth**-0.5, depths=(8, 14, 20, 44)))
    rows = correlations(lambda depth: 0.9**depth, lambda depth: depth**-0.5)
    rows.loc[(rows["arch"] == "plain-56") & (rows["norm"] == "batch"), "correlation"] = 0.0
    verdict, (slope, *_) = judged("Ek", rows)
    assert verdict == INCONCLUSIVE
    assert "at 3 of 4 depths; 5 of 5 without a value" in slope.name
