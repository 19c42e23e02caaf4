"""Sharpness along full-batch descent, against closed forms and dense float64 Hessians; what is read from it."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_of
from torch import nn
from torch.autograd.functional import hessian  # reverse over reverse; forward over `jacrev` is wrong through BN
from torch.func import functional_call

from understanding_bn.analysis import descent, lanczos
from understanding_bn.analysis.hessian import Objective
from understanding_bn.measurements import edge_of_stability
from understanding_bn.measurements.edge_of_stability import EdgeOfStability
from understanding_bn.settings import Optimiser
from understanding_bn.summaries.edge_of_stability import by_descent, by_seed, with_share
from understanding_bn.training import divergence


@pytest.fixture(scope="module")
def context(digits):
    return context_of(digits, pad=0)


@pytest.fixture
def linear():
    """A linear model and twelve images: under half the squared error its Hessian is known, and constant."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(12, 4, generator=generator)
    labels = torch.arange(12) % 3
    model = nn.Linear(4, 3, bias=False)
    nn.init.normal_(model.weight, generator=generator)
    curvature = torch.linalg.eigvalsh(images.double().T @ images.double() / 12)[-1].item()
    return model, (images, labels), curvature


def path(model, batch, alpha, loss=descent.half_squared_error, momentum=0.0, updates=20, every=5, stop_at=0.0):
    optimiser = Optimiser(momentum=momentum, weight_decay=0)
    return list(descent.descend(model, batch, loss, optimiser, alpha, updates, every, stop_at, seed=0))


def test_half_squared_error_is_that_of_the_one_hot_vector():
    logits = torch.tensor([[1.0, 2.0], [0.5, 0.0]])
    expected = ((1 - 1) ** 2 + 2**2 + 0.5**2 + 1) / 2 / 2
    assert descent.half_squared_error(logits, torch.tensor([0, 1])).item() == pytest.approx(expected)


def test_sharpness_of_a_linear_model_is_that_of_its_images(linear):
    model, batch, curvature = linear
    snapshots = path(model, batch, 0.1 / curvature)
    assert [snapshot[0] for snapshot in snapshots] == [0, 5, 10, 15, 20]
    assert [snapshot[2] for snapshot in snapshots] == pytest.approx([curvature] * 5, rel=descent.TOLERANCE)
    losses = [snapshot[1] for snapshot in snapshots]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(("share", "failure"), [(0.95, ""), (1.05, "diverged")])
def test_descent_is_stable_up_to_the_edge(linear, momentum, share, failure):
    """The heavy ball on a quadratic of curvature λ: stable for α < (2 + 2β)/λ."""
    model, batch, curvature = linear
    alpha = share * (2 + 2 * momentum) / curvature
    snapshots = path(model, batch, alpha, momentum=momentum, updates=600, every=600)
    assert snapshots[-1][3] == failure
    table = pd.DataFrame(snapshots[:1], columns=["update", "training_loss", "sharpness", "failure"])
    shown = with_share(table.assign(alpha=alpha, momentum=momentum))["share"].item()
    assert shown == pytest.approx(share, rel=descent.TOLERANCE)


def test_a_descent_that_diverged_ends_with_a_row_without_sharpness(linear):
    model, batch, curvature = linear
    *_, (update, loss, sharpness, failure) = snapshots = path(model, batch, 10 / curvature, updates=50)
    assert failure == "diverged" and math.isnan(sharpness) and update < 50
    assert loss > divergence.BOUND * snapshots[0][1]
    assert all(snapshot[3] == "" for snapshot in snapshots[:-1])


def test_a_descent_ends_before_its_loss_is_too_small(linear):
    model, batch, curvature = linear
    start = model.weight.detach().clone()
    whole = path(model, batch, 1 / curvature, every=1)
    model.weight.data.copy_(start)
    bound = whole[6][1]
    assert [snapshot[1] for snapshot in path(model, batch, 1 / curvature, every=1, stop_at=bound)] == [
        snapshot[1] for snapshot in whole[:6]
    ]


def test_a_network_whose_answers_no_longer_differ_has_collapsed(linear):
    _, batch, _ = linear
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
    network[0].bias.data.fill_(-100)  # no image passes the ReLU
    snapshots = path(network, batch, 0.1)
    assert [(update, failure) for update, _, _, failure in snapshots] == [(0, ""), (5, "collapsed")]


def small(norm):
    """A small smooth network, always the same one."""
    torch.manual_seed(0)
    between = nn.BatchNorm2d(2, track_running_stats=False) if norm == "batch" else nn.Identity()
    return nn.Sequential(nn.Conv2d(1, 2, 3), between, nn.Tanh(), nn.Flatten(), nn.Linear(8, 3))


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("loss", sorted(descent.LOSSES))
def test_sharpness_of_a_network_is_that_of_its_dense_hessian(norm, loss):
    """Both losses in one process: the traced program of one must not serve the other."""
    images, labels = torch.randn(9, 1, 4, 4, generator=torch.Generator().manual_seed(1)), torch.arange(9) % 3
    (_, value, sharpness, _), *_ = path(small(norm), (images, labels), 0.01, descent.LOSSES[loss], updates=1)
    double = small(norm).double()
    names, parameters = zip(*double.named_parameters(), strict=True)

    def of(vector):
        pieces = vector.split([p.numel() for p in parameters])
        named = {name: piece.view_as(p) for name, piece, p in zip(names, pieces, parameters, strict=True)}
        return descent.LOSSES[loss](functional_call(double, named, (images.double(),)), labels)

    point = torch.cat([p.detach().flatten() for p in parameters])
    assert value == pytest.approx(of(point).item(), rel=1e-5)
    assert sharpness == pytest.approx(torch.linalg.eigvalsh(hessian(of, point))[-1].item(), rel=descent.TOLERANCE)


