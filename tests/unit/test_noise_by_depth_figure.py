"""Where batch norm turns from raising to lowering the noise, from made-up networks, and the figure of it."""

import itertools
import math

import drawn
import numpy as np
import pandas as pd
import pytest

from understanding_bn.figures import noise_by_depth as figure
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.summaries import noise_by_depth as summary
from understanding_bn.summaries.noise_by_depth import COLUMNS, comparisons, crossing, crossings, networks

DEPTHS, SEEDS = (8, 14, 20), range(3)


def rows_of(arch, norm, seed, layers=None, **values):
    """Rows of the measurement for one network."""
    facts = {"dataset": "digits", "arch": arch, "init": "xavier_uniform", "norm": norm, "batch_size": 8, "seed": seed}
    facts |= {"bn_mode": "train" if norm == "batch" else "none"}
    whole = {"noise": 2.0, "constant": 16.0, "gradient_norm2": 0.5, "layer_variation": 1.0, "minibatch_rank": 3.0}
    whole |= {"noise_curvature": 1.0, "loss": 2.0} | values
    rows = [facts | {"block": "all", "quantity": name, "value": value} for name, value in whole.items()]
    shared = {"noise": 0.1, "gradient_norm2": 0.2, "rank": 4.0, "full_rank": 16.0}
    for layer in (1, 2):
        of_layer = shared | {"entry_variance": 1.0, "unit_variation": 0.5} | (layers or {})
        rows += [facts | {"block": str(layer), "quantity": name, "value": value} for name, value in of_layer.items()]
    return rows


def made_up(change=lambda **network: {}, families=("resnet", "plain")):
    """Every network; with batch norm C is 10, 1 and 0.1 times that without, a little different between seeds."""
    parts = []
    for family, depth, norm, seed in itertools.product(families, DEPTHS, ("batch", "none"), SEEDS):
        ratio = 10 ** (1 - DEPTHS.index(depth) + 0.1 * (seed - 1)) if norm == "batch" else 1.0
        values = {"constant": 16 * ratio} | change(family=family, depth=depth, norm=norm, seed=seed)
        parts += rows_of(f"{family}-{depth}", norm, seed, **values)
    return pd.DataFrame(parts)


def compared(table, quantity, shortcut="projection"):
    found = comparisons(networks(table))
    return found[(found["quantity"] == quantity) & (found["shortcut"] == shortcut)].set_index("depth")


def test_networks_have_the_quantities_of_their_definitions():
    values = {"constant": 30.0, "gradient_norm2": 0.6, "noise_curvature": -4.0, "loss": 2.5}
    (row,) = networks(pd.DataFrame(rows_of("plain-14", "batch", 1, **values))).to_dict("records")
    assert list(row) == COLUMNS
    assert (row["shortcut"], row["depth"], row["bn_mode"], row["finite"]) == ("none", 14, "train", True)
    assert row["noise_scale"] == pytest.approx(50)
    assert row["signal"] == pytest.approx(0.02)
    assert row["relative_curvature"] == pytest.approx(-1.6)
    assert (row["mean_entry_variance"], row["mean_unit_variation"], row["layer_variation"]) == (1, 0.5, 1)
    (drowned,) = networks(pd.DataFrame(rows_of("plain-14", "batch", 1, gradient_norm2=-0.6))).itertuples()
    assert math.isnan(drowned.noise_scale)
    assert drowned.signal == pytest.approx(-0.6 / 16)
    (lost,) = networks(pd.DataFrame(rows_of("plain-14", "batch", 1, noise=np.nan, constant=np.inf))).itertuples()
    assert not lost.finite
    assert math.isnan(lost.mean_unit_variation)


def test_ratios_are_compared_by_seed_with_an_interval():
    found = compared(made_up(), "constant")
    reach = 4.302653 * 0.1 / 3**0.5  # Student's t with two degrees of freedom
    assert found["mean"].to_numpy() == pytest.approx([1, 0, -1], abs=1e-12)
    assert found["low"].to_numpy() == pytest.approx(np.array([1, 0, -1]) - reach)
    assert list(found["sign"]) == [1, 0, -1]
    assert set(found["score"]) == {summary.LOG_RATIO}
    assert set(found["seeds"]) == {3}


def test_what_may_be_negative_is_compared_by_relative_differences():
    """tr(HΣ) is −3 with batch norm and 1 without; noise drowns |g|² in one seed without batch norm."""

    def change(norm, seed, **_):
        if norm == "batch":
            return {"noise_curvature": -3.0, "gradient_norm2": 0.5, "constant": 16.0}
        return {"noise_curvature": 1.0, "gradient_norm2": -0.1 if seed == 0 else 0.001}

    found = compared(made_up(change), "relative_curvature")
    assert set(found["score"]) == {summary.DIFFERENCE}
    assert set(found["mean"]) == {-1}
    assert set(found["sign"]) == {-1}
    scale = compared(made_up(change), "noise_scale")  # less signal without is more noise
    assert scale["mean"].to_numpy() == pytest.approx(-np.mean([1, *[0.499 / 0.501] * 2]))
    assert set(scale["sign"]) == {-1}


