"""The noise of SGD where training reached a loss: what is measured, how norms are compared, and the figure."""

import itertools

import drawn
import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_of
from small_configs import config, entry
from test_noise_by_depth_figure import rows_of

from understanding_bn.analysis import gradient_moments as gm
from understanding_bn.analysis.curvature_of_noise import curvature_of_noise
from understanding_bn.experiment.plan import plan
from understanding_bn.figures import noise_at_losses as figure
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.measurements import gradient_structure
from understanding_bn.measurements.gradient_structure import GradientStructure
from understanding_bn.settings import Mistake, Setting
from understanding_bn.summaries.noise_at_losses import BEFORE, comparisons, networks

LOSSES, SEEDS = (1.0, 0.1), range(3)
CELL = {"epochs": 4, "alpha": 0.1}


def made_up(never=()):
    """BN raises C before training and lowers it at the smaller loss; runs in `never` do not get there."""
    moments = [(0, np.nan, np.nan), (2, np.nan, 1.0), (3, np.nan, 0.1)]
    parts = []
    for arch, norm, seed in itertools.product(("resnet-8", "plain-14"), ("batch", "none"), SEEDS):
        for number, (epoch, fraction, loss) in enumerate(moments):
            if epoch == 3 and (arch, norm, seed) in never:
                continue
            ratio = 10 ** (1 - number + 0.1 * (seed - 1)) if norm == "batch" else 1.0
            rows = pd.DataFrame(rows_of(arch, norm, seed, constant=16 * ratio))
            facts = {"epochs": 4, "alpha": 0.1 if epoch else np.nan, "epoch": epoch, "at_loss": loss}
            parts.append(rows.assign(fraction=fraction if epoch else 0.0, **facts))
    return pd.concat(parts, ignore_index=True)


def trained(failed=()):
    """Histories of those runs, in which the training loss is 1.5, 0.9, 0.09 and 0.01."""
    rows = [
        {"arch": arch, "init": "xavier_uniform", "norm": norm, "batch_size": 8, "seed": seed, "epoch": epoch, **CELL}
        | {"train_loss": loss, "clean_train_loss": loss / 2, "failure": "overflow" if arch in failed else None}
        for arch, norm, seed in itertools.product(("resnet-8", "plain-14"), ("batch", "none"), SEEDS)
        for epoch, loss in enumerate((1.5, 0.9, 0.09, 0.01), 1)
    ]
    return pd.DataFrame(rows).astype({"failure": "string"})


def test_runs_stand_before_training_and_where_they_reached_each_loss():
    table = networks(made_up(), trained())
    assert list(dict.fromkeys(table["moment"])) == [BEFORE, "loss 1", "loss 0.1"]
    (row,) = table[(table["moment"] == "loss 0.1") & (table["norm"] == "batch") & (table["seed"] == 1)].iloc[:1].iloc
    assert (row["epoch"], row["train_loss"], row["alpha"], row["finite"]) == (3, 0.09, 0.1, True)
    assert row["constant"] == pytest.approx(1.6)
    assert row["noise_scale"] == pytest.approx(1.6 / 0.5)
    assert row["relative_curvature"] == pytest.approx(0.5)
    before = table[table["moment"] == BEFORE]
    assert before["alpha"].eq(0.1).all()  # a network before training belongs to its cell
    assert before[["at_loss", "train_loss"]].isna().all(axis=None)


def test_norms_are_compared_at_the_same_loss_by_seed():
    found = comparisons(networks(made_up(), trained()))
    found = found[(found["quantity"] == "constant") & (found["arch"] == "resnet-8")].set_index("moment")
    assert found["mean"].to_dict() == pytest.approx({BEFORE: 1, "loss 1": 0, "loss 0.1": -1})
    assert found["sign"].to_dict() == {BEFORE: 1, "loss 1": 0, "loss 0.1": -1}
    assert set(found["norm"]) == {"batch"}


def test_what_never_gets_there_is_counted_and_decides_nothing():
    found = comparisons(networks(made_up(never={("resnet-8", "none", 1)}), trained()))
    row = found[(found["moment"] == "loss 0.1") & (found["arch"] == "resnet-8")].iloc[0]
    assert (row["seeds"], row["not_finite"], row["sign"]) == (3, 1, 0)
    assert np.isnan(row["mean"])
    others = found[(found["moment"] == "loss 0.1") & (found["arch"] == "plain-14")]
    assert others["not_finite"].eq(0).all()


def test_the_figure_has_a_panel_for_each_kind_and_network_with_what_bn_does():
    shown, tables = figure.draw(trained(), made_up())
    axes = np.array(shown.axes).reshape(len(figure.ROWS), 2)
    assert [ax.get_title() for ax in axes[0]] == ["plain-14", "ResNet-8"]
    assert [[text.get_text() for text in ax.texts] for ax in axes[0]] == [["+", "·", "−"]] * 2
    medians = [line for line in drawn.lines(axes[0, 1], "batch") if len(line[0]) == 3]
    assert medians[0][1] == pytest.approx([160, 16, 1.6])
    assert set(tables) == {"", "comparisons"}
    assert len(tables[""]) == 2 * 2 * 3 * 3


def test_runs_that_failed_are_not_drawn_and_without_others_there_is_nothing():
    shown, tables = figure.draw(trained(failed={"plain-14"}), made_up())
    assert [ax.get_title() for ax in shown.axes[:1]] == ["ResNet-8"]
    assert set(tables[""]["arch"]) == {"resnet-8", "plain-14"}
    with pytest.raises(NothingToShow):
        figure.draw(trained(failed={"plain-14", "resnet-8"}), made_up())


@pytest.mark.slow
def test_the_hessian_is_of_other_mini_batches_than_the_gradients(digits):
    """tr(HΣ) and the loss by their definition, and all else as without them."""
    context = context_of(digits, batch_size=16)
    with_it, without = (
        gradient_structure.measure(context, "batch", 0, GradientStructure(at=[0], minibatches=3, **more))
        for more in ({"hessian_minibatches": 2}, {})
    )
    added = with_it["quantity"].isin(["noise_curvature", "loss"])
    pd.testing.assert_frame_equal(with_it[~added].reset_index(drop=True), without)
    model = context.model("batch", 0)
    drawn_for = {
        name: [*context.draws("subset", 3, 0, getattr(gradient_structure, name))] for name in ("MINIBATCHES", "HESSIAN")
    }
    gradients = torch.stack([gm.gradient(model, *batch) for batch in drawn_for["MINIBATCHES"]])
    expected = curvature_of_noise(model, gradients, [*context.draws("subset", 2, 0, gradient_structure.HESSIAN)])
    assert with_it[added]["value"].tolist() == pytest.approx(expected)
    assert not torch.equal(drawn_for["HESSIAN"][0][0], drawn_for["MINIBATCHES"][0][0])
    setting = Setting(images=1437, archs=("resnet-8",), norms=("batch",))
    mistakes = GradientStructure(at=[0], minibatches=3, hessian_minibatches=4).check(setting)
    assert [*mistakes] == [Mistake(("hessian_minibatches",), "4 is more than minibatches, expected at most 3")]


def test_it_is_drawn_where_networks_are_measured_at_losses():
    for losses, shown in (([1.0], True), ([], False)):
        options = {"at": [1], "at_losses": losses, "minibatches": 2}
        made = plan(config(entry(), trained={"gradient_structure": options}, snapshot_losses=[1.0]))
        assert ("noise_at_losses" in {draw.name for draw, inputs in made.items.items() if inputs}) == shown
