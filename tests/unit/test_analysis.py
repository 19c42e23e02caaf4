"""Measurements at initialisation, against float64 sums, closed forms and finite differences."""

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from contexts import context_of
from torch import nn
from torch.nn import functional as F

from understanding_bn.analysis import gradient_line, kernel_sums
from understanding_bn.analysis.channel_moments import moments
from understanding_bn.analysis.context import loss_at, move
from understanding_bn.analysis.diverging_update import diverging_update
from understanding_bn.measurements import (
    channel_moments,
    divergence_path,
    gradient_histogram,
    gradient_sums,
    input_mean_correlation,
    kernel_gradients,
    logit_gradients,
    relative_loss,
)
from understanding_bn.training.divergence import BOUND


@pytest.fixture(scope="module")
def context(digits):
    return context_of(digits, arch="resnet-14", batch_size=16)


@pytest.mark.parametrize(("stride", "size"), [(1, 3), (2, 3), (1, 1), (2, 1)])
def test_sums_equal_the_terms_added_one_by_one(stride, size):
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, size, stride, padding=size // 2, dtype=torch.float64)
    inputs = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    gradient = torch.randn_like(conv(inputs))
    padded = F.pad(inputs, (size // 2,) * 4)
    magnitudes, totals = torch.zeros_like(conv.weight), torch.zeros_like(conv.weight)
    rows, columns = gradient.shape[2:]
    for image, out, ci, dx, dy in itertools.product(range(2), range(4), range(3), range(size), range(size)):
        for x, y in itertools.product(range(rows), range(columns)):
            d = gradient[image, out, x, y] * padded[image, ci, x * stride + dx, y * stride + dy]
            magnitudes[out, ci, dx, dy] += d.abs()
            totals[out, ci, dx, dy] += d
    a, b = kernel_sums.sums(inputs, gradient, conv)
    assert a == pytest.approx(magnitudes.mean().item(), rel=1e-12)
    assert b == pytest.approx(totals.abs().mean().item(), rel=1e-12)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_captured_terms_add_up_to_the_kernel_gradient(context, norm):
    model = context.model(norm, 0).double()
    images, labels = next(context.minibatches(0))
    images = images.double()
    captured = kernel_sums.inputs_and_gradients(model, [1, 4, 8], images, labels)
    F.cross_entropy(model(images), labels).backward()
    for layer, (inputs, gradient) in captured.items():
        conv = model.layer(layer)
        rebuilt = nn.grad.conv2d_weight(inputs, conv.weight.shape, gradient, conv.stride, conv.padding)
        assert torch.allclose(rebuilt, conv.weight.grad, rtol=1e-9, atol=1e-14)


def test_float32_sums_agree_with_float64(context):
    table = gradient_sums.measure(context, "batch", 0, gradient_sums.GradientSums(layers=[4, 8, 12]))
    model = context.model("batch", 0).double()
    images, labels = next(context.minibatches(0))
    for row in table.itertuples():
        ((inputs, gradient),) = kernel_sums.inputs_and_gradients(model, [row.layer], images.double(), labels).values()
        a, b = kernel_sums.sums(inputs, gradient, model.layer(row.layer))
        assert (row.a, row.b) == pytest.approx((a, b), rel=1e-4)
        assert row.ratio == pytest.approx(row.a / row.b)
        assert row.ratio >= 1


def test_a_layer_without_any_gradient_has_no_ratio(context):
    # Fixup begins with a last layer of zeros, through which no gradient passes.
    fixup = replace(context, init="fixup")
    table = gradient_sums.measure(fixup, "none", 0, gradient_sums.GradientSums(layers=[4, 8]))
    assert table[["a", "b"]].eq(0).all(axis=None)
    assert table["ratio"].isna().all()


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_kernel_gradients_are_autograds_summed_over_positions_of_the_kernel(context, norm):
    table = kernel_gradients.measure(context, norm, 0, kernel_gradients.KernelGradients(layer=9))
    model = context.model(norm, 0)
    images, labels = next(context.minibatches(0))
    F.cross_entropy(model(images), labels).backward()
    expected = model.layer(9).weight.grad.abs().sum((2, 3))
    matrix = table.pivot(index="out_channel", columns="in_channel", values="gradient").to_numpy()
    assert matrix == pytest.approx(expected.numpy(), rel=1e-3, abs=1e-6 * expected.max().item())
    assert (table["magnitude"] >= table["gradient"]).all()


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_input_means_and_gradients_are_those_of_every_inner_convolution(context, norm):
    table = input_mean_correlation.measure(context, norm, 0, input_mean_correlation.InputMeanCorrelation())
    assert sorted(table["layer"].unique()) == list(range(2, 14))
    model = context.model(norm, 0)
    images, labels = next(context.minibatches(0))
    ((inputs, _),) = kernel_sums.inputs_and_gradients(model, [6], images, labels).values()
    F.cross_entropy(model(images), labels).backward()
    here = table[table["layer"] == 6]
    assert here["input_mean"].to_numpy() == pytest.approx(inputs.double().mean((0, 2, 3)).abs().numpy(), rel=1e-5)
    gradient = model.layer(6).weight.grad.abs().double().mean((0, 2, 3)).numpy()
    assert here["gradient"].to_numpy() == pytest.approx(gradient, rel=1e-4)


def test_logit_gradients_are_softmax_minus_one_hot(context):
    table = logit_gradients.measure(context, "batch", 1, logit_gradients.LogitGradients())
    images, labels = next(context.minibatches(1))
    with torch.no_grad():
        probabilities = context.model("batch", 1)(images).softmax(1)
    expected = (probabilities - F.one_hot(labels, 10)) / 16
    grid = table.pivot(index="image", columns="class", values="gradient").to_numpy()
    assert grid == pytest.approx(expected.numpy(), abs=1e-7)
    assert grid.sum(axis=1) == pytest.approx(np.zeros(16), abs=1e-7)
    assert table.groupby("image")["label"].first().tolist() == labels.tolist()


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_kernel_gradient_against_central_differences(context, norm):
    options = gradient_histogram.GradientHistogram(layer=8, minibatches=2)
    table = gradient_histogram.measure(context, norm, 0, options)
    assert table.groupby("minibatch").size().tolist() == [32 * 32 * 9] * 2
    assert sorted(table["minibatch"].unique()) == [1, 2]
    # Along a random direction of the kernel, in float64, on the second mini-batch.
    model = context.model(norm, 0).double()
    minibatches = context.minibatches(0)
    next(minibatches)
    images, labels = next(minibatches)
    kernel = model.layer(8).weight
    direction = torch.randn(kernel.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    losses = []
    with torch.no_grad():
        for sign in (1, -1):
            kernel += sign * 1e-6 * direction
            losses.append(loss_at(model, images.double(), labels))
            kernel -= sign * 1e-6 * direction
    slope = (losses[0] - losses[1]) / 2e-6
    gradient = table.loc[table["minibatch"] == 2, "gradient"].to_numpy(dtype=float)
    assert gradient @ direction.flatten().numpy() == pytest.approx(slope, rel=2e-3)


def sweep(context, norm, **changes):
    options = {"alpha": {"default": 1e-3}, "minibatches": [1, 3], "smallest_step": 1e-6, "largest_step": 1e3}
    options |= {"steps_per_decade": 2} | changes
    return relative_loss.measure(context, norm, 0, relative_loss.RelativeLoss(**options))


def test_relative_loss_starts_at_one_and_falls_with_the_squared_gradient(context):
    table = sweep(context, "batch", minibatches=[1])
    smallest = table.iloc[0]
    assert smallest["relative_loss"] == pytest.approx(1, abs=1e-3)
    # To first order ℓ(w − s·g) = ℓ(w) − s·|g|².
    model = context.model("batch", 0)
    images, labels = next(context.minibatches(0))
    loss = F.cross_entropy(model(images), labels)
    norm = sum(g.double().square().sum().item() for g in torch.autograd.grad(loss, list(model.parameters())))
    small = sweep(context, "batch", minibatches=[1], smallest_step=1e-4, largest_step=1e-3).iloc[0]
    assert (1 - small["relative_loss"]) * loss.item() == pytest.approx(1e-4 * norm, rel=0.1)


def test_a_curve_ends_where_it_leaves_all_scales(context):
    table = sweep(context, "none")
    for _, curve in table.groupby("minibatch"):
        values = curve["relative_loss"].to_numpy()
        assert (values[:-1] < gradient_line.CEILING).all()
    sizes = table[table["minibatch"] == 1]["step_size"].to_numpy()
    assert sizes[0] == pytest.approx(1e-6)
    assert np.diff(np.log10(sizes)) == pytest.approx(np.full(len(sizes) - 1, 0.5))


def test_the_line_search_puts_the_weights_back_and_ends_with_its_first_value_off_scale(context):
    model = context.model("none", 0)
    origin = [p.detach().clone() for p in model.parameters()]
    images, labels = next(context.minibatches(0))
    loss, curve = gradient_line.relative_losses(model, images, labels, [0.0, 1e-3, 1e6, 1.0])
    assert all(torch.equal(p, o) for p, o in zip(model.parameters(), origin, strict=True))
    assert loss == pytest.approx(loss_at(model, images, labels))
    assert len(curve) == 3
    assert curve[0] == pytest.approx(1, rel=1e-6)
    assert not curve[2] < gradient_line.CEILING


def test_a_norm_that_is_not_named_trains_at_the_default_rate(context):
    rates = {"batch": 0.1, "default": 1e-3}
    named, other = (sweep(context, norm, alpha=rates) for norm in ("batch", "none"))
    assert named["alpha"].eq(0.1).all()
    assert other["alpha"].eq(1e-3).all()


def test_measuring_does_not_disturb_training(context):
    # The third mini-batch's curve is the same whether or not the first was measured.
    both, alone = sweep(context, "batch"), sweep(context, "batch", minibatches=[3])
    third = both[both["minibatch"] == 3].reset_index(drop=True)
    assert third.equals(alone)


def test_move_goes_there_and_back_exactly(context):
    model = context.model("none", 0)
    origin = [p.detach().clone() for p in model.parameters()]
    direction = [torch.ones_like(p) for p in origin]
    move(model, origin, direction, 0.5)
    assert torch.allclose(next(model.parameters()), origin[0] + 0.5)
    move(model, origin, direction, 0.0)
    assert all(torch.equal(p, o) for p, o in zip(model.parameters(), origin, strict=True))


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_channel_moments_against_numpy(context, norm):
    table = channel_moments.measure(context, norm, 0, channel_moments.ChannelMoments(layers=[1, 4, 9, 14]))
    model = context.model(norm, 0)
    images, _ = next(context.minibatches(0))
    seen = {}
    model.layer(9).register_forward_hook(lambda m, i, o: seen.update(convolution=o.detach().clone()))
    model.blocks[3].register_forward_hook(lambda m, i, o: seen.update(stream=o.detach().clone()))
    with torch.no_grad():
        logits = model(images)
    for site, output in seen.items():
        here = table[(table["site"] == site) & (table["layer"] == 9)]
        array = output.double().numpy()
        assert here["mean"].to_numpy() == pytest.approx(array.mean(axis=(0, 2, 3)), abs=1e-9)
        assert here["variance"].to_numpy() == pytest.approx(array.var(axis=(0, 2, 3), ddof=1), rel=1e-9)
        assert (array.min() >= 0) == (site == "stream")
    last = table[(table["layer"] == 14) & (table["site"] == "convolution")]
    assert last["mean"].to_numpy() == pytest.approx(logits.double().mean(0).numpy(), abs=1e-6)


def test_moments_do_not_depend_on_the_order_of_images():
    activations = torch.randn(6, 3, 4, 4)
    mean, variance = moments(activations)
    shuffled = moments(activations[torch.randperm(6)])
    assert mean == pytest.approx(shuffled[0], abs=1e-12)
    assert variance == pytest.approx(shuffled[1], rel=1e-12)


def follow(context, norm, alpha, **changes):
    options = {"alpha": alpha, "layers": [2, 8], "percent_step": 50, "most_updates": 5, "site": "convolution"} | changes
    return divergence_path.measure(context, norm, 0, divergence_path.DivergencePath(**options))


class OneWeight(nn.Module):
    """Logits (w·x, 0) of a number x."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return torch.stack([self.weight * x, torch.zeros_like(x)], dim=1)


def explode(alpha, most, momentum=0.9, inputs=(1.0, 3.0), labels=(0, 1)):
    """`diverging_update` on one mini-batch again and again.

    By default of x = 1 with label 0 and x = 3 with label 1: the loss is ln 2 at w = 0, and max(−w, 3w) / 2 far away.
    """
    batch = torch.tensor(inputs), torch.tensor(labels)
    context = SimpleNamespace(
        minibatches=lambda seed: itertools.repeat(batch),
        sgd=lambda model, alpha: torch.optim.SGD(model.parameters(), lr=alpha, momentum=momentum),
    )
    return diverging_update(context, OneWeight(), 0, alpha, most)


def test_training_diverges_at_the_update_found_by_hand():
    # At α = 2000 the velocity is ½, −0.05, −0.545, 1.0095 and w −1000, −900, 190, −1829, with a loss of 500, 450, 285
    # and 914.5: only the last is more than 1000 · ln 2 = 693, and none is more than 1000.
    update = explode(2000.0, 10)
    assert (update.number, update.diverged) == (4, True)
    assert update.origin[0].item() == pytest.approx(190)
    assert update.direction[0].item() == pytest.approx(-2019)
    cut = explode(2000.0, 3)
    assert (cut.number, cut.diverged) == (3, False)
    assert cut.direction[0].item() == pytest.approx(1090)
    # One update from w = 0 ends at a loss of α/4.
    bound = 4 * BOUND * math.log(2)
    assert explode(1.001 * bound, 1).diverged
    assert not explode(0.999 * bound, 1).diverged


def test_a_loss_that_is_no_number_has_diverged_and_a_small_step_never_does():
    assert explode(math.inf, 5).number == 1  # −∞ · 1: an infinite loss
    not_a_number = explode(math.inf, 5, inputs=(1.0, 0.0), labels=(1, 0))  # −∞ · 0
    assert (not_a_number.number, not_a_number.diverged) == (1, True)
    small = explode(0.1, 50)
    assert (small.number, small.diverged) == (50, False)


def test_divergence_path_shows_the_first_update_that_explodes(context):
    """Descent by hand, with momentum and weight decay, says which it is: at α between 4.5 and 10, the second."""
    model, first_loss, velocity, losses = context.model("none", 0), None, None, []
    for images, labels in itertools.islice(context.minibatches(0), 2):
        parameters = list(model.parameters())
        loss = F.cross_entropy(model(images), labels)
        first_loss = loss.item() if first_loss is None else first_loss
        force = [g + 5e-4 * p for g, p in zip(torch.autograd.grad(loss, parameters), parameters, strict=True)]
        velocity = force if velocity is None else [0.9 * v + f for v, f in zip(velocity, force, strict=True)]
        with torch.no_grad():
            for parameter, v in zip(parameters, velocity, strict=True):
                parameter -= 6 * v
        losses.append(loss_at(model, images, labels))
    assert losses[0] <= BOUND * first_loss < losses[1]
    table = follow(context, "none", alpha=6.0)
    assert table["diverged"].all()
    assert table["update"].eq(2).all()
    path = table.groupby("percent")["loss"].first()
    assert path.index.tolist() == [0, 50, 100]
    assert path[0] <= BOUND * first_loss < path[100]
    assert path[100] == pytest.approx(losses[1], rel=1e-3)
    assert table.groupby("layer")["channel"].nunique().to_dict() == {2: 16, 8: 32}
    before = follow(context, "none", alpha=6.0, most_updates=1)
    assert not before["diverged"].any()
    assert before["update"].eq(1).all()


def test_the_path_is_straight_from_the_weights_before_the_update_to_those_after(context):
    table = follow(context, "batch", alpha=0.01, most_updates=1, percent_step=25)
    model = context.model("batch", 0)
    origin = [p.detach().clone() for p in model.parameters()]
    images, labels = next(context.minibatches(0))
    gradient = torch.autograd.grad(F.cross_entropy(model(images), labels), list(model.parameters()))
    direction = [-0.01 * (g + 5e-4 * p) for g, p in zip(gradient, origin, strict=True)]  # with weight decay
    for percent, points in table.groupby("percent"):
        move(model, origin, direction, percent / 100)
        assert points["loss"].iloc[0] == pytest.approx(loss_at(model, images, labels), rel=1e-5)


def test_a_sound_path_is_marked_as_such_and_ends_where_training_is(context):
    table = follow(context, "batch", alpha=0.01, most_updates=2)
    assert not table["diverged"].any()
    assert table["update"].eq(2).all()
    model = context.model("batch", 0)
    optimiser = context.sgd(model, 0.01)
    minibatches = context.minibatches(0)
    for _ in range(2):
        images, labels = next(minibatches)
        optimiser.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimiser.step()
    expected = loss_at(model, images, labels)
    assert table[table["percent"] == 100]["loss"].iloc[0] == pytest.approx(expected, rel=1e-5)