def test_both_scores_agree_where_both_can_be_taken():
    pairs = pd.DataFrame({"constant": [2.0, 0.1, 30.0], "constant_none": [1.0, 5.0, 7.0]})
    name, ratios = summary._scores(pairs, "constant")
    negative = pd.concat([pairs, pd.DataFrame({"constant": [-1.0], "constant_none": [1.0]})])
    other, differences = summary._scores(negative, "constant")
    assert (name, other) == (summary.LOG_RATIO, summary.DIFFERENCE)
    assert differences[:3].to_numpy() == pytest.approx(np.tanh(ratios * np.log(10) / 2).to_numpy())


def test_a_depth_with_a_seed_that_is_not_finite_is_unclear_and_counted():
    def change(depth, norm, seed, **_):
        return {"constant": np.inf} if (depth, norm, seed) == (14, "none", 1) else {"noise_curvature": 2.0}

    found = compared(made_up(change), "relative_curvature")
    assert list(found["not_finite"]) == [0, 1, 0]
    assert np.isnan(found.loc[14, ["mean", "low", "high"]].astype(float)).all()
    assert found.loc[14, "sign"] == 0


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ([1, 1, 1, 1], (summary.RAISES, None, None)),
        ([-1, -1, 0, -1], (summary.LOWERS, None, None)),
        ([1, 1, -1, -1], (summary.TO_LOWERING, 14, 20)),
        ([1, 0, 0, -1], (summary.TO_LOWERING, 8, 32)),
        ([0, -1, 1, 0], (summary.TO_RAISING, 14, 20)),
        ([1, -1, -1, 1], (summary.NOT_ONCE, None, None)),
        ([0, 0, 0, 0], (summary.UNCLEAR, None, None)),
    ],
)
def test_the_crossing_lies_between_clear_depths(signs, expected):
    verdict, above, below = crossing(np.array([8, 14, 20, 32]), np.array(signs))
    assert (verdict, *(None if math.isnan(depth) else depth for depth in (above, below))) == expected


def test_crossings_are_found_for_each_kind_of_network_and_quantity():
    found = crossings(comparisons(networks(made_up()))).set_index(["shortcut", "quantity"])
    row = found.loc["none", "constant"]
    assert (row["verdict"], row["above"], row["below"]) == (summary.TO_LOWERING, 8, 20)
    assert (row["raised"], row["lowered"], row["depths"]) == (1, 1, 3)
    assert found.loc["projection", "layer_variation"]["verdict"] == summary.UNCLEAR
    assert len(found) == 2 * len(summary.QUANTITIES)


@pytest.mark.slow
def test_how_often_a_crossing_is_false():
    """Of 2,000 simulated quantities at seven depths and five seeds: no difference anywhere, and a true crossing."""
    rng, depths = np.random.default_rng(0), np.array([8, 14, 20, 32, 44, 56, 110])

    def verdicts(means):
        for _ in range(2000):
            values = rng.normal(means, 1, (5, len(depths))).T
            intervals = np.array([summary.mean_interval(each) for each in values])
            yield crossing(depths, (intervals[:, 0] > 0).astype(int) - (intervals[:, 1] < 0))

    nothing = [verdict for verdict, *_ in verdicts(np.zeros(7))]
    crossed = sum(verdict in (summary.TO_LOWERING, summary.TO_RAISING) for verdict in nothing)
    assert crossed / 2000 < 0.05
    truth = 3.0 - np.arange(7) - 0.5  # between the third depth and the fourth
    found = [(above, below) for verdict, above, below in verdicts(truth) if verdict == summary.TO_LOWERING]
    assert len(found) / 2000 > 0.8
    assert np.mean([above <= 20 and below >= 32 for above, below in found]) > 0.95


def test_the_figure_draws_medians_and_says_where_batch_norm_turns():
    def change(norm, seed, **_):
        return {"noise_curvature": -(2.0 + seed)} if norm == "batch" else {"noise_curvature": 1.0}

    shown, tables = figure.draw(made_up(change))
    assert list(tables[""].columns) == COLUMNS
    assert len(tables[""]) == 2 * 3 * 2 * 3
    constant, _, curvature, *_ = shown.axes
    assert len(shown.axes) == len(figure.PANELS)
    (solid,) = drawn.lines(constant, "batch")
    assert solid[1] == pytest.approx([160, 16, 1.6])
    assert "residual: raised to 8, lowered from 20" in constant.get_title()
    assert "plain: lowered" in curvature.get_title()
    ends = drawn.segments(constant, "batch")
    assert sorted(ends[0][:, 1]) == pytest.approx([160 / 10**0.1, 160 * 10**0.1])
    squares = [line for line in curvature.get_lines() if line.get_marker() == "s" and line.get_mfc() == "white"]
    assert np.concatenate([line.get_ydata() for line in squares]) == pytest.approx([1.5] * 3)
    assert "below zero: its size" in drawn.legends(shown)


def test_without_a_finite_network_there_is_nothing_to_show():
    lost = dict.fromkeys(("noise", "constant", "gradient_norm2", "layer_variation", "noise_curvature", "loss"), np.nan)
    with pytest.raises(NothingToShow):
        figure.draw(made_up(lambda **_: lost))
