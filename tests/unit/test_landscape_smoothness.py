"""Smoothness along the gradient: closed forms of a quadratic, the judge, and the figure."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import drawn
import evidence
import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_of
from grids import run
from torch import nn
from torch.nn import functional as F

from understanding_bn.analysis.gradient_line import gradients_along
from understanding_bn.claims.checks import INCONCLUSIVE, REFUTED, REPRODUCED, combine
from understanding_bn.claims.explanations.landscape import smoother_landscape
from understanding_bn.claims.results import NotRunError
from understanding_bn.figures import landscape_smoothness as figure
from understanding_bn.measurements import landscape_smoothness
from understanding_bn.measurements.landscape_smoothness import MINIBATCHES, LandscapeSmoothness
from understanding_bn.settings import Mistake, Setting
from understanding_bn.summaries.landscape_smoothness import at_losses, by_network, pairs

SEEDS = range(5)


class Bowl(nn.Module):
    """Weights w as a network whose loss is ½ wᵀAw, whatever the images."""

    def __init__(self, weights, matrix):
        super().__init__()
        self.weights, self.matrix = nn.Parameter(weights), matrix

    def forward(self, _):
        return self.weights


def bowl(model):
    return lambda weights, _: 0.5 * weights @ model.matrix @ weights


def quadratic(eigenvalues, weights):
    return Bowl(torch.tensor(weights).double(), torch.diag(torch.tensor(eigenvalues)).double())


def test_of_a_quadratic_along_an_eigenvector_smoothness_is_the_eigenvalue():
    model = quadratic([3.0, 5.0], [2.0, 0.0])
    sizes = [0.05, 0.1, 0.4]
    start, length, along = gradients_along(model, None, None, sizes, bowl(model))
    assert (start, length) == pytest.approx((6, 6))
    for size, (loss, distance) in zip(sizes, along, strict=True):
        assert loss == pytest.approx(6 * (1 - 3 * size) ** 2)
        assert distance / (size * length) == pytest.approx(3)


def test_in_any_direction_it_is_the_length_of_the_hessian_times_the_unit_gradient():
    model = quadratic([3.0, -5.0], [1.0, 1.0])
    _, length, ((_, distance),) = gradients_along(model, None, None, [0.1], bowl(model))
    assert length == pytest.approx(34**0.5)
    assert distance / (0.1 * length) == pytest.approx((9**2 + 25**2) ** 0.5 / 34**0.5)


@pytest.mark.parametrize("weight", [2.0, float("inf")])
def test_the_weights_are_put_back(weight):
    model = quadratic([3.0, 5.0], [weight, 1.0])
    gradients_along(model, None, None, [0.1], bowl(model))
    assert model.weights.tolist() == [weight, 1]


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_steps_are_multiples_of_alpha_along_each_mini_batchs_own_gradient(digits, norm):
    context = replace(context_of(digits, arch="plain-8", batch_size=4), alpha=0.02)
    table = landscape_smoothness.measure(context, norm, 3, LandscapeSmoothness(at=[1], minibatches=2, steps=4))
    assert table["step_size"].tolist() == pytest.approx([0, 0.01, 0.02, 0.04, 0.08] * 2)
    assert set(table["bn_mode"]) == {"train" if norm == "batch" else "none"}
    model = context.model(norm, 3).double()
    *_, (images, labels) = context.draws("subset", 2, 3, MINIBATCHES)
    loss = F.cross_entropy(model(images.double()), labels)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    second = table[table["minibatch"] == 2].set_index("step_size")
    assert second.loc[0, "loss"] == pytest.approx(loss.item(), rel=1e-12)
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter -= 0.02 * gradient
    after = F.cross_entropy(model(images.double()), labels)
    others = torch.autograd.grad(after, list(model.parameters()))
    distance = sum((a - b).square().sum() for a, b in zip(others, gradients, strict=True)) ** 0.5
    found = second.iloc[2]
    assert (found["loss"], found["gradient_distance"]) == pytest.approx((after.item(), distance.item()), rel=1e-9)


def test_before_training_there_is_no_alpha():
    (mistake,) = LandscapeSmoothness(at=[0, 1], minibatches=2).check(Setting(100, (), ()))
    assert mistake == Mistake(("at",), "0 is before training, where a network has no α; expected shares above 0")


def rows(norm, seed, sharpness, at_loss=1.0, alpha=0.04, minibatches=2, **changes):
    """Rows of the measurement for one network whose loss and gradient change by `sharpness` times the step."""
    facts = {key: run(norm, alpha, 64, seed)[key] for key in ("dataset", "arch", "init", "epochs")}
    facts |= {"norm": norm, "alpha": alpha, "batch_size": 64, "seed": seed, "epoch": 5, "at_loss": at_loss}
    facts |= {"fraction": np.nan if at_loss == at_loss else 0.25, "bn_mode": "train" if norm == "batch" else "none"}
    found = []
    for minibatch, size in itertools.product(range(1, minibatches + 1), (0.0, 0.5 * alpha, alpha, 4 * alpha)):
        own = {"minibatch": minibatch, "step_size": size, "loss": 1 + sharpness * size}
        own |= {"gradient_norm": 1.0, "gradient_distance": sharpness * size}
        found.append(facts | own | (changes if size else {}))
    return found


def test_a_network_has_the_means_of_its_mini_batches():
    table = pd.DataFrame(rows("batch", 0, 2.0) + rows("batch", 1, 6.0))
    table.loc[(table["minibatch"] == 2) & (table["step_size"] > 0), "gradient_distance"] *= 2
    first, second = by_network(table).to_dict("records")
    assert first["loss"] == 1
    assert first["loss_range"] == pytest.approx(2 * (0.16 - 0.02))
    assert first["rise"] == pytest.approx(2 * 0.16)
    assert (first["smoothness"], second["smoothness"]) == pytest.approx((3, 9))  # means over two mini-batches
    assert first["gradient_distance"] == pytest.approx(0.16 * 3)
    assert first["relative_distance"] == pytest.approx(0.16 * 3)
    assert np.isnan(first["fraction"]) and first["at_loss"] == 1


@pytest.mark.filterwarnings("error")
def test_a_step_that_overflows_makes_a_network_infinite_and_one_without_a_loss_has_nothing():
    table = pd.DataFrame(rows("batch", 0, 2.0) + rows("batch", 1, 2.0) + rows("batch", 2, 2.0))
    last = (table["step_size"] > 0.1) & (table["minibatch"] == 1)
    table.loc[last & (table["seed"] == 0), ["loss", "gradient_distance"]] = np.nan
    table.loc[(table["step_size"] == 0) & (table["seed"] == 1), "loss"] = np.nan
    overflowed, unknown, sound = by_network(table).to_dict("records")
    names = ["loss_range", "gradient_distance", "smoothness", "relative_distance"]
    assert [overflowed[name] for name in names] == [np.inf] * 4
    assert (overflowed["overflowed"], unknown["overflowed"], sound["overflowed"]) == (1, 0, 0)
    assert np.isnan([unknown[name] for name in names]).all()
    assert np.isfinite([sound[name] for name in names]).all()


def both(batch, none=10.0, at_loss=1.0, seeds=SEEDS, alpha=0.04):
    """Rows of both norms; the curvature with batch norm may depend on the seed."""
    parts = [rows("batch", seed, batch(seed) if callable(batch) else batch, at_loss, alpha) for seed in seeds]
    parts += [rows("none", seed, none, at_loss, alpha) for seed in seeds]
    return list(itertools.chain(*parts))


def runs(alphas=(0.04,), failed=()):
    cells = itertools.product(("batch", "none"), alphas, SEEDS)
    return [run(n, a, 64, s, failure="overflow" if (n, a, s) in failed else None) for n, a, s in cells]


def test_pairs_share_everything_but_the_norm_and_say_why_they_cannot_be_compared():
    measured = pd.DataFrame([row for row in both(2.0) if (row["norm"], row["seed"]) != ("none", 2)])
    measured.loc[measured["seed"] == 3, "loss"] = np.nan
    histories = pd.DataFrame(runs(failed=[("batch", 0.04, 1)]))
    found = pairs(at_losses(measured, histories)).set_index("seed")
    expected = ["compared", "a run failed", "a run never reached the loss", "not finite", "compared"]
    assert found["outcome"].tolist() == expected
    ratio = found["smoothness_ratio"]
    assert ratio[[0, 4]].tolist() == pytest.approx([0.2, 0.2])
    assert ratio[[1, 2, 3]].isna().all()


def judged(measured, histories):
    """The verdict and the checks; files and all other claims have no part."""
    tables = {"trained": lambda name: pd.DataFrame(measured), "histories": lambda: pd.DataFrame(histories)}
    checks = smoother_landscape(SimpleNamespace(**tables, of_shared_seeds=lambda table, name: table))
    return combine(checks)[0], checks


@pytest.mark.parametrize(
    ("batch", "verdict"), [(2.0, REPRODUCED), (lambda seed: 30.0 if seed == 3 else 2.0, REFUTED), (40.0, REFUTED)]
)
def test_one_seed_that_is_not_smoother_refutes(batch, verdict):
    found, checks = judged(both(batch, none=20.0) + both(2.0, none=20.0, at_loss=0.5), runs())
    assert found == verdict
    assert len(checks) == 3 * 2, "quantities and losses"
    if verdict == REPRODUCED:
        assert {check.beside for check in checks} == {"BN over none 0.1, from 0.1 to 0.1"}


def test_a_seed_must_be_smoother_at_every_alpha_that_both_norms_share():
    measured = both(2.0) + both(lambda seed: 30.0 if seed == 1 else 2.0, alpha=0.01)
    measured += rows("batch", 0, 90.0, alpha=0.16)  # without the other norm it has no part
    found, checks = judged(measured, [*runs((0.04, 0.01)), run("batch", 0.16, 64, 0)])
    assert found == REFUTED
    assert [check.value for check in checks] == pytest.approx([0.8] * 3)
    assert "10 pairs at 2 α" in checks[0].name


def test_pairs_that_cannot_be_compared_are_counted():
    measured = [row for row in both(2.0) if (row["norm"], row["seed"]) != ("none", 2)]
    found, checks = judged(measured, runs(failed=[("none", 0.04, 1)]))
    assert found == INCONCLUSIVE  # of all seeds, three are too few
    text = "5 pairs at 1 α, 1 where a run failed, 1 where a run never reached the loss); 2 of 5 without a value"
    assert text in checks[0].name


def test_without_losses_that_were_matched_nothing_is_judged():
    with pytest.raises(NotRunError, match="landscape_smoothness at_losses"):
        judged(both(2.0, at_loss=np.nan), runs())
    one = list(itertools.chain(*(rows("batch", seed, 2.0) for seed in SEEDS)))
    with pytest.raises(NotRunError, match="with BN and without"):
        judged(one, runs())


@pytest.mark.slow
def test_it_is_judged_on_files(tmp_path):
    paths = evidence.trained(tmp_path, runs())
    paths += evidence.measured_at_end(tmp_path, "landscape_smoothness", both(2.0))
    claim = evidence.judged(tmp_path, paths)["Ec"]
    assert claim["verdict"] == REPRODUCED
    assert claim["beside"] == "BN over none 0.2, from 0.2 to 0.2"


def test_the_figure_has_a_row_along_training_and_one_at_matched_losses():
    measured = pd.DataFrame(both(lambda seed: 2.0 + seed) + both(2.0, at_loss=np.nan))
    shown, tables = figure.draw(pd.DataFrame(runs()), measured)
    assert len(shown.axes) == 2 * 4
    smoothness = shown.axes[4 + 2]
    assert drawn.markers(smoothness, "batch") == pytest.approx(np.array([[1.0, 4.0]]))
    assert sorted(drawn.segments(smoothness, "batch")[0][:, 1]) == pytest.approx([2, 6])
    assert drawn.markers(shown.axes[2], "none") == pytest.approx(np.array([[25.0, 10.0]]))
    assert len(tables["pairs"]) == 5 and set(tables[""]["failure"]) == {""}
    assert {"median of 5 seeds", "α = 0.04"} <= set(drawn.legends(shown))
