"""Predictions of later work on made-up results whose truth is known."""

import itertools

import drawn
import evidence
import numpy as np
import pandas as pd
import pytest
from grids import ALPHAS, SEEDS, SIZES, curvature, gradients, grid, run

from understanding_bn.claims.catalogue import FOLLOWUPS
from understanding_bn.claims.checks import INCONCLUSIVE, NOT_RUN, OPPOSITE, REFUTED, REPRODUCED
from understanding_bn.claims.followups import explosion
from understanding_bn.figures import alpha_batch_grid, noise_along_training, noise_by_architecture
from understanding_bn.figures.nothing import NothingToShow


def judged(tmp_path, histories=(), structure=(), hessian=(), **initial):
    """The verdicts of predictions on rows of these kinds; each cell is one job. `initial`: rows by measurement."""
    paths = evidence.trained(tmp_path, histories) if len(histories) else []
    for name, rows in initial.items():
        paths += evidence.measured_at_start(tmp_path, name, rows)
    for name, rows in (("gradient_structure", structure), ("hessian_spectrum", hessian)):
        if rows:
            paths += evidence.measured_at_end(tmp_path, name, rows)
    claims = evidence.judged(tmp_path, paths)
    ids = [claim.id for claim in FOLLOWUPS]
    assert [*claims][-len(ids) :] == ids
    assert all(claims[i]["source"] for i in ids)
    return {i: claims[i] for i in ids}


@pytest.mark.parametrize(
    ("exponent", "verdict"),
    [(-1.0, REPRODUCED), (-5 / 7, INCONCLUSIVE), (-0.4, REFUTED), (0.0, OPPOSITE)],
)
def test_equal_ratios_end_more_alike_than_others_or_not(tmp_path, exponent, verdict):
    """Accuracy linear in log2 α + e · log2 B, a bit different by seed; α and B differ fourfold between neighbours.

    Where α alone changes, accuracy changes by 2 units, where B alone does by 2|e|, where both do by 2|1 + e|. There are
    as many pairs of the first kind as of the second.
    """
    rows = []
    for norm, alpha, size, seed in grid("batch"):
        noise = 1e-4 * ((7 * seed + size + int(100 * alpha)) % 5)
        rows.append(run(norm, alpha, size, seed, 0.6 + 0.01 * np.log2(alpha * float(size) ** exponent) + noise))
    claim = judged(tmp_path, rows)["L1"]
    assert claim["verdict"] == verdict
    assert claim["measured"] == pytest.approx(2 * abs(1 + exponent) / (1 + abs(exponent)), abs=0.05)


def test_a_cell_in_which_a_seed_failed_is_in_no_pair_of_that_seed(tmp_path):
    rows = [run(n, a, b, s, 0.8 + 0.01 * np.log2(a / b) + 1e-4 * s) for n, a, b, s in grid("batch")]
    rows[0] |= {"failure": "overflow", "test_accuracy": np.nan}
    claim = judged(tmp_path, rows)["L1"]
    assert claim["measured"] == pytest.approx(0, abs=1e-9) and claim["seeds"] == 3
    assert "4 pairs of equal α/B over 12 of unequal" in claim["measure"]


@pytest.mark.parametrize(
    ("best", "verdict"), [((1, 4, 16), REPRODUCED), ((4, 4, 4), INCONCLUSIVE), ((16, 4, 1), OPPOSITE)]
)
def test_the_best_alpha_against_the_batch_size(tmp_path, best, verdict):
    """The same in each of six seeds, which is beyond chance by the sign flip."""
    best = {size: factor / 100 for size, factor in zip((16, 64, 256), best, strict=True)}
    cells = itertools.product(ALPHAS, SIZES, range(6))
    rows = [run("batch", a, b, s, 0.9 if a == best[b] else 0.8) for a, b, s in cells]
    assert judged(tmp_path, rows)["L2"]["verdict"] == verdict


