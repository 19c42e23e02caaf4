"""Correlations of input gradients, against closed forms, and how they fall with depth, and the figure of that."""

import itertools
import math
from dataclasses import replace

import drawn
import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_of
from torch import nn

from understanding_bn.analysis.input_gradients import correlations, input_gradients, towards_the_next
from understanding_bn.data.batches import stream
from understanding_bn.figures import gradient_correlation as figure
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.measurements import gradient_correlation
from understanding_bn.measurements.gradient_correlation import GradientCorrelation
from understanding_bn.models import resnet
from understanding_bn.summaries.gradient_correlation import COLUMNS, by_depth, fits, means
from understanding_bn.summaries.log_fits import line, logarithm


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def correlated(function, images, step, outputs):
    directions = random(len(images), outputs, seed=7)
    moved = towards_the_next(images, step)
    return correlations(*(input_gradients(function, each, directions) for each in (images, moved)))


def test_a_linear_network_has_the_same_gradient_everywhere():
    linear = nn.Sequential(nn.Linear(12, 30), nn.Linear(30, 3)).double()
    for step in (0.01, 1.0):
        assert correlated(linear, random(5, 12), step, 3).detach().numpy() == pytest.approx(1, abs=1e-12)


def test_of_a_quadratic_it_is_the_cosine_of_two_matrix_products():
    matrix, images = random(6, 6), random(4, 6, seed=1)
    matrix = matrix + matrix.T
    found = correlated(lambda x: (x @ matrix * x).sum(1, keepdim=True) / 2, images, 0.3, 1)
    moved = 0.7 * images + 0.3 * images[[1, 2, 3, 0]]
    expected = nn.functional.cosine_similarity(images @ matrix, moved @ matrix)
    assert torch.allclose(found, expected, rtol=1e-12)


def test_through_one_wide_relu_it_falls_linearly_with_the_angle():
    """Of the units that one of two images at the angle θ activates, the other activates 1 − θ/π (Cho & Saul 2009)."""
    weights, images = random(3000, 1000), torch.eye(1000, dtype=torch.float64)[:8]
    for step in (0.2, 0.5, 1.0):
        angle = math.atan2(step, 1 - step)
        found = correlated(lambda x: torch.relu(x @ weights.T), images, step, len(weights))
        assert found.mean().item() == pytest.approx(1 - angle / math.pi, abs=0.03)


def test_scales_do_not_matter_and_what_has_no_direction_has_none():
    rows, others = random(3, 8), random(3, 8, seed=1)
    found = correlations(rows, others)
    assert torch.allclose(correlations(1e-300 * rows, 1e200 * others), found, rtol=1e-12)
    assert torch.allclose(correlations(rows, -rows), torch.tensor(-1.0).double())
    for lost in (0.0, math.nan, math.inf):
        rows[1] = lost
        assert correlations(rows, others).isnan().tolist() == [False, True, False]


def test_a_whole_step_is_the_next_image_and_the_mean_image_stays():
    images = random(5, 2, 3, 3)
    assert torch.equal(towards_the_next(images, 1.0), images.roll(-1, 0))
    assert torch.allclose(towards_the_next(images, 0.3).mean(0), images.mean(0))


def measured(context, norm, seed, *archs, init="kaiming", **changes):
    options = {"networks": {"archs": archs, "inits": [init]}, "batch_size": 8, "minibatches": 2} | changes
    return gradient_correlation.measure(context, norm, seed, GradientCorrelation.model_validate(options))


@pytest.fixture(scope="module")
def context(digits):
    return context_of(digits)


def test_networks_are_measured_alike_whatever_else_is_in_each_mode(context):
    alone = measured(context, "batch", 1, "plain-8")
    cells = [*zip(alone["bn_mode"], alone["step"], strict=True)]
    assert cells == [*itertools.product(("train", "eval"), (0.001, 0.01, 0.1))]
    both = measured(context, "batch", 1, "resnet-8", "plain-8")
    pd.testing.assert_frame_equal(both[both["arch"] == "plain-8"].reset_index(drop=True), alone)
    near, far = (alone[alone["step"] == step]["correlation"] for step in (0.001, 0.1))
    assert (near.to_numpy() > far.to_numpy()).all() and (near <= 1).all()
    assert set(measured(context, "none", 1, "plain-8")["bn_mode"]) == {"none"}


def test_the_scale_of_a_network_without_norm_does_not_matter(context, monkeypatch):
    """Biases are zero, so that a ReLU network is homogeneous; powers of two add no rounding."""
    expected = measured(context, "none", 0, "plain-8")["correlation"].to_numpy()
    build = resnet.build

    def scaled(*args):
        model = build(*args)
        with torch.no_grad():
            for number in range(1, model.depth):
                model.layer(number).weight *= 2.0**number
        return model

    monkeypatch.setattr("understanding_bn.analysis.context.build", scaled)
    assert measured(context, "none", 0, "plain-8")["correlation"].to_numpy() == pytest.approx(expected, rel=1e-9)


def test_it_is_the_mean_over_images_that_pass_one_by_one(context):
    (row,) = measured(context, "none", 0, "plain-8", minibatches=1, steps=[0.1]).to_dict("records")
    context = replace(context, arch="plain-8", init="kaiming", batch_size=8)
    model = context.model("none", 0).double()
    ((images, _),) = context.draws("subset", 1, 0, gradient_correlation.MINIBATCHES)
    generator = torch.Generator().manual_seed(stream(0, gradient_correlation.DIRECTIONS))
    directions = torch.randn((8, 64), generator=generator, dtype=torch.float64)
    cosines = []
    for image, neighbour, direction in zip(images.double(), images.double().roll(-1, 0), directions, strict=True):
        gradients = []
        for place in (image, 0.9 * image + 0.1 * neighbour):
            pixels = place[None].clone().requires_grad_()
            (model.features(pixels).mean((2, 3)) @ direction).sum().backward()
            gradients.append(pixels.grad.flatten())
        cosines.append(nn.functional.cosine_similarity(*gradients, dim=0).item())
    assert row["correlation"] == pytest.approx(np.mean(cosines), rel=1e-8)
    assert row["standard_error"] == pytest.approx(np.std(cosines, ddof=1) / 8**0.5, rel=1e-8)


