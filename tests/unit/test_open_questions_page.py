"""The tables of docs/open-questions.md, from made-up records."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from records import described, job

from understanding_bn.docs_pages import batch_size_page, conditioning_page, noise_page, results_page, values
from understanding_bn.errors import UserError
from understanding_bn.report import reference
from understanding_bn.summaries.best_cells import beside_best
from understanding_bn.summaries.learning_rate_grid import STATISTICS, UPDATE, UPDATE_AND_ALPHA


def cells(text):
    """The rows of a Markdown table below its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_changes_have_their_intervals_and_gaps_are_dashes(record, write):
    row = {"norm": "batch", "move": "only α", "quantity": "test_accuracy", "change": 1.5, "low": 1.0, "high": 2.0}
    write("alpha_batch_grid_summary", [row, row | {"quantity": "gap", "change": np.nan, "low": np.nan}])
    write("alpha_batch_grid", [{"sharpness_partition": 64}] * 2)
    assert cells(batch_size_page.moves(record)) == [["batch", "only α", "+1.50 [+1.00, +2.00]", "–", "–", "–"]]
    write("alpha_batch_grid", [{"sharpness_partition": 64}, {"sharpness_partition": 16}])
    text = batch_size_page.moves(record)
    assert cells(text) == [["batch", "only α", "+1.50 [+1.00, +2.00]", "–", "–"]]
    assert "sharpness" not in text, "each cell has its own measure of it"


def test_with_ghost_norms_the_roles_of_the_batch_size_are_moves_too(record, write):
    moves = ("only α", "only B", "α and B, α/B fixed", UPDATE, STATISTICS, UPDATE_AND_ALPHA)
    change = {"norm": "batch", "quantity": "gap", "pairs": 2, "seeds": 3}
    rows = [change | {"move": move, "change": n, "low": n - 0.5, "high": n + 0.5} for n, move in enumerate(moves)]
    write("alpha_batch_grid_summary", rows[:3])
    write("alpha_batch_grid", [{"sharpness_partition": 64}])
    assert len(cells(batch_size_page.moves(record))) == 3
    write("batch_size_roles", rows)
    assert [row[1] for row in cells(batch_size_page.moves(record))] == list(moves)
    assert values.doubling(record, "batch", "update", "gap") == "+3.00 [+2.50, +3.50]"
    assert values.direction(record, "batch", "statistics", "gap") == "+"
    assert values.doubling(record, "batch", "update-and-α", "gap") == "+5.00 [+4.50, +5.50]"


def test_small_steps_are_set_beside_batch_norm_at_its_best(record, write):
    rows = []
    for seed in range(3):
        fact = {"seed": seed, "failure": None}
        rows += [fact | {"norm": "batch", "alpha": 0.1, "batch_size": 64, "test_accuracy": 98 + seed}]
        rows += [fact | {"norm": "batch", "alpha": 0.1, "batch_size": 16, "test_accuracy": 90.0}]
        rows += [fact | {"norm": "none", "alpha": 0.01, "batch_size": 16, "test_accuracy": 96 + seed}]
        rows += [fact | {"norm": "none", "alpha": 0.02, "batch_size": 16, "test_accuracy": 98.0 + seed}]
        failed = {"norm": "none", "alpha": 0.1, "batch_size": 16, "test_accuracy": None, "failure": "overflow"}
        rows += [fact | failed]
    write("alpha_batch_grid_best", beside_best(pd.DataFrame(rows)))
    text = batch_size_page.small_steps(record)
    assert cells(text) == [
        ["α = 0.01, B = 16", "97.00 ± 1.00", "-2.00 [-2.00, -2.00]", "3.00", "below BN"],
        ["α = 0.02, B = 16", "99.00 ± 1.00", "+0.00 [+0.00, +0.00]", "1.00", "no difference beyond chance"],
        ["α = 0.1, B = 16", "failed in 3 of 3 seeds", "–", "–", ""],
    ]
    assert "*BN at its best, chosen on test images: α = 0.1, B = 64, 99.00 ± 1.00 %. Interval over 3 seeds" in text


