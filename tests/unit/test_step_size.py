"""Explanations by the step size: sharpness before training, and scalars in batch norm's place."""

import itertools
from types import SimpleNamespace

import drawn
import evidence
import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_of
from grids import run

from understanding_bn.analysis import spectrum
from understanding_bn.cell import Cell
from understanding_bn.claims.checks import INCONCLUSIVE, REFUTED, REPRODUCED, combine
from understanding_bn.claims.explanations import step_size
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.claims.scores import Scores
from understanding_bn.experiment import load
from understanding_bn.experiment.plan import plan
from understanding_bn.figures import initial_sharpness as sharpness_figure
from understanding_bn.figures import replacing_batch_norm as replacing_figure
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.measurements import initial_sharpness, max_learning_rate
from understanding_bn.measurements.initial_sharpness import InitialSharpness
from understanding_bn.settings import Setting
from understanding_bn.summaries.initial_sharpness import by_network, fits
from understanding_bn.summaries.replacing_batch_norm import VARIANTS, best_alpha, by_alpha, variants
from understanding_bn.summaries.training import CELL

SEEDS = range(5)
SEARCH = {"batch_size": 4, "updates": 2, "smallest_alpha": 1e-3, "largest_alpha": 10, "steps_per_decade": 1}
OPTIONS = {"networks": {"archs": ["resnet-8", "plain-8"], "inits": ["kaiming"]}, "subset": 10, **SEARCH}


def test_it_is_made_on_every_network_with_every_norm_and_checked_like_a_search():
    options = InitialSharpness.model_validate(OPTIONS)
    for norm in ("batch", "none"):
        made = options.made_on("resnet-110", "xavier_uniform", norm)
        assert made == [("resnet-8", "kaiming"), ("plain-8", "kaiming")]
    changed = options.model_copy(update={"subset": 65, "batch_size": 66, "smallest_alpha": 20.0})
    mistakes = list(changed.check(Setting(64, ("resnet-8",), ("batch",))))
    assert [mistake.place for mistake in mistakes] == [("batch_size",), ("smallest_alpha",), ("subset",)]


@pytest.mark.slow
def test_sharpness_is_of_the_images_of_the_partition_and_the_search_is_that_of_max_learning_rate(digits):
    context = context_of(digits)
    options = InitialSharpness.model_validate(OPTIONS)
    table = initial_sharpness.measure(context, "none", 3, options)
    batches = spectrum.partition(context.split, 10, 4, 3)
    ends = spectrum.lanczos.extremes(
        spectrum.Objective(context.model("none", 3), batches, "train").hvp, _size(context), 1, 1e-5, 0
    )
    assert table["sharpness"].to_numpy() == pytest.approx(ends["top"][0][0], rel=2e-3)
    assert (table["images"].unique(), table["momentum"].unique()) == (8, 0.9)
    searched = max_learning_rate.search(context, "none", 3, options)
    assert list(table[["alpha", "outcome", "update"]].itertuples(index=False, name=None)) == searched


def _size(context):
    return sum(parameter.numel() for parameter in context.model("none", 0).parameters())


def test_a_loss_that_is_not_finite_has_no_sharpness(digits):
    context = context_of(digits, batch_size=4)
    model = context.model("none", 0)
    with torch.no_grad():
        model.linear.weight.fill_(torch.inf)
    assert np.isnan(spectrum.sharpness(model, spectrum.partition(context.split, 4, 4, 0), 0))