def rows_of(arch, norm, seed, values, bn_mode=None):
    """Rows of the measurement; `values`: correlations by step."""
    facts = {"dataset": "digits", "arch": arch, "init": "kaiming", "norm": norm, "batch_size": 8, "seed": seed}
    facts["bn_mode"] = bn_mode or ("train" if norm == "batch" else "none")
    return [facts | {"step": step, "correlation": value, "standard_error": 0.0001} for step, value in values.items()]


def made_up(plain=lambda depth: 0.9**depth, residual=lambda depth: depth**-0.5, seeds=(0, 1), depths=(8, 20, 32, 56)):
    """Correlations that fall exponentially in plain networks and as a power in residual ones."""
    rows = []
    for depth, norm, seed in itertools.product(depths, ("batch", "none"), seeds):
        for family, of_depth in (("plain", plain), ("resnet", residual)):
            values = {0.01: of_depth(depth) * (1 + 0.01 * seed)}
            for mode in ("train", "eval") if norm == "batch" else ("none",):
                rows += rows_of(f"{family}-{depth}", norm, seed, values, mode)
    return pd.DataFrame(rows)


def test_lines_through_logarithms_tell_an_exponential_from_a_power():
    found = fits(by_depth(made_up())).set_index(["shortcut", "norm", "bn_mode", "seed"])
    plain, residual = found.loc["none", "batch", "train", 1], found.loc["projection", "batch", "train", 1]
    assert plain["rate"] == pytest.approx(math.log(0.9)) and plain["exponential_r2"] == pytest.approx(1)
    assert residual["exponent"] == pytest.approx(-0.5) and residual["power_r2"] == pytest.approx(1)
    assert plain["power_r2"] < 0.95 and residual["exponential_r2"] < 0.95
    assert (plain["depths"], plain["fitted"], plain["deepest"]) == (4, 4, 56)


def test_what_may_be_zero_is_left_out_and_counted_and_a_network_that_fails_leaves_its_seed_without_a_fit():
    table = made_up()
    deepest = (table["arch"] == "plain-56") & (table["norm"] == "batch")
    table.loc[deepest & (table["seed"] == 1), "correlation"] = 0.00019  # not above twice its error
    (_, found) = fits(by_depth(table)).set_index(["shortcut", "bn_mode"]).loc[("none", "train")].to_dict("records")
    assert (found["depths"], found["fitted"], found["deepest"]) == (4, 3, 32)
    assert found["rate"] == pytest.approx(math.log(0.9))
    shallower = (table["arch"] == "plain-32") & (table["norm"] == "batch") & (table["seed"] == 1)
    behind = table.assign(correlation=table["correlation"].where(~shallower, -0.1))
    behind.loc[deepest, "correlation"] = 0.5  # by chance
    (_, found) = fits(by_depth(behind)).set_index(["shortcut", "bn_mode"]).loc[("none", "train")].to_dict("records")
    assert (found["fitted"], found["deepest"]) == (2, 20)
    table.loc[deepest & (table["seed"] == 0), "correlation"] = math.nan
    summary = means(fits(by_depth(table))).set_index(["shortcut", "bn_mode"])
    assert list(summary.loc["none"]["without_fit"]) == [1, 1, 0]
    assert list(summary.loc["none"]["fewest_fitted"]) == [3, 3, 4]
    assert summary.loc[("none", "train"), "rate"] == pytest.approx(math.log(0.9))


def test_a_line_needs_three_places_and_finite_values():
    slope, r2 = line([1, 2, 3, 4], [1.0, 3.0, 2.0, 5.0])
    expected = np.corrcoef([1, 2, 3, 4], [1.0, 3.0, 2.0, 5.0])[0, 1] ** 2
    assert (slope, r2) == pytest.approx((np.polyfit([1, 2, 3, 4], [1, 3, 2, 5], 1)[0], expected))
    assert all(map(math.isnan, line([1, 2, 2], [1.0, 2.0, 3.0])))
    assert all(map(math.isnan, line([1, 2, 3], [1.0, math.nan, 3.0])))
    flat = line([1, 2, 3], [2.0, 2.0, 2.0])
    assert flat[0] == 0 and math.isnan(flat[1])
    assert np.isnan(logarithm([1.0, 0.0, -1.0, math.inf])).tolist() == [False, True, True, True]


def test_the_figure_has_a_row_for_each_kind_and_says_the_fits():
    shown, tables = figure.draw(made_up())
    assert list(tables[""].columns) == COLUMNS and set(tables) == {"", "fits", "summary"}
    plain, residual = shown.axes
    assert (plain.get_xscale(), residual.get_xscale()) == ("linear", "log")
    assert "batch norm: −0.11 a layer, R² 1.00" in plain.get_title()
    assert "batch norm: exponent −0.5, R² 1.00" in residual.get_title()
    (*_, mean) = drawn.lines(plain, "batch")
    assert mean[1] == pytest.approx([1.01**0.5 * 0.9**depth for depth in (8, 20, 32, 56)])
    with pytest.raises(NothingToShow):
        figure.draw(made_up(plain=lambda depth: -0.1, residual=lambda depth: math.nan))