def test_where_batch_norm_turns_stands_by_quantity_and_shortcut(record, write):
    turn = {"norm": "batch", "init": "xavier_uniform", "above": np.nan, "below": np.nan, "raised": 2, "lowered": 0}
    turn |= {"depths": 2, "verdict": "raises"}
    found = [
        turn
        | {"shortcut": "projection", "quantity": "constant", "verdict": "turns to lowering", "raised": 1}
        | {"lowered": 1, "above": 56, "below": 110},
        turn | {"shortcut": "none", "quantity": "constant"},
        turn | {"shortcut": "none", "quantity": "relative_curvature", "verdict": "lowers", "raised": 0, "lowered": 1},
        turn | {"shortcut": "none", "quantity": "layer_variation", "verdict": "unclear", "raised": 0},
        turn | {"shortcut": "none", "quantity": "constant", "norm": "layer", "verdict": "lowers"},
    ]
    write("noise_by_depth_summary", found)
    compared = []
    for row, (depth, mean) in itertools.product(found, ((8, 1.5), (110, -2.0))):
        fact = {name: row[name] for name in ("norm", "shortcut", "init", "quantity")}
        fact |= {"depth": depth, "score": "log10_ratio", "mean": mean, "low": mean - 0.5, "high": mean + 0.5, "sign": 1}
        signed = {"score": "relative_difference", "sign": -1 if depth == 8 else 0}
        missing = dict.fromkeys(("mean", "low", "high"), np.nan)
        quantity = fact["quantity"]
        compared.append(fact | (signed if "curvature" in quantity else missing if "layer" in quantity else {}))
    write("noise_by_depth_comparisons", compared)
    ratios = ["+1.50 [+1.00, +2.00]", "-2.00 [-2.50, -1.50]"]
    assert cells(noise_page.noise_turns(record)) == [
        ["C", "projection", "raises it up to 56, lowers it from 110", ratios[0], f"{ratios[1]} (110 layers)"],
        ["C", "none", "raises it at all depths", ratios[0], f"{ratios[1]} (110 layers)"],
        ["tr(HΣ) / L", "none", "lowers it at 1 of 2 depths, unclear at the others", "−", "unclear (110 layers)"],
        ["variation between layers", "none", "unclear", "–", "– (110 layers)"],
    ]
    assert values.turn(record, "constant", "projection") == "raises it up to 56, lowers it from 110"
    assert values.ratio_at(record, "constant", "none", "110") == ratios[1]
    with pytest.raises(UserError, match="0 rows with depth 9"):
        values.ratio_at(record, "constant", "none", "9")


def test_noise_is_compared_at_matched_loss_with_what_never_got_there(record, write):
    rows = []
    for (moment, sign), arch in itertools.product((("before training", 1), ("loss 0.1", -1)), ("plain-8", "plain-20")):
        lost = moment == "loss 0.1" and arch == "plain-20"
        fact = {"norm": "batch", "arch": arch, "moment": moment, "seeds": 3, "not_finite": int(lost)}
        fact |= {"score": "log10_ratio", "sign": 0 if lost else sign} | dict.fromkeys(("mean", "low", "high"), np.nan)
        values_of = {} if lost else {"mean": sign * 1.0, "low": sign - 0.5, "high": sign + 0.5}
        rows += [fact | values_of | {"quantity": quantity} for quantity in noise_page.NOISE]
    write("noise_at_losses_comparisons", rows)
    text = noise_page.noise_at_losses(record)
    assert "| batch norm compared with none | before training | loss 0.1 |" in text
    assert cells(text)[0] == ["C", "raises 2, lowers 0", "raises 0, lowers 1"]
    assert text.rstrip().endswith(" At loss 0.1, 1 of 6 pairs of runs have one that never got there.*")
    assert values.at_loss(record, "constant", "raises", "before") == "2 of 2"
    assert values.at_loss(record, "constant", "lowers", "0.1") == "1 of 2"
    assert values.ratio_at_loss(record, "constant", "plain-8", "0.1") == "-1.00 [-1.50, -0.50]"
    assert values.ratio_at_loss(record, "constant", "plain-20", "0.1") == "–"
    for wrong in (("size", "raises", "0.1"), ("constant", "raises", "7")):
        with pytest.raises(UserError, match="no comparison of"):
            values.at_loss(record, *wrong)
    with pytest.raises(UserError, match="expected raises or lowers"):
        values.at_loss(record, "constant", "halves", "0.1")
    with pytest.raises(UserError, match="expected one"):
        values.ratio_at_loss(record, "constant", "resnet-8", "0.1")


def network(norm="none", mode="none", size=128, init="orthogonal", **changes):
    """A row of the summary of plain networks, with made-up slopes."""
    row = {"shortcut": "none", "norm": norm, "bn_mode": mode, "batch_size": size, "init": init, "condition_theory": 1.0}
    values = {"_slope": 0.11, "_gaussian": 0.05, "_gaussian_masked": 0.1, "_over_masked": 0.01}
    values["_over_none"] = np.nan if norm == "none" else -0.04
    for name, value in values.items():
        ends = name.removesuffix("_slope")
        row |= {f"condition{name}": value, f"condition{ends}_low": value - 0.01, f"condition{ends}_high": value + 0.01}
    return row | {"condition_verdict": "agrees"} | changes