def networks(slope=-1.0, scatter=0.0, seeds=SEEDS, norms=("batch", "none")):
    """Rows of initial_sharpness: α = λ^slope, off it by `scatter` decades to either side in turn; it varies by seed."""
    rows = []
    places = itertools.product(norms, ("resnet-8", "plain-8", "resnet-20"), ("kaiming", "xavier_uniform"))
    for number, (norm, arch, init) in enumerate(places):
        for seed in seeds:
            sharpness = 10 ** (number / 3)
            off = (scatter + 0.001 * seed) * (-1) ** (number // 2)
            alpha = sharpness ** (slope + 0.002 * seed) * 10**off
            facts = {"norm": norm, "arch": arch, "init": init, "seed": seed, "batch_size": 4, "images": 8}
            facts |= {"momentum": 0.9, "sharpness": sharpness, "updates": 2}
            rows.append(facts | {"alpha": alpha, "outcome": "stable", "update": 2})
            rows.append(facts | {"alpha": 2 * alpha, "outcome": "diverged", "update": 1})
    return rows


def follows(rows):
    """The verdict and the checks of Ea on rows of initial_sharpness."""
    checks = step_size.rate_follows_sharpness(SimpleNamespace(measurement=lambda name: pd.DataFrame(rows)))
    return combine(checks)[0], checks


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [({}, REPRODUCED), ({"slope": -2.0}, REFUTED), ({"scatter": 1.0}, REFUTED), ({"seeds": [0, 1]}, INCONCLUSIVE)],
)
def test_the_largest_rate_is_inverse_to_sharpness_or_not(changes, verdict):
    found, (low, high, r2) = follows(networks(**changes))
    assert found == verdict
    if not changes:
        assert (low.value, high.value, r2.value) == pytest.approx((-0.996, -0.996, 1), abs=1e-3)


def test_networks_without_a_bound_or_sharpness_are_counted_and_in_no_fit():
    table = pd.DataFrame(networks())
    of = {name: table["arch"].eq(arch) & table["init"].eq("kaiming") for name, arch in
          (("above", "resnet-8"), ("below", "plain-8"), ("nowhere", "resnet-20"))}  # fmt: skip
    table = table[~(of["above"] & (table["outcome"] == "diverged")) & ~(of["below"] & (table["outcome"] == "stable"))]
    table.loc[of["nowhere"].loc[table.index], "sharpness"] = np.nan
    found = by_network(table)
    assert found["left_out"].value_counts().to_dict() == {"": 30, "above": 10, "below": 10, "no sharpness": 10}
    assert fits(found)["slope"].to_numpy() == pytest.approx([-1 + 0.002 * seed for seed in SEEDS], abs=2e-3)
    _, checks = follows(table)
    left_out = "10 stable at every α tried; 10 stable at no α tried; 10 without a positive λ_max"
    assert f"(30 of 60 networks and seeds; {left_out})" in checks[0].name
    figure, tables = sharpness_figure.draw(table.assign(dataset="digits"))
    assert {"not shown", "10 stable at every α tried", "10 without a positive λ_max"} <= set(drawn.legends(figure))
    assert len(tables[""]) == 60


def test_one_sharpness_or_three_networks_have_no_line():
    alike = pd.DataFrame(networks()).assign(sharpness=2.0)
    with pytest.raises(NotRunError, match="of 4 networks of different λ_max"):
        follows(alike)
    few = by_network(pd.DataFrame(networks(norms=("batch",))))
    assert fits(few[few["arch"] == "resnet-8"])["slope"].isna().all()


def test_the_figure_has_a_marker_per_network_and_the_mean_line():
    table = pd.DataFrame(networks()).assign(dataset="digits")
    figure, tables = sharpness_figure.draw(table)
    (ax,) = figure.axes
    for norm in ("batch", "none"):
        assert sum(len(drawn.markers(ax, norm, shape)) for shape in "os") == 30
    (line,) = drawn.lines(ax, linestyle="-")
    slope = np.diff(np.log10(line[1])) / np.diff(np.log10(line[0]))
    assert slope == pytest.approx(-0.996, abs=1e-3)
    (edge,) = drawn.lines(ax, linestyle=":")
    assert edge[0] * edge[1] == pytest.approx(3.8)
    assert {"plain-8", "ResNet-8, ResNet-20"} <= set(drawn.legends(figure))
    assert any(text.startswith("fit: slope −0.99") for text in drawn.legends(figure))
    assert list(tables["summary"]["seed"]) == list(SEEDS)
    with pytest.raises(NothingToShow):
        sharpness_figure.draw(table.assign(sharpness=np.nan))


