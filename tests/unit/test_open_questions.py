"""The figures on noise and curvature on made-up results whose truth is known."""

import itertools

import drawn
import numpy as np
import pandas as pd
import pytest
from grids import ALPHAS, SIZES, curvature, gradients, grid, run

from understanding_bn.figures import alpha_batch_grid, noise_along_training, noise_by_architecture
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.summaries.gradient_structure import along_training, at_losses
from understanding_bn.summaries.learning_rate_grid import BOTH, ONLY_ALPHA, ONLY_SIZE, neighbours
from understanding_bn.summaries.noise_and_gap import by_cell, correlations
from understanding_bn.summaries.trained_runs import runs


def test_runs_have_what_was_measured_at_the_end_and_nothing_where_they_failed():
    histories = [run("batch", 0.04, 64, 0), run("batch", 0.04, 64, 1, failure="overflow", accuracy=np.nan)]
    structure = gradients("batch", 0.04, 64, 0) + gradients("batch", 0.04, 64, 0, epoch=10, noise=99.0)
    structure += gradients("batch", 0.04, 64, 1)
    hessian = curvature("batch", 0.04, 64, 0)
    table = runs(*map(pd.DataFrame, (histories, structure, hessian))).set_index("seed")
    sound = table.loc[0]
    assert sound["test_accuracy"] == pytest.approx(90)
    assert sound["gap"] == pytest.approx(9)
    assert sound["loss_gap"] == pytest.approx(0.9)
    assert sound["noise"] == 2
    assert sound["update_noise"] == pytest.approx(0.04**2 * 2)
    assert sound["noise_scale"] == pytest.approx(2 * 64 / 0.5)
    assert sound["sharpness"] == 10
    assert sound["trace"] == 5
    assert sound["rank_share"] == 0.25
    assert table.loc[1, ["test_accuracy", "noise", "update_noise", "sharpness"]].isna().all()
    assert table.loc[1, "failure"] == "overflow"


def test_a_gap_is_from_clean_train_accuracy_where_it_was_recorded():
    clean = {"clean_train_accuracy": 0.97, "clean_train_loss": 0.3}
    table = runs(pd.DataFrame([run("batch", 0.04, 64, 0, **clean), run("batch", 0.04, 64, 1)]))
    assert table["gap"].tolist() == pytest.approx([7, 9])
    assert table["loss_gap"].tolist() == pytest.approx([0.7, 0.9])


def test_neighbours_move_one_way_and_skip_no_cell():
    table = pd.DataFrame([(a, b) for a in ALPHAS for b in SIZES], columns=["alpha", "batch_size"])
    alone = neighbours(table, ONLY_ALPHA)
    assert len(alone) == 6
    assert all(a[1] == b[1] and b[0] == pytest.approx(4 * a[0]) for a, b, _ in alone)
    assert {doublings for *_, doublings in alone} == {2.0}
    assert len(neighbours(table, ONLY_SIZE)) == 6
    diagonal = neighbours(table, BOTH)
    assert sorted((a, b) for a, b, _ in diagonal) == [
        ((0.01, 16), (0.04, 64)),
        ((0.01, 64), (0.04, 256)),
        ((0.04, 16), (0.16, 64)),
        ((0.04, 64), (0.16, 256)),
    ]


