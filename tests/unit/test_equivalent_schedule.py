"""Weight decay beside an exponential learning rate: identities in float64, the judge, and the figure."""

import itertools
from types import SimpleNamespace

import drawn
import evidence
import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_of
from torch import nn
from torch.nn import functional as F

from understanding_bn.analysis.exponential_schedule import Comparison, differences, learning_rate
from understanding_bn.claims.checks import INCONCLUSIVE, REFUTED, REPRODUCED, combine
from understanding_bn.claims.explanations.weight_decay import BROKEN as ASSUMPTIONS
from understanding_bn.claims.explanations.weight_decay import decay_is_an_exponential_schedule
from understanding_bn.claims.results import NotRunError
from understanding_bn.figures import equivalent_schedule as figure
from understanding_bn.measurements import equivalent_schedule
from understanding_bn.measurements.equivalent_schedule import EquivalentSchedule
from understanding_bn.settings import Mistake, Setting
from understanding_bn.summaries.equivalent_schedule import medians

ALPHA, DECAY = 0.2, 0.1  # strong, so that what is broken shows within a few updates
BROKEN = [Comparison(scheduled=False), Comparison(exact=False), Comparison(everything=True), Comparison(momentum=0.9)]


def network(norm=nn.BatchNorm2d):
    """A kernel, a normalisation and a matrix, (B, 2, 4, 4) → (B, 3), in float64."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 4, 3, bias=norm is None), *([] if norm is None else [norm(4)]), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(16, 3)).double()


def batches(count=21):
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        labels = torch.randint(3, (8,), generator=generator)
        yield torch.randn(8, 2, 4, 4, generator=generator, dtype=torch.float64), labels


def apart(model, comparison, weight_decay=DECAY):
    """The difference of logits after every update."""
    return [each for *_, each in differences(model, batches(), ALPHA, weight_decay, comparison)]


def test_decay_is_the_schedule_where_kernels_are_scale_invariant():
    found = apart(network(), Comparison())
    assert found[0] == 0
    assert max(found) < 1e-13
    assert learning_rate(ALPHA, DECAY, 20) == pytest.approx(ALPHA * 0.98**-41)  # more than twice as large at the end


@pytest.mark.parametrize("comparison", BROKEN)
def test_it_is_not_where_an_assumption_is_broken(comparison):
    assert apart(network(), comparison)[-1] > 1e-6


def test_it_is_not_without_normalisation():
    assert apart(network(None), Comparison())[-1] > 1e-3


def test_without_decay_all_comparisons_are_the_same_trajectory_twice():
    for comparison in BROKEN:
        assert max(apart(network(), comparison, weight_decay=0)) == 0


def test_the_linear_layer_is_fixed_and_scales_are_not_decayed():
    """A scale and a shift that the loss does not see keep their values; the kernel's norm follows its decay."""
    model = network()
    model[4].weight.data.zero_()  # no gradient reaches what is below
    before = [parameter.detach().clone() for parameter in model.parameters()]
    list(differences(model, batches(5), ALPHA, DECAY, Comparison()))
    kernel, *others = model.parameters()
    assert kernel.detach().numpy() == pytest.approx(before[0].numpy() * 0.98**5)
    assert all(torch.equal(now, then) for now, then in zip(others, before[1:], strict=True))


def test_a_gradient_falls_as_the_kernel_grows_only_without_epsilon():
    """∇L(cw) = ∇L(w) / c."""

    def mismatch(epsilon):
        gradients = []
        for scale in (1.0, 0.1):
            model = network()
            model[1].eps = epsilon
            model[0].weight.data *= scale
            images, labels = next(batches())
            F.cross_entropy(model(images), labels).backward()
            gradients.append(scale * model[0].weight.grad)
        return ((gradients[0] - gradients[1]).norm() / gradients[0].norm()).item()

    assert mismatch(1e-60) < 1e-13
    assert mismatch(1e-5) > 1e-5


def test_logits_that_are_not_finite_have_no_difference():
    model = network(None)
    model[0].weight.data.fill_(float("nan"))
    assert np.isnan(apart(model, Comparison())).all()


def test_products_whose_schedule_could_overflow_are_refused():
    setting = Setting(100, (), ())
    assert list(EquivalentSchedule(alpha=1, weight_decay=0.1, updates=1000).check(setting)) == []
    (mistake,) = EquivalentSchedule(alpha=2, weight_decay=0.1, updates=1).check(setting)
    assert mistake == Mistake(("weight_decay",), "alpha · weight_decay is 0.2; expected at most 0.1")
    assert np.isfinite(learning_rate(1, 0.1, 1000))


