"""Gradient noise: the streaming variance, what is measured, and the slopes read from it."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from contexts import context_of
from torch.nn import functional as F

from understanding_bn.analysis.context import flat
from understanding_bn.analysis.gradient_moments import Variance, jackknife_error
from understanding_bn.errors import UserError
from understanding_bn.measurements import gradient_noise
from understanding_bn.measurements.gradient_noise import GradientNoise

ALPHAS = [0.01, 0.1, 1.0]


@pytest.fixture(scope="module")
def context(digits):
    return context_of(digits)


def test_streaming_variance_is_numpys():
    vectors = np.random.default_rng(0).normal(1e6, 1, size=(7, 5))
    variance = Variance()
    for vector in vectors:
        variance.add(torch.from_numpy(vector))
    assert variance.value() == pytest.approx(np.var(vectors, axis=0, ddof=1).sum(), rel=1e-9)
    assert np.isnan(Variance().value())


def test_one_vector_has_no_variance_and_the_order_does_not_matter():
    vectors = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = []
    for order in (range(9), reversed(range(9))):
        variance = Variance()
        for index in order:
            variance.add(vectors[index])
            assert variance.count > 1 or np.isnan(variance.value())
        values.append(variance.value())
    assert values[0] == pytest.approx(values[1], rel=1e-12)


def test_the_jackknifes_error_is_that_of_leaving_out_each_in_turn():
    vectors = np.random.default_rng(0).normal(3, [1, 2, 3, 4], size=(9, 4))
    logs = [np.log(np.var(np.delete(vectors, i, axis=0), axis=0, ddof=1).sum()) for i in range(9)]
    expected = (8 / 9 * np.sum((logs - np.mean(logs)) ** 2)) ** 0.5
    tensors = [torch.from_numpy(vector) for vector in vectors]
    assert jackknife_error(tensors) == pytest.approx(expected, rel=1e-9)
    assert jackknife_error([7 * vector + 1e6 for vector in tensors]) == pytest.approx(expected, rel=1e-6)
    assert np.isnan(jackknife_error(tensors[:2]))


def test_the_jackknifes_error_is_the_spread_of_repeated_measurements():
    """Gaussian vectors of p entries: log of the variance of n has a standard deviation of about √(2 / (p·(n − 1)))."""
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(400, 32, 50))
    errors = [jackknife_error([*torch.from_numpy(of_draw)]) for of_draw in draws]
    spread = np.log([np.var(of_draw, axis=0, ddof=1).sum() for of_draw in draws]).std(ddof=1)
    assert np.mean(errors) == pytest.approx(spread, rel=0.1)
    assert spread == pytest.approx((2 / (50 * 31)) ** 0.5, rel=0.1)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_noise_is_the_variance_of_the_gradients_of_disjoint_minibatches(context, norm):
    options = GradientNoise(batch_sizes=[8, 32], minibatches=6, alphas=ALPHAS)
    table = gradient_noise.measure(context, norm, 0, options)
    for batch_size, here in table.groupby("batch_size"):
        model = context.model(norm, 0)
        gradients = []
        for images, labels in islice(replace(context, batch_size=batch_size).minibatches(0), 6):
            loss = F.cross_entropy(model(images), labels)
            gradient = torch.autograd.grad(loss, list(model.parameters()))
            gradients.append(torch.cat([g.double().flatten() for g in gradient]).numpy())
        expected = np.var(gradients, axis=0, ddof=1).sum()
        assert here["noise"].to_numpy() == pytest.approx(expected, rel=1e-4)
        assert here["constant"].to_numpy() == pytest.approx(batch_size * expected, rel=1e-4)
        # Weight decay is in every update alike and drops out; float32 weights round small updates.
        assert here["update_noise"].to_numpy() == pytest.approx(here["alpha"].to_numpy() ** 2 * expected, rel=1e-3)


@pytest.mark.parametrize("sampling", ["replacement", "subset"])
def test_other_ways_to_draw_are_measured_from_their_own_draws(context, sampling):
    options = GradientNoise(batch_sizes=[8, 32], minibatches=4, alphas=[0.1, 1], samplings=[sampling])
    table = gradient_noise.measure(context, "none", 0, options)
    assert table.groupby("sampling").size().to_dict() == {"epoch": 4, sampling: 4}
    drawn = table[table["sampling"] == sampling]
    assert drawn["update_noise"].isna().all()
    assert drawn["images"].eq(1437).all()
    model = context.model("none", 0)
    gradients = []
    for images, labels in replace(context, batch_size=8).draws(sampling, 4, 0, gradient_noise.DOMAIN):
        gradient = torch.autograd.grad(F.cross_entropy(model(images), labels), list(model.parameters()))
        gradients.append(flat(gradient).numpy())
    expected = np.var(gradients, axis=0, ddof=1).sum()
    assert drawn.loc[drawn["batch_size"] == 8, "noise"].to_numpy() == pytest.approx(expected, rel=1e-4)


def test_an_epoch_with_too_few_minibatches_is_not_measured(context):
    options = GradientNoise(batch_sizes=[479, 480], minibatches=3, alphas=[0.1, 1], samplings=["subset"])
    table = gradient_noise.measure(context, "none", 0, options)  # 3 · 479 = 1437 images are all there are
    kinds = table[["batch_size", "sampling"]].drop_duplicates().to_numpy().tolist()
    assert kinds == [[479, "epoch"], [479, "subset"], [480, "subset"]]


def test_the_first_update_is_that_of_plain_descent_and_leaves_the_weights_where_they_were(context):
    model = context.model("batch", 0)
    origin = [p.detach().clone() for p in model.parameters()]
    images, labels = next(context.minibatches(0))
    F.cross_entropy(model(images), labels).backward()
    update = context.first_update(model, origin, 0.1)
    expected = [-0.1 * (p.grad + 5e-4 * start) for p, start in zip(model.parameters(), origin, strict=True)]
    assert update.numpy() == pytest.approx(flat(expected).numpy(), rel=1e-3, abs=1e-7)
    assert update.dtype == torch.float64
    for parameter, start in zip(model.parameters(), origin, strict=True):
        assert torch.equal(parameter, start)


def test_no_mini_batch_is_smaller_than_asked_for(context):
    with pytest.raises(UserError, match="batch_size: 1438 is more than the 1437 training images"):
        next(replace(context, batch_size=1438).draws("subset", 1, 0, 0))