def test_plain_networks_stand_beside_products_of_their_sizes(record, write):
    shortcuts = network(shortcut="projection", condition_gaussian_masked=np.nan)
    above = network(init="fixup", condition_verdict="above")
    write("jacobian_conditioning_summary", [network(), above, shortcuts, network("batch", "train")])
    numbers = ["0.110 [0.100, 0.120]", "0.050 [0.040, 0.060]", "0.100 [0.090, 0.110]", "+0.010 [+0.000, +0.020]"]
    text = conditioning_page.comparators(record)
    assert cells(text) == [["orthogonal", *numbers, "agrees"], ["fixup", *numbers, "above"]]
    assert "within ±25 % of the slope with masks" in text
    assert values.slope(record, "none", "none", "none", "", "orthogonal") == numbers[0]
    assert values.slope_of_products(record, "gaussian_masked", "fixup") == numbers[2]
    assert values.over_products(record, "orthogonal") == numbers[3]
    assert values.slope_of_theorem(record, "orthogonal") == "1.00"
    assert (values.following(record, "above"), values.following(record, "below")) == ("fixup", "none")


def test_a_record_without_products_says_so(record, write):
    old = {key: value for key, value in network().items() if "gaussian" not in key}
    for row in (old, network(condition_gaussian_masked=np.nan)):
        write("jacobian_conditioning_summary", [row])
        with pytest.raises(UserError, match="no product of Gaussian matrices was measured"):
            values.following(record, "agrees")


def test_what_batch_norm_changes_stands_by_mode_and_size(record, write):
    rows = [network(), network("batch", "train", 4), network("batch", "train", 4, "fixup", condition_over_none=np.nan)]
    rows += [network("batch", "train", 128, condition_over_none_high=0.01), network("batch", "train", 128, "kaiming")]
    write("jacobian_conditioning_summary", rows)
    assert cells(conditioning_page.conditioning_changes(record)) == [
        ["none", "train mode", "4", "-0.040 [-0.050, -0.030]", "–"],
        ["none", "train mode", "128", "-0.040 [-0.050, +0.010]", "-0.040 [-0.050, -0.030]"],
    ]
    assert values.over_none(record, "none", "train", "4", "orthogonal") == "-0.040 [-0.050, -0.030]"
    assert values.direction_over_none(record, "none", "train", "4", "orthogonal") == "−"
    assert values.direction_over_none(record, "none", "train", "128", "orthogonal") == "0"


def test_correlations_stand_by_quantity_and_norm(record, write):
    row = {"norm": "all", "quantity": "noise", "gap": "loss_gap", "cells": 9, "incomplete": 0, "rho": 0.5}
    row |= {"compared": 8, "partial": 0.2, "partial_low": -0.25, "partial_high": 0.75, "p": 0.1, "p_holm": 0.2}
    alone = {"rho": 0.4, "partial": np.nan, "p": np.nan, "p_holm": np.nan}
    others = [row | {"gap": "gap", "rho": 0.9}, row | {"quantity": "constant"}, row | {"norm": "group"} | alone]
    others += [row | {"norm": "batch", "incomplete": 2, "p_holm": 1e-5}, row | {"norm": "none", "rho": np.nan}]
    write("noise_by_architecture_summary", [row, *others])
    text = noise_page.correlations(record)
    every, batch = ["0.50 (9)", "0.20 [-0.25, 0.75], p = 0.2 (8)"], "0.20 [-0.25, 0.75], p < 0.001 (8)"
    assert cells(text) == [
        ["noise of a gradient", *every, "0.50 (9, 2 incomplete)", batch],
        ["C", *every, "–", "–"],
    ]
    assert "Holm's correction for 3 tests" in text


def test_predictions_have_verdict_and_reason(record):
    claim = {"id": "L1", "statement": "|a| < 1", "source": "S (2020)", "measure": "a", "seeds": 3, "note": ""}
    claim |= {"measured": 0.5, "interval": [0.25, 0.75], "verdict": "reproduced"}
    missing = {"id": "L2", "measured": None, "interval": None, "note": "needs more", "verdict": "not run"}
    (record / "followups.json").write_text(json.dumps([claim, claim | missing]))
    reference.write_provenance(record, {job().folder: described(job())})
    lines = results_page.followups(record.parent, record.name).splitlines()
    assert lines[3] == rf"| L1 | \|a\| < 1 | S (2020) | `{record.name}` | a: 0.5 [0.25 to 0.75], n = 3 | reproduced |"
    assert lines[4] == r"| L2 | \|a\| < 1 | S (2020) | – | needs more | not run |"
    (record.parent / "other").mkdir()
    reference.write_provenance(record.parent / "other", {job().folder: described(job())}, planned=2)
    second = claim | {"id": "L2", "verdict": "inconclusive", "measured": 2.0, "interval": None}
    (record.parent / "other/followups.json").write_text(json.dumps([claim | {"verdict": "not run"}, second]))
    lines = results_page.followups(record.parent, record.name, "other").splitlines()
    assert "reproduced" in lines[3], "each from the record that says most about it"
    assert "`other` (1 of 2 jobs) | a: 2 [no interval], n = 3 | inconclusive" in lines[4]
