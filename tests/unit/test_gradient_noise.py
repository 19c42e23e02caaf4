"""Gradient noise: the streaming variance and what is measured."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from understanding_bn.analysis import gradient_noise
from understanding_bn.analysis.context import Context
from understanding_bn.data.batches import Augmentation, Split
from understanding_bn.training.loop import Optimiser

ALPHAS = [0.01, 0.1, 1.0]


@pytest.fixture(scope="module")
def context(digits):
    split = Split(digits, False, 1, torch.device("cpu"))
    return Context(split, 10, "resnet-8", "xavier_uniform", 64, Augmentation(1, False), Optimiser(0.9, 5e-4))


def test_streaming_variance_is_numpys():
    vectors = np.random.default_rng(0).normal(1e6, 1, size=(7, 5))
    variance = gradient_noise.Variance()
    for vector in vectors:
        variance.add(torch.from_numpy(vector))
    assert variance.value() == pytest.approx(np.var(vectors, axis=0, ddof=1).sum(), rel=1e-9)
    assert np.isnan(gradient_noise.Variance().value())


def test_one_vector_has_no_variance_and_the_order_does_not_matter():
    vectors = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = []
    for order in (range(9), reversed(range(9))):
        variance = gradient_noise.Variance()
        for index in order:
            variance.add(vectors[index])
            assert variance.count > 1 or np.isnan(variance.value())
        values.append(variance.value())
    assert values[0] == pytest.approx(values[1], rel=1e-12)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_noise_is_the_variance_of_the_gradients_of_disjoint_minibatches(context, norm):
    table = gradient_noise.measure(context, norm, 0, [8, 32], 6, ALPHAS)
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


def test_measuring_leaves_the_weights_where_they_were(context, monkeypatch):
    models = []
    monkeypatch.setattr(
        Context,
        "model",
        lambda self, norm, seed, build=Context.model: models.append(build(self, norm, seed)) or models[-1],
    )
    gradient_noise.measure(context, "batch", 0, [8, 16], 3, ALPHAS)
    (model,) = models
    monkeypatch.undo()
    for parameter, start in zip(model.parameters(), context.model("batch", 0).parameters(), strict=True):
        assert torch.equal(parameter, start)