def test_a_warm_start_finds_the_largest_eigenvalue_even_where_another_has_overtaken_it():
    generator = torch.Generator().manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(60, 60, generator=generator, dtype=torch.float64))[0]
    values = torch.linspace(-1, 1, 60, dtype=torch.float64)
    values[-2:] = torch.tensor([9.0, 10.0])
    matrix = rotation @ torch.diag(values) @ rotation.T
    fresh = torch.randn(60, generator=generator, dtype=torch.float64)
    found, vector = lanczos.largest(lambda v: matrix @ v, fresh, 1e-6)
    assert found == pytest.approx(10, rel=1e-6)
    assert (matrix @ vector - found * vector).norm() < 1e-4
    stale = rotation[:, -2] + descent.RANDOM * fresh / fresh.norm()
    assert lanczos.largest(lambda v: matrix @ v, stale, 1e-3, lanczos.WARM)[0] == pytest.approx(10, rel=1e-3)
    assert lanczos.largest(lambda v: matrix @ v, rotation[:, -1], 1e-3)[0] == pytest.approx(10)
    assert math.isnan(lanczos.largest(lambda v: v * math.nan, fresh, 1e-3)[0])


def test_a_part_of_the_images_has_the_same_number_of_each_class_and_is_first_in_a_larger_one(context):
    images, labels = descent.balanced(context.split, 50)
    assert np.bincount(labels).tolist() == [5] * 10
    more, others = descent.balanced(context.split, 83)
    assert set(np.bincount(others)) == {8, 9}
    assert torch.equal(more[:50], images) and torch.equal(others[:50], labels)
    assert len(descent.balanced(context.split, 0)[1]) == 1437


def test_the_measurement_is_of_every_loss_momentum_and_learning_rate(context):
    kinds = [
        {"loss": "mse", "momentum": 0.9, "alphas": {"batch": [0.02], "default": [0.3]}},
        {"loss": "cross_entropy", "alphas": {"default": [0.1]}},
    ]
    options = EdgeOfStability(descents=kinds, images=20, updates=2, every=2)
    table = edge_of_stability.measure(context, "batch", 3, options)
    assert set(zip(table["loss"], table["momentum"], table["alpha"], strict=True)) == {
        ("mse", 0.9, 0.02),
        ("cross_entropy", 0.0, 0.1),
    }
    assert table["update"].tolist() == [0, 2] * 2
    assert set(table["batch_size"]) == {20}
    batch = descent.balanced(context.split, 20)
    objective = Objective(context.model("batch", 3), [batch], "train")
    top = lanczos.extremes(objective.hvp, objective.size, 1, 1e-6, 0)
    start = table[(table["loss"] == "cross_entropy") & (table["update"] == 0)]
    assert start["sharpness"].item() == pytest.approx(top["top"][0][0], rel=descent.TOLERANCE)
    again = edge_of_stability.measure(replace(context, batch_size=8), "batch", 3, options)
    pd.testing.assert_frame_equal(table, again)


def snapshots(shares, losses=None, failure="", alpha=0.1, momentum=0.0, seed=0, norm="none", loss="mse"):
    """Rows of one descent with these shares of the edge, two updates apart."""
    losses = losses or [1.0] * len(shares)
    run = {"norm": norm, "loss": loss, "momentum": momentum, "alpha": alpha, "seed": seed}
    edge = (2 + 2 * momentum) / alpha
    rows = [
        run | {"update": 2 * n, "training_loss": value, "sharpness": share * edge, "failure": ""}
        for n, (share, value) in enumerate(zip(shares, losses, strict=True))
    ]
    rows[-1] |= {"failure": failure} | ({"sharpness": math.nan} if failure else {})
    return rows


@pytest.mark.parametrize(
    ("shares", "losses", "failure", "crossed", "outcome", "median"),
    [
        ([0.5, 1.2, 0.9, 1.1, 1.0], None, "", 2, "settled", 1.0),
        ([0.5, 0.9, 0.99], None, "", math.nan, "never crossed", math.nan),
        ([1.5, 0.4], None, "", 0, "settled", 0.4),
        ([0.5, 1.1], None, "", 2, "ended as it crossed", math.nan),
        ([0.5, 1.2, 1.1, 0.2, 0.1], [1, 1, 1, 0.1, 0.05], "", 2, "settled", 1.1),
        ([0.5, 0.9, 1.3], [1, 1, 0.1], "", math.nan, "never crossed", math.nan),
        ([0.5, 1.2, 1.1, 1.0], None, "diverged", 2, "diverged", math.nan),
        ([0.5, 1.2, 0.1, 1.0], None, "collapsed", 2, "collapsed", math.nan),
    ],
)
def test_a_descent_counts_from_its_first_crossing_while_its_loss_is_large(
    shares, losses, failure, crossed, outcome, median
):
    (found,) = by_descent(pd.DataFrame(snapshots(shares, losses, failure, momentum=0.9)), 0.1).itertuples()
    assert found.crossed == pytest.approx(crossed, nan_ok=True)
    assert found.outcome == outcome
    assert found.median == pytest.approx(median, nan_ok=True)


def test_a_seeds_value_is_the_geometric_mean_over_learning_rates_of_the_descents_that_settled():
    rows = snapshots([1, 0.5], alpha=0.1) + snapshots([1, 2.0], alpha=0.2) + snapshots([0.5, 0.6], alpha=0.3)
    rows += snapshots([0.5, 0.6], seed=1)
    assert by_seed(by_descent(pd.DataFrame(rows), 0.1)).to_dict() == {0: pytest.approx(1.0)}
