"""Residual branches beside their streams, against closed forms, and the figure of them."""

import itertools
import math

import drawn
import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_of
from torch import nn

from understanding_bn.analysis.branches import branch_moments
from understanding_bn.figures import branch_variance as figure
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.measurements import branch_variance
from understanding_bn.measurements.branch_variance import BranchVariance
from understanding_bn.models import resnet
from understanding_bn.summaries.branch_variance import AFTER_RELU, COLUMNS, means, ratios, slopes


def images(count=6, size=8, channels=2):
    return torch.randn(count, channels, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def network(arch, norm, init="kaiming"):
    return resnet.build(arch, norm, init, 2, 10, 0).double().train()


@pytest.mark.parametrize(("norm", "init"), [("none", "kaiming"), ("none", "branch_scaled"), ("batch", "kaiming")])
@pytest.mark.parametrize("arch", ["resnet-14", "resnet-padded-14"])
def test_the_branch_and_the_stream_are_what_each_block_adds(arch, norm, init):
    model, x = network(arch, norm, init), images()
    found = branch_moments(model, x)
    with torch.no_grad():
        stream = torch.relu(model.stem(x))
        for block, moments in zip(model.residual_blocks, found, strict=True):
            shortcut, scale = block.shortcut(stream), block.branch_scale or 1.0
            branch = scale * block.second(torch.relu(block.first(stream)))
            for part, of_part in zip((branch, shortcut), moments, strict=True):
                channels = part.numpy().transpose(1, 0, 2, 3).reshape(part.shape[1], -1)
                assert of_part.variance == pytest.approx(channels.var(axis=1).mean(), rel=1e-10)
                assert of_part.square == pytest.approx((channels**2).mean(), rel=1e-10)
            stream = torch.relu(branch + shortcut)


def test_with_batch_norm_every_branch_has_a_variance_of_one_whatever_its_kernels():
    model = network("resnet-14", "batch")
    for block in model.residual_blocks:
        nn.init.constant_(block.second.conv.weight, 0.3)
        with torch.no_grad():
            block.first.conv.weight *= 100
    for branch, stream in branch_moments(model, images()):
        assert branch.variance == pytest.approx(1, rel=1e-4)  # but for batch norm's ε
        assert branch.square == pytest.approx(branch.variance)
        assert stream.square > stream.variance or stream.square == pytest.approx(stream.variance)


def test_the_measurement_has_every_block_and_does_not_depend_on_what_else_is_measured(digits):
    context = context_of(digits)

    def measured(norm, seed, *archs):
        networks = {"archs": archs, "inits": ["kaiming"]}
        return branch_variance.measure(context, norm, seed, BranchVariance(networks=networks, batch_size=16))

    alone = measured("batch", 1, "resnet-14")
    assert list(zip(alone["stage"], alone["block"], strict=True)) == [*itertools.product((1, 2, 3), (1, 2))]
    assert set(alone["bn_mode"]) == {"train"} and set(measured("none", 1, "resnet-8")["bn_mode"]) == {"none"}
    both = measured("batch", 1, "resnet-8", "resnet-14")
    pd.testing.assert_frame_equal(both[both["arch"] == "resnet-14"].reset_index(drop=True), alone)
    # The stream of a later stage begins as a normalised projection, which the stem's ReLU is not.
    assert alone["stream_variance"].to_numpy()[[2, 4]] == pytest.approx(1, rel=1e-3)
    assert alone["stream_variance"][0] < 0.5


def rows_of(arch="resnet-26", norm="batch", seed=0, exponent=-1.0, first=1.0, factor=2.0):
    """Rows of the measurement whose ratio is factor · ℓ^exponent, and `first` times that in the first block."""
    facts = {"dataset": "digits", "arch": arch, "init": "kaiming", "norm": norm, "batch_size": 8, "seed": seed}
    facts["bn_mode"] = "train" if norm == "batch" else "none"
    rows = []
    for stage, block in itertools.product((1, 2, 3), range(1, (int(arch.split("-")[-1]) - 2) // 6 + 1)):
        ratio = factor * block**exponent * (first if block == 1 else 1)
        values = {"branch_variance": 3.0 * ratio, "stream_variance": 3.0, "branch_square": 1.0, "stream_square": block}
        rows.append(facts | {"stage": stage, "block": block} | values)
    return rows


def table_of(*parts):
    return ratios(pd.DataFrame(list(itertools.chain(*parts))))


def test_slopes_are_those_of_a_power_law_and_say_what_the_first_block_does():
    found = slopes(table_of(rows_of(exponent=-0.8), rows_of(seed=1, first=0.3)))
    assert list(found["blocks"].unique()) == [4]
    exact, bent = (found[found["seed"] == seed] for seed in (0, 1))
    assert exact["slope"].to_numpy() == pytest.approx(-0.8) and exact["slope_from_second"].to_numpy() == pytest.approx(
        -0.8
    )
    assert exact["square_slope"].to_numpy() == pytest.approx(-1)
    assert (bent["slope"] > -0.7).all() and bent["slope_from_second"].to_numpy() == pytest.approx(-1)
    summary = means(found)
    assert list(summary["stage"]) == [1, 2, 3] and set(summary["without_slope"]) == {0}
    assert summary["slope"].to_numpy() == pytest.approx(found.groupby("stage")["slope"].mean().to_numpy())
    assert (summary["slope_low"] < summary["slope"]).all()


def test_a_seed_without_a_finite_ratio_has_no_slope_and_is_counted():
    lost = rows_of(seed=1)
    lost[2]["branch_variance"] = math.inf
    summary = means(slopes(table_of(rows_of(), lost)))
    assert list(summary["without_slope"]) == [1, 0, 0]
    assert summary["slope"].to_numpy() == pytest.approx(-1)
    assert math.isnan(slopes(table_of(rows_of("resnet-14")))["slope"].iloc[0])  # two blocks always lie on a line


def test_the_law_for_streams_behind_a_relu_is_that_of_a_reflected_walk():
    rng, walkers = np.random.default_rng(0), np.zeros(20_000)
    for _ in range(64):
        walkers = np.maximum(walkers + rng.normal(size=len(walkers)), 0)
    assert 1 / walkers.var() == pytest.approx(AFTER_RELU / 64, rel=0.05)
    assert 1 / np.square(walkers).mean() == pytest.approx(1 / 64, rel=0.15)


def test_the_figure_has_the_deepest_network_with_its_slopes():
    parts = [
        rows_of(arch, n, s) for arch, n, s in itertools.product(("resnet-8", "resnet-26"), ("batch", "none"), (0, 1))
    ]
    shown, tables = figure.draw(pd.DataFrame(list(itertools.chain(*parts))))
    assert list(tables[""].columns) == COLUMNS and set(tables) == {"", "slopes", "summary"}
    assert len(shown.axes) == 3
    for ax in shown.axes:
        (*_, mean) = drawn.lines(ax, "batch")
        assert mean[0] == pytest.approx([1, 2, 3, 4]) and mean[1] == pytest.approx([2, 1, 2 / 3, 0.5])
        assert "batch norm: −1.00" in ax.get_title()
    with pytest.raises(NothingToShow):
        figure.draw(pd.DataFrame(rows_of()).assign(branch_variance=math.nan))
