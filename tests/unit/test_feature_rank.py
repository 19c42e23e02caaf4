"""The effective rank of features, of matrices whose rank is known, and the figure of it."""

import itertools
import math

import drawn
import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_of

from understanding_bn.figures import feature_rank as figure
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.measurements import feature_rank
from understanding_bn.measurements.feature_rank import FeatureRank
from understanding_bn.summaries.feature_rank import COLUMNS, kept, means, rank_beyond_one, ranks


def test_equal_singular_values_count_and_one_alone_is_a_collapse():
    for rank in (2, 5, 64):
        assert rank_beyond_one([3.0] * rank + [0.0] * (64 - rank)) == pytest.approx(rank - 1, rel=1e-12)
    assert rank_beyond_one([7.0, 0, 0]) == 0
    assert rank_beyond_one([7.0]) == 0


def test_of_two_values_it_is_the_entropy_of_their_energies():
    share = 0.2
    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
    assert rank_beyond_one([2.0, 1.0]) == pytest.approx(math.exp(entropy) - 1, rel=1e-12)
    assert rank_beyond_one([1.0, 2.0]) == rank_beyond_one([2e-200, 1e-200]) == rank_beyond_one([2.0, 1.0])


def test_near_a_collapse_nothing_is_lost_to_rounding():
    """exp(H) − 1 = ε(1 − ln ε) + O(ε² ln² ε) for an energy share ε far below float64's own."""
    share = 1e-20
    assert rank_beyond_one([1.0, share**0.5]) == pytest.approx(share * (1 - math.log(share)), rel=1e-9)


def test_what_has_no_rank_has_none():
    for values in ([0.0, 0.0], [math.nan, 1.0], [math.inf, 1.0]):
        assert math.isnan(rank_beyond_one(values))


def test_scale_rotation_and_order_of_images_change_nothing_and_equal_images_collapse():
    rng = np.random.default_rng(0)
    matrix, turn = rng.normal(size=(20, 6)), np.linalg.qr(rng.normal(size=(6, 6)))[0]
    rank = rank_beyond_one(np.linalg.svd(matrix, compute_uv=False))
    for other in (1e-9 * matrix, matrix @ turn, matrix[::-1]):
        assert rank_beyond_one(np.linalg.svd(other, compute_uv=False)) == pytest.approx(rank, rel=1e-10)
    same = np.outer(rng.uniform(1, 2, 20), matrix[0])  # but for their size
    assert rank_beyond_one(np.linalg.svd(same, compute_uv=False)) < 1e-12


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_the_measurement_is_of_what_the_linear_layer_reads(digits, norm):
    context = context_of(digits, arch="plain-8")
    options = FeatureRank(networks={"archs": ["resnet-8", "plain-8"], "inits": ["xavier_uniform"]}, batch_size=16)
    table = feature_rank.measure(context, norm, 1, options)
    read = []
    model = context.model(norm, 1).double()
    model.linear.register_forward_pre_hook(lambda linear, inputs: read.append(inputs[0].detach().numpy()))
    images, _ = next(context.split.epoch(1, 0, 16, context.augmentation))
    model(images.double())
    found = table.loc[table["arch"] == "plain-8", "singular_value"].to_numpy()
    assert found == pytest.approx(np.linalg.svd(read[0], compute_uv=False), rel=1e-8, abs=1e-12)
    assert set(table["bn_mode"]) == {"train" if norm == "batch" else "none"}
    assert torch.equal(model.linear.weight, context.model(norm, 1).linear.weight.double())


def rows_of(arch, norm, seed, second):
    """Rows of the measurement: two singular values, the smaller as given."""
    facts = {"dataset": "digits", "arch": arch, "init": "kaiming", "norm": norm, "batch_size": 8, "seed": seed}
    facts["bn_mode"] = "train" if norm == "batch" else "none"
    return [facts | {"index": i + 1, "singular_value": value} for i, value in enumerate((1.0, second))]


def made_up(second=lambda norm, depth: 0.8 if norm == "batch" else 1 / depth, seeds=(0, 1)):
    cells = itertools.product((8, 20, 56), ("batch", "none"), seeds)
    return pd.DataFrame([row for d, n, s in cells for row in rows_of(f"plain-{d}", n, s, second(n, d))])


def test_what_is_kept_is_compared_seed_by_seed():
    table = ranks(made_up())
    assert list(table.columns) == COLUMNS
    found = kept(table, 8, 56).set_index(["norm", "seed"])["kept"]
    assert found["batch"].to_numpy() == pytest.approx([1, 1])
    expected = rank_beyond_one([1, 1 / 56]) / rank_beyond_one([1, 1 / 8])
    assert found["none"].to_numpy() == pytest.approx([expected] * 2)
    assert kept(table, 8, 110).empty
    lost = made_up(lambda norm, depth: math.nan if (norm, depth) == ("none", 56) else 0.5)
    summary = means(kept(ranks(lost), 8, 56)).set_index("norm")
    assert list(summary.loc[["batch", "none"], "without_value"]) == [0, 2]
    assert math.isnan(summary.loc["none", "kept"])


def test_the_figure_draws_ranks_and_says_what_is_kept():
    shown, tables = figure.draw(made_up())
    (ax,) = shown.axes
    assert set(tables) == {"", "kept", "summary"}
    (*_, mean) = drawn.lines(ax, "batch")
    assert mean[0] == pytest.approx([8, 20, 56]) and mean[1] == pytest.approx([rank_beyond_one([1, 0.8])] * 3)
    assert "batch norm: depth 56 over 8: 1" in ax.get_title()
    with pytest.raises(NothingToShow):
        figure.draw(made_up(lambda norm, depth: 0.0))