ALPHAS = (0.01, 0.1, 1.0)
PLACES = {
    "BN": ("batch", "kaiming"),
    "SkipInit": ("skipinit", "kaiming"),
    "Fixup": ("none", "fixup"),
    "1/√blocks": ("none", "branch_scaled"),
    "none": ("none", "kaiming"),
}


def tuned(accuracies=None, failed=(), seeds=SEEDS, validation=None):
    """Last rows of all variants: by default 0.8 at α = 0.1 and 0.7 elsewhere; the n-th's seeds rise by n · 0.001.

    `accuracies`: others by (variant, α). `failed`: (variant, α, seed) that diverged. `validation`: accuracy on that
    split by α, of all variants.
    """
    rows = []
    for (number, (variant, (norm, init))), alpha, seed in itertools.product(enumerate(PLACES.items()), ALPHAS, seeds):
        accuracy = (accuracies or {}).get((variant, alpha), 0.8 if alpha == 0.1 else 0.7) + 0.001 * seed * (number + 1)
        bad = (variant, alpha, seed) in failed
        more = {} if validation is None else {"validation_accuracy": np.nan if bad else validation[alpha]}
        end = (np.nan, "overflow") if bad else (accuracy, None)
        rows.append(run(norm, alpha, 64, seed, *end, init=init, **more))
    return rows


class Runs:
    """Results of training, from last rows."""

    def __init__(self, rows):
        self.table = pd.DataFrame(rows)
        self.cells = [Cell(**dict(zip(CELL, cell, strict=True))) for cell in self.table.groupby(CELL).groups]

    def ends(self, cell):
        alike = (self.table[CELL] == pd.Series(cell.factors)[CELL]).all(axis=1)
        last = self.table[alike].set_index("seed")
        return last.assign(test_accuracy=100 * last["test_accuracy"])

    def scores_of(self, last):
        return Scores(last["test_accuracy"], last["train_accuracy"], {})


def replaced(rows):
    """The verdict and the checks of Eh on last rows."""
    checks = step_size.a_scalar_replaces_batch_norm(Runs(rows))
    return combine(checks)[0], checks


def test_the_network_is_that_with_skipinit_at_the_rates_that_all_share():
    cells = pd.DataFrame(tuned())
    others = cells.assign(arch="resnet-8")
    lone = cells[cells["norm"] == "skipinit"].assign(alpha=5.0)
    found = variants(pd.concat([others[others["norm"] == "batch"], cells, lone], ignore_index=True))
    assert set(found["arch"]) == {"resnet-20"}
    assert set(found["alpha"]) == set(ALPHAS)
    assert found.groupby("variant").size().to_dict() == dict.fromkeys(VARIANTS, 15)
    assert variants(cells[cells["norm"] != "skipinit"]).empty


def test_scalars_that_end_like_batch_norm_replace_it():
    verdict, checks = replaced(tuned())
    assert verdict == REPRODUCED
    assert len(checks) == 9
    assert all("BN’s best α = 0.1" in check.name for check in checks)
    assert "at its best α = 0.1, trains up to 1" in checks[1].beside


def test_it_is_compared_at_the_rate_that_is_best_on_the_validation_split():
    _, checks = replaced(tuned(validation={0.01: 0.5, 0.1: 0.6, 1.0: 0.7}))
    assert "BN’s best α = 1 " in checks[0].name


