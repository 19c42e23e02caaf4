"""Measurements at initialisation, against float64 sums, closed forms and finite differences."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from understanding_bn.analysis import (
    channel_moments,
    divergence_path,
    gradient_histogram,
    gradient_sums,
    input_mean_correlation,
    kernel_gradients,
    logit_gradients,
    relative_loss,
)
from understanding_bn.analysis.context import Context, loss_at, move
from understanding_bn.data.batches import Augmentation, Split
from understanding_bn.training.divergence import BOUND
from understanding_bn.training.loop import Optimiser


@pytest.fixture(scope="module")
def context(digits):
    split = Split(digits, False, 1, torch.device("cpu"))
    return Context(split, 10, "resnet-14", "xavier_uniform", 16, Augmentation(1, False), Optimiser(0.9, 5e-4))


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
    a, b = gradient_sums.sums(inputs, gradient, conv)
    assert a == pytest.approx(magnitudes.mean().item(), rel=1e-12)
    assert b == pytest.approx(totals.abs().mean().item(), rel=1e-12)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_captured_terms_add_up_to_the_kernel_gradient(context, norm):
    model = context.model(norm, 0).double()
    images, labels = next(context.minibatches(0))
    images = images.double()
    captured = gradient_sums.inputs_and_gradients(model, [1, 4, 8], images, labels)
    F.cross_entropy(model(images), labels).backward()
    for layer, (inputs, gradient) in captured.items():
        conv = model.layer(layer)
        rebuilt = nn.grad.conv2d_weight(inputs, conv.weight.shape, gradient, conv.stride, conv.padding)
        assert torch.allclose(rebuilt, conv.weight.grad, rtol=1e-9, atol=1e-14)


def test_float32_sums_agree_with_float64(context):
    table = gradient_sums.measure(context, "batch", 0, [4, 8, 12])
    model = context.model("batch", 0).double()
    images, labels = next(context.minibatches(0))
    for row in table.itertuples():
        ((inputs, gradient),) = gradient_sums.inputs_and_gradients(model, [row.layer], images.double(), labels).values()
        a, b = gradient_sums.sums(inputs, gradient, model.layer(row.layer))
        assert (row.a, row.b) == pytest.approx((a, b), rel=1e-4)
        assert row.ratio == pytest.approx(row.a / row.b)
        assert row.ratio >= 1


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_kernel_gradients_are_autograds_summed_over_positions_of_the_kernel(context, norm):
    table = kernel_gradients.measure(context, norm, 0, 9)
    model = context.model(norm, 0)
    images, labels = next(context.minibatches(0))
    F.cross_entropy(model(images), labels).backward()
    expected = model.layer(9).weight.grad.abs().sum((2, 3))
    matrix = table.pivot(index="out_channel", columns="in_channel", values="gradient").to_numpy()
    assert matrix == pytest.approx(expected.numpy(), rel=1e-3, abs=1e-6 * expected.max().item())
    assert (table["magnitude"] >= table["gradient"]).all()


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_input_means_and_gradients_are_those_of_every_inner_convolution(context, norm):
    table = input_mean_correlation.measure(context, norm, 0)
    assert sorted(table["layer"].unique()) == list(range(2, 14))
    model = context.model(norm, 0)
    images, labels = next(context.minibatches(0))
    ((inputs, _),) = gradient_sums.inputs_and_gradients(model, [6], images, labels).values()
    F.cross_entropy(model(images), labels).backward()
    here = table[table["layer"] == 6]
    assert here["input_mean"].to_numpy() == pytest.approx(inputs.double().mean((0, 2, 3)).abs().numpy(), rel=1e-5)
    gradient = model.layer(6).weight.grad.abs().double().mean((0, 2, 3)).numpy()
    assert here["gradient"].to_numpy() == pytest.approx(gradient, rel=1e-4)


def test_logit_gradients_are_softmax_minus_one_hot(context):
    table = logit_gradients.measure(context, "batch", 1)
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
    table = gradient_histogram.measure(context, norm, 0, layer=8, minibatches=2)
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
    return relative_loss.measure(context, norm, 0, **options)


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
        assert (values[:-1] < relative_loss.CEILING).all()
    sizes = table[table["minibatch"] == 1]["step_size"].to_numpy()
    assert sizes[0] == pytest.approx(1e-6)
    assert np.diff(np.log10(sizes)) == pytest.approx(np.full(len(sizes) - 1, 0.5))


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
    table = channel_moments.measure(context, norm, 0, layers=[1, 4, 9, 14])
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
    mean, variance = channel_moments.moments(activations)
    shuffled = channel_moments.moments(activations[torch.randperm(6)])
    assert mean == pytest.approx(shuffled[0], abs=1e-12)
    assert variance == pytest.approx(shuffled[1], rel=1e-12)


def follow(context, norm, alpha, **changes):
    options = {"layers": [2, 8], "percent_step": 50, "most_updates": 5, "site": "convolution"} | changes
    return divergence_path.measure(context, norm, 0, alpha=alpha, **options)


def test_divergence_path_stops_at_the_first_bad_update(context):
    table = follow(context, "none", alpha=100.0)
    assert table["diverged"].all()
    assert table["update"].nunique() == 1
    losses = table.groupby("percent")["loss"].first()
    assert not losses[100] <= BOUND * losses[0] or table["update"].iloc[0] > 1
    assert sorted(table["percent"].unique()) == [0, 50, 100]
    assert table.groupby("layer")["channel"].nunique().to_dict() == {2: 16, 8: 32}


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