def test_moves_are_the_exponents_of_a_power_law_and_leave_out_what_failed():
    """Noise ∝ α² / B and accuracy linear in log2 α: a doubling of α is +2 and 3 points, of B −1, of both +1 and 3."""
    histories, structure = [], []
    for norm, alpha, size, seed in grid("batch"):
        failed = alpha == 0.16 and size == 16 and seed < 2
        accuracy = np.nan if failed else 0.5 + 0.03 * np.log2(alpha / 0.01) + 0.001 * seed
        histories += [run(norm, alpha, size, seed, accuracy, "overflow" if failed else None)]
        structure += gradients(norm, alpha, size, seed, noise=5.0 / size)
    figure, tables = alpha_batch_grid.draw(pd.DataFrame(histories), pd.DataFrame(structure))
    summary = tables["summary"].set_index(["move", "quantity"])
    for move, noise, accuracy in ((ONLY_ALPHA, 2, 3), (ONLY_SIZE, -1, 0), (BOTH, 1, 3)):
        assert summary.loc[(move, "log2 update_noise"), "change"] == pytest.approx(noise)
        assert summary.loc[(move, "test_accuracy"), "change"] == pytest.approx(accuracy)
        assert summary.loc[(move, "test_accuracy"), "low"] == pytest.approx(accuracy)
        assert summary.loc[(move, "test_accuracy"), "seeds"] == 3
    assert len(tables[""]) == 27
    ax = figure.axes[0]
    texts = {tuple(map(float, text.get_position())): [] for text in ax.texts}
    for text in ax.texts:
        texts[tuple(map(float, text.get_position()))].append(text.get_text())
    assert texts == {
        (column + 0.5, row + 0.5): [f"{median:.1f}", f"{median - 0.1:.1f} to {median + 0.1:.1f}"]
        for row, median in enumerate((50.1, 56.1, 62.1))  # the smallest α is at the foot
        for column in range(3)
    } | {(0.5, 2.5): ["62.2 (n = 1)"]}, "at the largest α and the smallest B the last seed alone is sound"
    shades = {patch.get_xy(): patch.get_facecolor() for patch in ax.patches}
    assert shades[0, 0] == shades[2, 0] != shades[0, 1], "a colour is a median"
    lowest = next(panel for panel in figure.axes if panel.get_xlabel() == "batch size B")
    assert [tick.get_text() for tick in lowest.get_xticklabels()] == ["16", "64", "256"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0.01", "0.04", "0.16"]


@pytest.mark.parametrize(
    ("changes", "says", "measured"),
    [
        ({}, "batch norm in train mode, mini-batches of each cell’s own B images", 10),
        ({"partition": 256}, "batch norm in train mode, mini-batches of 256 images", 10),
        ({"partition": 256, "bn_mode": "eval"}, "batch norm in eval mode, mini-batches of 256 images", 30),
    ],
)
def test_the_grid_says_of_what_sharpness_is(changes, says, measured):
    """Eval mode where it was measured beside train mode. A network without batch statistics has the same partition."""
    histories, hessian = [], []
    for norm, alpha, size, seed in grid("batch", "none"):
        histories += [run(norm, alpha, size, seed)]
        hessian += curvature(norm, alpha, size, seed, **{k: v for k, v in changes.items() if k != "bn_mode"})
        if norm == "batch" and "bn_mode" in changes:
            hessian += curvature(norm, alpha, size, seed, top=30.0, **changes)
    figure, tables = alpha_batch_grid.draw(pd.DataFrame(histories), None, pd.DataFrame(hessian))
    assert f"sharpness: {says}" in [text.get_text() for legend in figure.legends for text in legend.texts]
    table = tables[""]
    assert (table.loc[table["norm"] == "batch", "sharpness"] == measured).all()
    assert (table.loc[table["norm"] == "none", "sharpness"] == 10).all()
    assert (table["sharpness_partition"] == changes.get("partition", table["batch_size"])).all()


def test_before_training_a_network_stands_at_every_alpha():
    rows = gradients("batch", np.nan, 64, 0, epoch=0, noise=8.0)
    rows += [r for a in (0.1, 0.01) for e in (10, 20) for r in gradients("batch", a, 64, 0, epoch=e)]
    table = along_training(pd.DataFrame(rows))
    start = table[table["epoch"] == 0]
    assert start["alpha"].tolist() == [0.01, 0.1]
    assert start["noise"].tolist() == [8, 8]
    assert start["update_noise"].tolist() == pytest.approx([8e-4, 8e-2])
    histories = pd.DataFrame([run("batch", a, 64, 0) for a in (0.1, 0.01)])
    figure, tables = noise_along_training.draw(histories, pd.DataFrame(rows))
    assert len(tables[""]) == 6
    assert [ax.get_ylabel() for ax in figure.axes] == list(noise_along_training.ROWS.values())


def test_two_moments_are_not_joined_but_stand_against_the_learning_rate():
    rows = [r for e in (0, 20) for s in (0, 1) for r in gradients("batch", np.nan, 64, s, epoch=e, constant=5.0 + s)]
    trained = [row | {"alpha": a, "value": row["value"] / 10} for row in rows if row["epoch"] for a in (0.1, 0.01)]
    histories = pd.DataFrame([run("batch", a, 64, s) for a in (0.1, 0.01) for s in (0, 1)])
    start = [row for row in rows if not row["epoch"]]
    figure, _ = noise_along_training.draw(histories, pd.DataFrame(start + trained))
    ax = figure.axes[0]
    before, after = (line for line in ax.get_lines() if line.get_marker() == "o" and len(line.get_xdata()))
    assert before.get_xdata().tolist() == after.get_xdata().tolist() == [0.01, 0.1]
    assert before.get_ydata() == pytest.approx([5.5, 5.5])
    assert after.get_ydata() == pytest.approx([0.55, 0.55])
    assert {"before training", "after training", "median of 2 seeds"} <= set(drawn.legends(figure))


def test_networks_that_failed_enter_no_median_and_few_cells_no_correlation():
    histories, structure = [], []
    for norm, alpha, seed in itertools.product(("batch", "none"), (0.1, 0.01), range(3)):
        failed = "stuck at chance" if norm == "none" and seed else None
        histories += [run(norm, alpha, 64, seed, failure=failed)]
        structure += gradients(norm, alpha, 64, seed, constant=100.0 if failed else 1.0)
    figure, tables = noise_by_architecture.draw(pd.DataFrame(histories), pd.DataFrame(structure))
    assert len(figure.axes) == 6, "four cells tell nothing of a correlation"
    assert drawn.markers(figure.axes[0], "none")[:, 1].tolist() == [1]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["batch\nnorm", "no\nnorm"]
    assert (tables[""]["failure"] != "").sum() == 2, "the CSV has them"
    alone = pd.DataFrame(structure)[lambda rows: rows["norm"] == "batch"]
    with pytest.raises(NothingToShow, match="no architectures or norms to compare"):
        noise_by_architecture.draw(pd.DataFrame(histories), alone)


def test_rank_correlations_with_the_gap():
    """The gap rises with the update's noise over the cells, whatever the other quantities do."""
    rng = np.random.default_rng(0)
    histories, structure, hessian = [], [], []
    for norm, alpha, size, seed in grid("batch", "none"):
        noise = 7.0 / size * (1 + (norm == "none"))
        histories += [run(norm, alpha, size, seed, test_loss=0.1 + (alpha**2 * noise) ** 0.1)]
        structure += gradients(norm, alpha, size, seed, noise=noise)
        hessian += curvature(norm, alpha, size, seed, top=rng.uniform(1, 2)) if size > 16 else []
    figure, tables = noise_by_architecture.draw(*map(pd.DataFrame, (histories, structure, hessian)))
    summary = tables["summary"].set_index(["norm", "quantity", "gap"])
    every = summary.loc[("all", "update_noise", "loss_gap")]
    assert (every["cells"], every["rho"], every["high"]) == (18, pytest.approx(1), pytest.approx(1))
    assert np.isnan(every["partial"]), "α and B decide it"
    assert summary.loc[("all", "layer_variation", "loss_gap"), "rho"] == 0  # the same everywhere
    assert summary.loc[("all", "sharpness", "loss_gap"), ["cells", "compared", "given"]].tolist() == [12, 12, 7]
    assert len(tables["cells"]) == 18
    titles = [ax.get_title() for ax in figure.axes]
    assert "ρ = 1.00; given α and B:\nno value" in titles
    assert any(ax.get_xlabel().startswith("sharpness") for ax in figure.axes)


def test_a_mean_over_seeds_says_over_how_many_and_where_one_has_no_value():
    histories = [run("batch", 0.04, 64, seed, failure="overflow" if seed == 2 else None) for seed in range(3)]
    histories += [run("none", 0.04, 64, seed) for seed in range(3)]
    structure, hessian = [], []
    for norm, seed in itertools.product(("batch", "none"), range(3)):
        drowned = norm == "none" and seed == 1
        structure += gradients(norm, 0.04, 64, seed, gradient_norm2=-0.1 if drowned else 0.5, noise=1.0 + seed)
        hessian += curvature(norm, 0.04, 64, seed, top=1.0 + seed) if norm == "batch" and not seed else []
    cells = by_cell(runs(*map(pd.DataFrame, (histories, structure, hessian)))).set_index("norm")
    assert cells[["seeds", "sound_seeds"]].to_numpy().tolist() == [[3, 2], [3, 3]]
    assert cells["noise"].tolist() == [1.5, 2.0]
    assert cells["noise_seeds"].tolist() == [2, 3]
    assert cells["noise_scale_seeds"].tolist() == [2, 2]
    assert cells.loc["batch", "sharpness"] == 1
    assert cells["sharpness_seeds"].tolist() == [1, 0], "not measured at all is no incomplete mean"
    assert cells["incomplete"].tolist() == ["sharpness trace", "noise_scale"]
    counted = correlations(cells.reset_index()).set_index(["norm", "quantity", "gap"])["incomplete"]
    assert counted[("all", "noise_scale", "loss_gap")] == 1
    assert counted[("all", "noise", "loss_gap")] == 0


def test_networks_at_a_loss_stand_apart_with_those_that_never_reached_it():
    histories = [run(norm, 0.04, 64, seed, clean_train_loss=0.05) for norm in ("batch", "none") for seed in (0, 1)]
    structure = [row for h in histories for row in gradients(h["norm"], 0.04, 64, h["seed"], noise=2.0)]
    early = {"epoch": 7, "fraction": np.nan, "at_loss": 0.5}
    structure += [row | early for seed in (0, 1) for row in gradients("batch", 0.04, 64, seed, noise=8.0)]
    histories += [row | {"epoch": 7, "train_loss": 0.4, "clean_train_loss": 0.3} for row in histories]
    histories, structure = pd.DataFrame(histories), pd.DataFrame(structure)
    _, tables = noise_by_architecture.draw(histories, structure)
    assert tables[""]["noise_scale"].eq(2 * 64 / 0.5).all(), "the end is the end"
    found = at_losses(structure, histories).set_index(["norm", "seed"]).sort_index()
    assert found["at_loss"].eq(0.5).all()
    assert found["noise"].tolist() == pytest.approx([8, 8, np.nan, np.nan], nan_ok=True)
    assert found["clean_train_loss"].tolist() == pytest.approx([0.3, 0.3, np.nan, np.nan], nan_ok=True)
    assert found["epoch"].isna().tolist() == [False, False, True, True]