@pytest.mark.parametrize("trains", [True, False])
def test_fixup_beside_batch_norm(tmp_path, trains):
    papers = {"arch": "resnet-110", "clean_train_accuracy": 1.0, "learning_rate": 0.001}  # its schedule is done
    rows = [run("batch", 0.1, 128, s, 0.95, **papers) for s in range(5)]
    rows += [run("none", 0.1, 128, s, (0.94 if trains else 0.8) + 0.001 * s, init="fixup", **papers) for s in range(5)]
    assert judged(tmp_path, rows)["L4"]["verdict"] == (REPRODUCED if trains else REFUTED)


def searches(ratios, unscaled=1e-5, stable=(), nowhere=()):
    """Rows of max_learning_rate: the preset's own network, then both initialisations at each depth, three seeds.

    `stable`, `nowhere`: (depth, init) of searches in which every or no α was stable.
    """
    networks = [("xavier_uniform", 8, norm, 0.1) for norm in ("batch", "none")]
    for depth, ratio in ratios.items():
        networks += [("kaiming", depth, "none", unscaled), ("branch_scaled", depth, "none", ratio * unscaled)]
    rows = []
    for (init, depth, norm, limit), seed in itertools.product(networks, SEEDS):
        facts = {"init": init, "arch": f"resnet-{depth}", "norm": norm, "batch_size": 4, "seed": seed}
        limit *= 1 + 0.02 * seed * (init == "branch_scaled")
        if (depth, init) not in nowhere:
            rows.append(facts | {"alpha": limit, "outcome": "stable", "update": 5})
        if (depth, init) not in stable:
            rows.append(facts | {"alpha": 2 * limit, "outcome": "diverged", "update": 2})
    return rows


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ({20: 2, 56: 50, 110: 1e4}, REPRODUCED),
        ({20: 50, 56: 5, 110: 1e4}, REFUTED),
        ({56: 50, 110: 0.5}, REFUTED),  # the depths disagree on the direction
        ({56: 0.5}, OPPOSITE),
    ],
)
def test_scaled_branches_are_stable_at_larger_rates_in_deep_networks(tmp_path, ratios, verdict):
    claim = judged(tmp_path, max_learning_rate=searches(ratios))["L3"]
    assert claim["verdict"] == verdict
    assert [check["measured"] for check in claim["checks"]] == pytest.approx(
        [ratio * (1.02 * 1.04) ** (1 / 3) for depth, ratio in ratios.items() if depth >= 56]
    )


def test_a_scaled_network_that_is_stable_everywhere_is_a_lower_bound(tmp_path):
    claim = judged(tmp_path / "1", max_learning_rate=searches({56: 50}, stable=[(56, "branch_scaled")]))["L3"]
    assert claim["verdict"] == REPRODUCED and "3 of 3 are lower bounds" in claim["measure"]
    for number, (limits, missing) in enumerate(
        [
            ({"stable": [(56, "kaiming")]}, "larger largest_alpha"),
            ({"nowhere": [(56, "kaiming")]}, "smaller smallest_alpha"),
            ({"nowhere": [(56, "branch_scaled")]}, "smaller smallest_alpha"),
        ]
    ):
        claim = judged(tmp_path / f"2{number}", max_learning_rate=searches({56: 50}, **limits))["L3"]
        assert claim["verdict"] == NOT_RUN and missing in claim["note"]
    claim = judged(tmp_path / "3", max_learning_rate=searches({20: 50}))["L3"]
    assert claim["verdict"] == NOT_RUN and "depth 56 or more" in claim["note"]


def test_networks_that_are_compared_have_no_part_in_claims_on_depth_and_initialisation(tmp_path):
    rows = searches({8: 3, 56: 50, 110: 50})
    paths = evidence.measured_at_start(tmp_path, "max_learning_rate", rows)
    claims = evidence.judged(tmp_path, paths)
    assert claims[16]["note"] == "needs max_learning_rate without BN at two depths"
    assert claims[17]["note"].endswith("initialisation orthogonal")