@pytest.mark.slow
def test_residual_networks_follow_the_theorem_with_batch_norm_alone(digits):
    context = context_of(digits, batch_size=16)
    options = EquivalentSchedule(alpha=0.1, weight_decay=0.005, updates=50)
    table = equivalent_schedule.measure(context, "batch", 0, options)
    last = table[table["update"] == 50].set_index("broken")["difference"]
    assert last["nothing"] < 1e-11
    assert (last[["schedule", "kernels only", "momentum"]] > 1e-3).all()
    assert last["epsilon"] > 1e-7
    plain = equivalent_schedule.measure(context, "none", 0, options)
    assert set(plain["broken"]) == {"nothing"}
    assert not plain["difference"].iloc[-1] < 1e-3


def rows(exact=1e-13, seeds=5, updates=(0, 25, 50)):
    """Rows of the measurement: with BN and nothing broken, logits differ by `exact`, which may depend on the seed."""
    facts = {"dataset": "digits", "arch": "resnet-8", "init": "xavier_uniform", "batch_size": 4, "loss": 1.0}
    facts |= {"alpha": 0.1, "weight_decay": 0.005}
    cells = [("batch", broken) for broken in ASSUMPTIONS] + [("none", "nothing")]
    found = []
    for (norm, broken), seed, update in itertools.product(cells, range(seeds), updates):
        size = (exact(seed) if callable(exact) else exact) if (norm, broken) == ("batch", "nothing") else 0.5
        own = {"norm": norm, "broken": broken, "seed": seed, "update": update, "difference": size * update / 50}
        found.append(facts | own)
    return found


def judged(table):
    """The verdict and the checks; files and all other claims have no part."""
    checks = decay_is_an_exponential_schedule(SimpleNamespace(measurement=lambda name: pd.DataFrame(table)))
    return combine(checks)[0], checks


def test_the_schedule_is_judged_by_every_seed():
    verdict, (first, *shown) = judged(rows())
    assert verdict == REPRODUCED
    assert (first.value, first.seeds, first.evidence) == (1, 5, True)
    assert first.beside == "largest difference 1e-13, median over seeds 1e-13"
    assert [(check.value, check.evidence) for check in shown] == [(0, False)] * 5  # what breaks an assumption fails
    assert sum("without BN" in check.name for check in shown) == 1


@pytest.mark.slow
def test_it_is_judged_on_files(tmp_path):
    paths = evidence.measured_at_start(tmp_path, "equivalent_schedule", rows())
    claim = evidence.judged(tmp_path, paths)["Ef"]
    assert (claim["verdict"], claim["seeds"]) == (REPRODUCED, 5)


@pytest.mark.parametrize(
    ("exact", "verdict"),
    [
        (lambda seed: 2e-6 if seed == 3 else 1e-12, REFUTED),
        (lambda seed: np.nan if seed == 3 else 1e-12, INCONCLUSIVE),
    ],
)
def test_one_seed_beyond_the_bound_refutes_and_one_that_is_not_finite_is_counted(exact, verdict):
    found, (first, *_) = judged(rows(exact))
    assert found == verdict
    assert ("1 of 5 without a value" in first.name) == (verdict == INCONCLUSIVE)


def test_too_few_updates_are_not_judged():
    with pytest.raises(NotRunError, match="equivalent_schedule of 50 updates or more"):
        judged(rows(updates=(0, 25)))


def test_the_figure_has_a_panel_for_each_norm_and_a_line_for_each_comparison():
    table = pd.DataFrame(rows(lambda seed: 1e-13 * (seed + 1)))
    shown, tables = figure.draw(table)
    batch, none = shown.axes
    ours = [line for line in drawn.lines(batch, "batch") if len(line[0]) == 2]
    assert ours[0] == pytest.approx(np.array([[25, 50], [1.5e-13, 3e-13]]))
    assert [line.tolist() for line in drawn.lines(none, "none") if len(line[0]) == 2] == [[[25, 50], [0.25, 0.5]]]
    assert (medians(table)["without_value"] == 0).all()
    assert "median of 5 seeds" in drawn.legends(shown)
    assert len(tables["summary"]) == 6 * 3
