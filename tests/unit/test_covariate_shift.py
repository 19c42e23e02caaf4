"""How far the inputs of layers move at an update, in closed form; where training goes on; what is read from it."""

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from contexts import context_of
from torch import nn

from understanding_bn.analysis.covariate_shift import Moments, input_moments, shift
from understanding_bn.measurements import covariate_shift as measurement
from understanding_bn.measurements.covariate_shift import CovariateShift
from understanding_bn.settings import Mistake, Optimiser, Setting
from understanding_bn.stages.measure import next_rate
from understanding_bn.training.update import sgd

PLUGIN = Path(__file__).resolve().parents[2] / "workflow" / "norms" / "noisy_batch.py"
NORMS = ("batch", "none", "noisy-batch")


class Linear(nn.Module):
    """Two linear layers, numbered as a network's are."""

    depth = 2

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 2))
        self.register_buffer("passes", torch.zeros(()))

    def layer(self, number):
        return self.layers[number - 1]

    def forward(self, x):
        self.passes += 1
        return self.layers(x)


def moments(mean, std):
    return Moments(torch.tensor(mean).double(), torch.tensor(std).double())


def test_a_known_update_moves_the_inputs_of_the_next_layer_as_it_must():
    """Layer 2 receives Wx + b: its means are those of W x̄ + b, its variances the diagonal of W Σ Wᵀ."""
    torch.manual_seed(0)
    model, images = Linear(), torch.randn(64, 5) + 1
    first, covariance, centre = model.layer(1), torch.cov(images.double().T, correction=0), images.double().mean(0)
    found, expected = [], []
    for _ in range(2):
        found.append(input_moments(model, images)[2])
        weight, bias = first.weight.detach().double(), first.bias.detach().double()
        expected.append(Moments(weight @ centre + bias, (weight @ covariance @ weight.T).diagonal().sqrt()))
        with torch.no_grad():
            first.weight += 0.1 * torch.randn(3, 5)
            first.bias += torch.tensor([0.0, 1.0, -2.0])
    for one, other in zip(found, expected, strict=True):
        assert all(map(lambda ours, theirs: torch.allclose(ours, theirs, rtol=1e-5), one, other))
    (old_mean, old), (new_mean, new) = expected
    distance = ((new_mean - old_mean).square() + (new - old).square()).sqrt() / ((old**2 + new**2) / 2).sqrt()
    assert shift(*found).shift == pytest.approx(distance.mean().item(), rel=1e-5)
    assert model.passes == 0  # buffers are as they were
    assert list(input_moments(model, images)) == [2]


def test_moments_are_over_images_and_positions(digits):
    model = context_of(digits).model("none", 0)
    images, seen = torch.randn(4, 1, 8, 8), {}
    handle = model.layer(5).register_forward_hook(lambda module, inputs, output: seen.update(inputs=inputs[0]))
    found = input_moments(model, images)[5]
    handle.remove()
    values = seen["inputs"].detach().double().transpose(0, 1).flatten(1)
    assert torch.allclose(found.mean, values.mean(1))
    assert torch.allclose(found.std, values.std(1, correction=0))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (([1.0], [2.0]), ([1.0], [2.0]), (0, 0, 0, 0)),
        (([1.0], [2.0]), ([4.0], [2.0]), (1.5, 1.5, 0, 0)),
        (([0.0], [1.0]), ([0.0], [7.0]), (1.2, 0, 1.2, 0)),  # pooled: 5
        (([0.0, 0.0], [5.0, 0.0]), ([15.0, 9.0], [5.0, 0.0]), (3, 3, 0, 0.5)),  # a constant has no unit
        (([0.0], [0.0]), ([0.0], [1.0]), (2**0.5, 0, 2**0.5, 0)),  # the most that a change of spread can be
        (([0.0, 1.0], [1.0, math.nan]), ([0.0, 1.0], [1.0, 1.0]), (math.nan, math.nan, math.nan, 0)),
        (([0.0], [0.0]), ([1.0], [0.0]), (math.nan, math.nan, math.nan, 1)),
    ],
)
def test_a_shift_is_in_standard_deviations(before, after, expected):
    assert tuple(shift(moments(*before), moments(*after))) == pytest.approx(expected, nan_ok=True)


def trained(digits, norm, rate, **changes):
    """The context of a network that has trained for an epoch; its weights are as they began."""
    context = replace(context_of(digits, batch_size=16), plugged=(PLUGIN,), **changes)
    return context.of(context.model(norm, 0).state_dict(), epoch=1, rate=rate)


@pytest.mark.parametrize("norm", NORMS)
def test_without_an_update_nothing_shifts_but_noise(digits, norm):
    """Noise alone moves the inputs of every layer that receives any."""
    table = measurement.measure(trained(digits, norm, 0.0), norm, 0, CovariateShift(at=[1], warm_up=0, updates=2))
    assert set(table["bn_mode"]) == {"none" if norm == "none" else "train"}
    assert table[["update", "layer"]].to_numpy().tolist() == [[u, n] for u in (1, 2) for n in range(2, 9)]
    if norm == "noisy-batch":
        assert table["shift"].between(0.1, 1).all()
    else:
        assert (table["shift"] == 0).all()


def test_updates_are_those_that_training_would_go_on_with(digits):
    """On the mini-batches of the next epoch, after warming up, with the learning rate and optimiser of the run."""
    plain = Optimiser(momentum=0.5, weight_decay=0.01)
    context = trained(digits, "none", 0.05, optimiser=plain)
    options = CovariateShift(at=[1], warm_up=1, updates=1)
    table = measurement.measure(context, "none", 0, options)
    model = context.model("none", 0)
    optimiser = sgd(model, 0.05, plain)
    probe, _ = next(context.draws("subset", 1, 0, measurement.PROBE))
    found = []
    for images, labels in [*context.split.epoch(0, 1, 16, context.augmentation)][:2]:
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimiser.step()
        found.append(input_moments(model, probe))
    expected = [shift(found[0][layer], found[1][layer]).shift for layer in range(2, 9)]
    assert table["shift"].tolist() == pytest.approx(expected, rel=1e-3)
    assert min(expected) > 0


def test_the_next_learning_rate_follows_the_schedule():
    rates = {1: 0.1, 2: 0.1, 3: 0.01, 4: 0.001}
    history = pd.DataFrame(
        [{"seed": s, "epoch": e, "learning_rate": (1 + s) * r} for e, r in rates.items() for s in (0, 1)]
    )
    assert [next_rate(history, 0, epoch) for epoch in (1, 2, 3, 4)] == [0.1, 0.01, 0.001, 0.001]
    assert next_rate(history.iloc[::-1], 1, 2) == 0.02


def test_before_training_there_is_no_learning_rate_to_measure_at():
    setting = Setting(images=100, archs=("resnet-8",), norms=("batch",))
    assert [*CovariateShift(at=[0.5, 1]).check(setting)] == []
    text = "0 is before training, where there is no learning rate yet; expected shares above 0"
    assert [*CovariateShift(at=[1, 0]).check(setting)] == [Mistake(("at", 1), text)]
