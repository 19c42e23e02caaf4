"""Training with weight decay: the norm that scale-invariant weights settle at, and what a run depends on."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_of
from torch import nn

from understanding_bn.analysis import decayed_training as training
from understanding_bn.measurements import effective_learning_rate
from understanding_bn.measurements.effective_learning_rate import EffectiveLearningRate
from understanding_bn.settings import Optimiser

SIZE = 100


@pytest.fixture(scope="module")
def context(digits):
    return context_of(digits)


class Direction(nn.Module):
    """Two classes, logits ±c⟨x, w/‖w‖⟩/2 with a small c: to first order the gradient is c·x/2, across w, over ‖w‖."""

    SLOPE = 1e-4

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(SIZE, generator=torch.Generator().manual_seed(1)))

    def forward(self, x):
        logit = self.SLOPE * x @ (self.weight / self.weight.norm())
        return torch.stack([logit / 2, -logit / 2], 1)


def noise():
    """Mini-batches of one image each, normal and isotropic."""
    generator = torch.Generator().manual_seed(0)
    while True:
        yield torch.randn(1, SIZE, generator=generator), torch.randint(2, (1,), generator=generator)


def settled(alpha, decay, momentum, updates):
    """‖w‖⁴ over α²E‖g‖² at ‖w‖ = 1, from SGD with such gradients; before the last quarter and at the end."""
    model = Direction()
    weights = [model.weight]
    alpha /= Direction.SLOPE**2  # so that updates are as large as if gradients were
    decay *= Direction.SLOPE**2
    descent = training.optimiser(model, weights, alpha, Optimiser(momentum=momentum, weight_decay=decay), "all")
    (before, after), accuracies, sound = training.train(model, weights, descent, noise(), updates, lambda: 0.5)
    assert sound and accuracies == [0.5] * 2
    square = Direction.SLOPE**2 * (SIZE - 1) / 4
    return before**4 / (alpha**2 * square), after**4 / (alpha**2 * square)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_the_norm_settles_where_gradients_across_it_and_decay_balance(momentum):
    """‖w‖⁴ = α E‖g‖² / (λ(1 − β)(2 − αλ/(1 + β))), Wan et al. (2021); without momentum ‖w‖² is exactly so in the mean.

    The two steps of the recursion: decay takes ‖w‖² to (1 − αλ)²‖w‖², and a gradient across w adds α²‖g‖²/‖w‖².
    """
    alpha, decay = 2e-3, 50 * (1 - momentum)
    expected = 1 / (alpha * decay * (1 - momentum) * (2 - alpha * decay / (1 + momentum)))
    before, after = settled(alpha, decay, momentum, 160)
    assert [before, after] == pytest.approx([expected] * 2, rel=0.2)
    doubled = settled(alpha, decay / 4, momentum, 400)[1]
    assert doubled / after == pytest.approx(4, rel=0.2)


def test_without_decay_the_norm_grows_as_the_fourth_root_of_the_number_of_updates():
    """‖w‖⁴ rises by 2α²‖g‖² with each update, as long as that is small next to it."""
    before, after = settled(2e-3, 0.0, 0.0, 200)
    assert after - before == pytest.approx(2 * 50, rel=0.15)


def test_the_norm_is_of_the_kernels_that_batch_norm_follows(context):
    model = context.model("batch", 0)
    kernels = training.scale_invariant(model)
    assert len(kernels) == 7 + 2, "the stem, two in each of three blocks, two projections"
    images, _ = next(context.minibatches(0))
    with torch.no_grad():
        logits = model(images)
        for kernel in kernels:
            kernel *= 3
        assert torch.allclose(model(images), logits, atol=1e-3)
    squares = sum(float(kernel.detach().double().square().sum()) for kernel in kernels)
    assert training.norm(kernels) == pytest.approx(math.sqrt(squares))
    assert training.scale_invariant(context.model("none", 0)) == []
    assert math.isnan(training.norm([]))


@pytest.mark.parametrize("decayed", ["all", "kernels"])
def test_what_is_decayed(context, decayed):
    """Without gradients an update of decayed parameters multiplies them by 1 − αλ, and leaves the others alone."""
    model = context.model("batch", 0)
    kernels = training.scale_invariant(model)
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    training.optimiser(model, kernels, 0.5, Optimiser(momentum=0.9, weight_decay=0.2), decayed).step()
    for name, parameter in model.named_parameters():
        shrunk = decayed == "all" or any(parameter is kernel for kernel in kernels)
        assert torch.allclose(parameter, start[name] * (0.9 if shrunk else 1)), name


def test_images_are_held_out_at_random_and_for_every_seed_the_same(context):
    kept, held_out = training.parted(context.split, 100)
    assert len(held_out) == 100
    assert sorted([*kept.tolist(), *held_out.tolist()]) == list(range(1437))
    assert held_out.tolist() != sorted(held_out.tolist())
    assert torch.equal(training.parted(context.split, 100)[1], held_out)


def test_an_epoch_has_each_image_at_most_once_and_epochs_differ(context):
    index = torch.arange(10, 30)
    labels = context.split.labels

    class Numbers:
        """A split whose images are their numbers."""

        def augmented(self, chosen, augmentation, generator):
            return chosen, labels[chosen]

    batches = training.minibatches(Numbers(), index, 0, 8, context.augmentation)
    epochs = [torch.cat([next(batches)[0] for _ in range(2)]).tolist() for _ in range(2)]
    assert all(len(set(epoch)) == 16 and set(epoch) <= set(index.tolist()) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_accuracy_is_in_eval_mode_on_images_as_they_are(context):
    model = context.model("batch", 0)
    index = torch.arange(700, 1300)
    found = training.accuracy(model, context.split, index)
    images = torch.cat([images for images, _ in context.split.in_order()])[index]
    with torch.no_grad():
        expected = (model.eval()(images).argmax(1) == context.split.labels[index]).double().mean()
    assert found == pytest.approx(float(expected))


OPTIONS = {"alphas": [0.02, 1e3], "weight_decays": [0.001, 0.1], "updates": 8, "batch_size": 32, "held_out": 200}


def test_a_run_does_not_depend_on_the_others(context):
    table = effective_learning_rate.measure(context, "batch", 3, EffectiveLearningRate(**OPTIONS))
    alone = EffectiveLearningRate(**OPTIONS | {"alphas": [1e3], "weight_decays": [0.1]})
    run = effective_learning_rate.measure(replace(context, batch_size=8), "batch", 3, alone)
    pd.testing.assert_frame_equal(table.tail(1).reset_index(drop=True), run)
    assert list(table) == list(effective_learning_rate.COLUMNS)
    assert set(table["momentum"]) == {0.9}, "the preset's"


def test_runs_that_fail_say_how(context):
    """Decay of αλ = 100 multiplies each weight by −99 at every update."""
    options = EffectiveLearningRate(**OPTIONS | {"alphas": [1e3], "weight_decays": [0.1], "updates": 30})
    (diverged,) = effective_learning_rate.measure(context, "none", 0, options).itertuples()
    assert diverged.failure == "diverged"
    assert np.isnan([diverged.norm_before, diverged.norm_after, diverged.accuracy_before, diverged.accuracy]).all()
    options = EffectiveLearningRate(**OPTIONS | {"alphas": [1e-9], "weight_decays": [0.1], "updates": 4})
    (stuck,) = effective_learning_rate.measure(context, "batch", 0, options).itertuples()
    assert stuck.failure == "stuck at chance"
    assert stuck.norm_before == pytest.approx(stuck.norm_after)