def noises(**late):
    """Rows of gradient_structure at a tenth and at the end of training, BN and none, three seeds."""
    rows = []
    for norm, seed in itertools.product(("batch", "none"), SEEDS):
        early = {"signal_norm2": 0.5 + 0.01 * seed, "signal_minibatches": 200.0}
        rows += gradients(norm, 0.04, 64, seed, epoch=2, **early)
        rows += gradients(norm, 0.04, 64, seed, epoch=20, **(early | late))
    return rows


@pytest.mark.parametrize(("late", "verdict"), [(0.05, REPRODUCED), (5.0, OPPOSITE)])
def test_the_noise_scale_grows_or_shrinks(tmp_path, late, verdict):
    """By |g|² of many mini-batches, whatever that of few is."""
    structure = noises(signal_norm2=late, gradient_norm2=0.5)
    claim = judged(tmp_path, [run("batch", 0.04, 64, s) for s in SEEDS], structure)["L5"]
    assert claim["verdict"] == verdict
    assert "no |g|²" not in claim["measure"]


def test_a_noise_scale_needs_many_mini_batches_and_those_drowned_in_noise_are_counted(tmp_path):
    rows = [run("batch", 0.04, 64, s) for s in SEEDS]
    claim = judged(tmp_path / "few", rows, noises(signal_minibatches=199.0))["L5"]
    assert claim["verdict"] == NOT_RUN and "signal_minibatches of 200 or more" in claim["note"]
    unknown = [row for row in noises() if row["quantity"] != "signal_minibatches"]
    assert judged(tmp_path / "unknown", rows, unknown)["L5"]["verdict"] == NOT_RUN
    drowned = noises(signal_norm2=0.05)
    drowned += [
        row | {"alpha": 0.01, "value": -1.0 if row["quantity"] == "signal_norm2" else row["value"]} for row in drowned
    ]
    claim = judged(tmp_path / "drowned", rows, drowned)["L5"]
    assert "3 of 6 networks have no |g|² above noise" in claim["measure"]
    assert claim["measured"] == pytest.approx(1, abs=0.02)


def test_runs_that_failed_have_no_part_in_the_noise_along_training(tmp_path):
    structure = []
    for seed in SEEDS:
        for epoch, late in ((2, 0.5), (20, 0.05 if seed else 5000.0)):
            for norm in ("batch", "none"):
                signal = {"signal_norm2": late + 0.001 * seed, "signal_minibatches": 200.0}
                structure += gradients(norm, 0.04, 64, seed, epoch=epoch, **signal)
    rows = [run(n, 0.04, 64, s, 0.9, None if s else "stuck at chance") for n in ("batch", "none") for s in SEEDS]
    figure, tables = noise_along_training.draw(pd.DataFrame(rows), pd.DataFrame(structure))
    assert set(tables[""].loc[tables[""]["failure"] != "", "seed"]) == {0}
    assert "median of 2 seeds" in drawn.legends(figure)
    scale = next(ax for ax in figure.axes if "noise scale" in ax.get_ylabel())
    before, after = (drawn.markers(scale, "batch")[row] for row in (0, 1))
    scales = np.array([[128 / (late + 0.001 * seed) for late in (0.5, 0.05)] for seed in (1, 2)])  # tr Σ / |g|²
    assert before == pytest.approx([0.04, scales[:, 0].mean()])
    assert after == pytest.approx([0.04, scales[:, 1].mean()])
    reaches = sorted(drawn.segments(scale, "batch"), key=lambda ends: ends[0, 1])
    assert [ends[:, 1].tolist() for ends in reaches] == [
        pytest.approx([scales[:, moment].min(), scales[:, moment].max()]) for moment in (0, 1)
    ]
    claim = judged(tmp_path, rows, structure)["L5"]
    assert claim["measured"] > 0
    assert (claim["seeds"], claim["verdict"]) == (2, INCONCLUSIVE)