def test_one_that_ends_lower_or_fails_once_refutes_and_a_failure_is_in_no_mean():
    assert replaced(tuned({("1/√blocks", 0.1): 0.75}))[0] == REFUTED
    verdict, checks = replaced(tuned(failed=[("SkipInit", 0.1, 2)]))
    assert verdict == REFUTED
    assert [check.value for check in checks if check.universal] == pytest.approx([0.8, 1, 1])
    skipinit = np.mean([0.1 * seed for seed in SEEDS if seed != 2])
    assert [check.value for check in checks if "SkipInit" in check.name][1:] == pytest.approx([skipinit] * 2)
    assert sum("; 1 of 5 failed" in check.name for check in checks) == 2
    failed = [("Fixup", alpha, seed) for alpha in ALPHAS for seed in SEEDS]
    verdict, checks = replaced(tuned(failed=failed))
    assert (verdict, len(checks)) == (REFUTED, 7)
    assert "Fixup trains at no α in every seed" in next(check.beside for check in checks if "Fixup" in check.name)


def test_the_figure_is_drawn_where_skipinit_was_trained_and_from_what_it_compares():
    given = load.load(None) | {"plugins": ["workflow/norms/skipinit.py"]}
    entries = [{"arch": "resnet-8", "norm": ["batch", "none", "layer"], "alpha": 0.1, "batch_size": 8, "epochs": 1}]
    entries += [entries[0] | {"norm": "skipinit"}]
    for grid, norms in ((entries[:1], set()), (entries, {"batch", "none", "skipinit"})):
        drawn_from = {draw.name: of for draw, of in plan(load.resolve(given | {"grid": grid})).items.items()}
        assert {job.cell.norm for job in drawn_from["replacing_batch_norm"].get("histories", [])} == norms


@pytest.mark.parametrize(
    ("kept", "missing"),
    [
        (lambda row: row["init"] != "fixup", "with Fixup"),
        (lambda row: row["alpha"] < 1, "at 3 learning rates or more"),
        (lambda row: row["norm"] != "batch" or row["seed"], "at which no seed fails"),
    ],
)
def test_what_is_missing_is_named(kept, missing):
    failed = [("BN", alpha, 1) for alpha in ALPHAS if "no seed" in missing]
    with pytest.raises(NotRunError, match=missing):
        replaced([row for row in tuned(failed=failed) if kept(row)])


def test_runs_on_disk_are_compared_cell_by_cell_and_nothing_else_is_used(tmp_path):
    rows = tuned(seeds=range(2))
    other = evidence.trained(tmp_path, [run("batch", 0.1, 64, seed, arch="resnet-8") for seed in range(3)])
    results = Results(evidence.by_table([*evidence.trained(tmp_path, rows), *other]))
    checks = step_size.a_scalar_replaces_batch_norm(results)
    assert [check.value for check in checks] == pytest.approx([c.value for c in replaced(rows)[1]])
    assert len(results.used) == 15 and str(other[0]) not in results.used


def test_the_best_rate_is_one_at_which_no_seed_failed():
    table = by_alpha(pd.DataFrame(tuned(failed=[("Fixup", 0.1, 1)])))
    fixup = table[table["variant"] == "Fixup"].set_index("alpha")
    assert fixup["failed"].to_dict() == {0.01: 0, 0.1: 1, 1.0: 0}
    assert not fixup.loc[0.1, "best"] and fixup["best"].sum() == 1
    assert best_alpha(pd.DataFrame({"alpha": [0.1], "failure": ["NaN"], "chosen": [np.nan]})) is None


def test_the_figure_counts_failures_and_averages_the_others():
    histories = pd.DataFrame(tuned(failed=[("none", 1.0, seed) for seed in (0, 1)]))
    figure, tables = replacing_figure.draw(histories)
    (ax,) = figure.axes
    assert drawn.markers(ax, "batch")[:, 1] == pytest.approx([70.2, 80.2, 70.2])
    assert drawn.markers(ax, "none")[-1, 1] == pytest.approx(71.5)
    assert [text.get_text() for text in ax.texts] == ["×2"]
    assert {"SkipInit", "Fixup", "branches × 1/√blocks", "no norm", "batch norm"} <= set(drawn.legends(figure))
    assert set(tables) == {"", "summary"}
    with pytest.raises(NothingToShow):
        replacing_figure.draw(histories[histories["norm"] != "skipinit"])