@pytest.mark.parametrize(("rate", "verdict"), [(1.21, REPRODUCED), (1.0, REFUTED), (1.31, INCONCLUSIVE)])
def test_gradients_explode_at_a_rate_per_layer(tmp_path, rate, verdict):
    structure = []
    for seed in SEEDS:
        noisy = rate * (1 + 0.005 * (seed - 1))
        squares = {layer: noisy ** (2 * (20 - layer)) * 10.0 ** ((layer - 2) // 6) for layer in range(1, 21)}
        structure += gradients("batch", np.nan, 64, seed, epoch=0, layers=squares)
    structure = [row | {"arch": "plain-20"} for row in structure]
    table = pd.DataFrame(structure)
    assert explosion(table, 20) == pytest.approx([rate * 0.995, rate, rate * 1.005])
    rows = [run("batch", 0.04, 64, s) for s in SEEDS]
    assert judged(tmp_path, rows, structure)["L6"]["verdict"] == verdict


def descents(median=1.0, cross=True, failure="", norms=("batch", "none"), **changes):
    """Rows of edge_of_stability: two losses and momenta, three seeds, whose medians are near `median`."""
    rows = []
    for norm, loss, momentum, seed in itertools.product(norms, ("cross_entropy", "mse"), (0.0, 0.9), SEEDS):
        facts = {"arch": "resnet-8", "init": "xavier_uniform", "norm": norm, "loss": loss, "momentum": momentum}
        facts |= {"seed": seed, "batch_size": 256, "alpha": 0.1, "training_loss": 1.0, "failure": ""} | changes
        shares = [0.5, 1.3 if cross else 0.9, median * (1 + 0.02 * seed)]
        rows += [facts | {"update": n, "sharpness": share * (2 + 2 * momentum) / 0.1} for n, share in enumerate(shares)]
        if failure:
            rows.append(facts | {"update": 3, "sharpness": np.nan, "failure": failure})
    return rows


@pytest.mark.parametrize(("median", "verdict"), [(1.0, REPRODUCED), (0.3, REFUTED), (2.0, REFUTED)])
def test_descents_settle_at_the_edge_of_stability_or_not(tmp_path, median, verdict):
    claim = judged(tmp_path, edge_of_stability=descents(median))["L7"]
    assert claim["verdict"] == verdict
    assert len(claim["checks"]) == 2 * 2 * 2 * 2, "norm, loss, momentum; both bounds"
    expected = median * (1.02 * 1.04) ** (1 / 3)
    assert [check["measured"] for check in claim["checks"]] == pytest.approx([expected] * 16)


def test_one_norm_away_from_the_edge_is_enough(tmp_path):
    rows = descents(norms=["none"]) + descents(0.3, norms=["batch"])
    assert judged(tmp_path, edge_of_stability=rows)["L7"]["verdict"] == REFUTED


def test_descents_that_do_not_settle_are_counted_and_not_averaged(tmp_path):
    others = descents(cross=False, norms=["none"], alpha=0.2 / 2.9) + descents(failure="collapsed", alpha=0.11)
    claim = judged(tmp_path / "some", edge_of_stability=descents() + others)["L7"]
    assert claim["verdict"] == REPRODUCED
    names = [check["name"] for check in claim["checks"]]
    assert any("none, mse, β = 0.9 (3 of 9 descents, 3 never crossed, 3 collapsed)" in name for name in names)
    claim = judged(tmp_path / "nobody", edge_of_stability=descents(0.9, cross=False))["L7"]
    assert claim["verdict"] == NOT_RUN and "cross the edge" in claim["note"]
    one_never = descents(norms=["none"]) + descents(0.9, cross=False, norms=["batch"])
    claim = judged(tmp_path / "one", edge_of_stability=one_never)["L7"]
    assert claim["verdict"] == INCONCLUSIVE


@pytest.mark.parametrize(("outlier", "shallow", "verdict"), [(2.0, 50.0, REPRODUCED), (200.0, 1.0, OPPOSITE)])
def test_outliers_and_traces_with_batch_norm_and_without(tmp_path, outlier, shallow, verdict):
    rows = [run(n, 0.04, 64, s, arch=a) for n in ("batch", "none") for s in SEEDS for a in ("resnet-20", "resnet-8")]
    hessian = []
    for seed, arch in itertools.product(SEEDS, ("resnet-20", "resnet-8")):
        hessian += curvature("batch", 0.04, 64, seed, top=outlier + seed, trace=shallow + 0.01 * seed, arch=arch)
        hessian += curvature("none", 0.04, 64, seed, top=20.0, trace=5.0, arch=arch)
    claims = judged(tmp_path, rows, hessian=hessian)
    assert claims["L8"]["verdict"] == claims["L9"]["verdict"] == verdict
    assert "ResNet-8" in claims["L9"]["measure"]


def test_networks_without_a_spectrum_are_counted(tmp_path):
    rows = [run(n, 0.04, 64, s, arch="resnet-8") for n in ("batch", "none") for s in SEEDS]
    hessian = []
    for norm, seed in itertools.product(("batch", "none"), SEEDS):
        spectrum = curvature(norm, 0.04, 64, seed, top=2.0 + seed, arch="resnet-8")
        bad = norm == "none" and seed == 1
        hessian += [row | ({"value": np.nan, "weight": np.nan} if bad else {}) for row in spectrum]
    claims = judged(tmp_path, rows, hessian=hessian)
    for claim in (claims["L8"], claims["L9"]):
        assert f"(1 of {len(SEEDS)} have none); 1 of {len(SEEDS)} without a value" in claim["measure"]
        assert claim["seeds"] == len(SEEDS) - 1


def test_a_plain_network_of_one_block_a_stage_has_no_rate_per_layer(tmp_path):
    structure = [
        row | {"arch": "plain-8"}
        for seed in SEEDS
        for row in gradients("batch", np.nan, 64, seed, epoch=0, layers=dict.fromkeys(range(1, 9), 1.0))
    ]
    claim = judged(tmp_path, [run("batch", 0.04, 64, s) for s in SEEDS], structure)["L6"]
    assert claim["verdict"] == NOT_RUN
    assert "plain network of 14 layers or more" in claim["note"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_gradient_that_is_not_finite_or_zero_has_no_rate_per_layer(bad):
    squares = [dict.fromkeys(range(1, 21), value) for value in (1.0, bad)]
    structure = [row for seed in (0, 1) for row in gradients("batch", np.nan, 64, seed, epoch=0, layers=squares[seed])]
    table = pd.DataFrame(structure)
    lost = (table["seed"] == 1) & table["quantity"].isin(["noise", "gradient_norm2"])
    table.loc[lost, "value"] = bad
    rates = explosion(table, 20)
    assert rates[0] == pytest.approx(1)
    assert np.isnan(rates[1])


def test_what_was_not_run_says_so(tmp_path):
    claims = judged(tmp_path, [run("batch", 0.04, 64, 0)])
    assert {claim["verdict"] for claim in claims.values()} == {NOT_RUN}
    assert all(claim["note"].startswith("needs ") for claim in claims.values())


def test_where_every_run_failed_nothing_is_shown_and_nothing_decided(tmp_path):
    rows = [run(n, a, b, s, 0.1, "stuck at chance") for n, a, b, s in grid("batch", "none")]
    structure = [row for n, a, b, s in grid("batch", "none") for row in gradients(n, a, b, s)]
    for figure in (alpha_batch_grid, noise_along_training, noise_by_architecture):
        with pytest.raises(NothingToShow, match="failed: it diverged or stayed at chance"):
            figure.draw(pd.DataFrame(rows), pd.DataFrame(structure))
    claims = judged(tmp_path, rows, structure)
    assert claims["L1"]["verdict"] == claims["L2"]["verdict"] == INCONCLUSIVE
    assert claims["L1"]["measured"] is None
