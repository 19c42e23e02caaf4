"""The plain words of docs/open-questions.md follow made-up records, whichever way they fall."""

import itertools

import numpy as np
import pytest

from understanding_bn.report import answers

MOVES = list(answers._MOVES)


def moved(accuracy, noise, norm="none"):
    """What three moves do to accuracy and to the noise, each ± 0.5."""
    rows = []
    for quantity, changes in (("test_accuracy", accuracy), ("log2 update_noise", noise)):
        for move, change in zip(MOVES, changes, strict=True):
            row = {"norm": norm, "move": move, "quantity": quantity, "change": change}
            rows.append(row | {"low": change - 0.5, "high": change + 0.5})
    return rows


@pytest.mark.parametrize(
    ("accuracy", "noise", "expected"),
    [
        (
            (2, -2, 0.1),
            (2, -1, 0),
            ["α raises it", "B lowers it", "does not move it beyond chance", "more than either alone", "better"],
        ),
        ((2, -2, 3), (-2, 1, 0), ["The ratio does not decide", "goes with worse accuracy", "(2)"]),
        ((2, -2, 3), (2, 1, 0), ["Accuracy does not follow"]),
        ((0, 0.1, 0), (2, 1, 0), ["Neither alone moves it beyond chance", "No move changed both"]),
    ],
)
def test_what_moves_accuracy_and_whether_noise_goes_with_it(record, write, accuracy, noise, expected):
    write("alpha_batch_grid_summary", moved(accuracy, noise))
    text = answers.noise_or_steps(record)
    assert "**Without norm**" in text
    assert all(part in text for part in expected), text


def test_a_norm_without_all_moves_is_passed_over(record, write):
    both = moved((2, -2, np.nan), (1, 1, 1)) + moved((2, -2, 1), (1, 1, 1), norm="batch")
    write("alpha_batch_grid_summary", both)
    text = answers.noise_or_steps(record)
    assert "**With batch norm**" in text and "Without norm" not in text


def test_noise_is_counted_where_every_seed_agrees(record, write):
    rows = []
    for arch, seed, norm, fraction in itertools.product(("plain-8", "plain-20"), (0, 1), ("batch", "none"), (0, 1)):
        value = 2.0 if norm == "batch" else 1.0
        if arch == "plain-20" and seed == 1 and fraction == 1:
            value = 3 - value  # one seed the other way
        fact = {"arch": arch, "seed": seed, "norm": norm, "fraction": fraction}
        rows.append(fact | dict.fromkeys(answers.COLUMNS, value))
    write("noise_by_architecture", rows)
    row = {"norm": "all", "quantity": "noise", "gap": "loss_gap", "cells": 9, "rho": 0.5, "low": 0.25, "high": 0.75}
    unclear = row | {"quantity": "update_noise", "rho": 0.1, "low": -0.2, "high": 0.3}
    write("noise_by_architecture_summary", [row, unclear, unclear | {"norm": "none"}])
    text = answers.where_noise_is(record)
    assert "| C | 2 of 2 | 0 of 2 | 1 of 2 | 0 of 2 |" in text
    assert "over all 9 cells, go beyond chance, of 2 quantities tried: noise of a gradient (ρ = 0.50)." in text
    assert "over cells without norm, go beyond chance, of 1 quantities tried: none." in text


@pytest.mark.parametrize(
    ("none", "expected"),
    [
        ((98.7, 98.7, 98.7), "**Yes, to within 1 point.**"),
        ((90.0, 90.0, 90.0), "**No.**"),
        ((97.0, 99.5, 99.5), "**Open here:**"),
        ((99.5, 99.5, 99.5), "**Yes, here.**"),
        ((None, None, None), "the question is open"),
    ],
)
def test_the_best_cell_without_norm_beside_the_best_with(record, write, none, expected):
    rows = []
    for seed in (0, 1, 2):
        rows.append({"norm": "batch", "alpha": 0.1, "batch_size": 64, "test_accuracy": 99.0 + 0.1 * seed})
        rows.append({"norm": "batch", "alpha": 0.1, "batch_size": 16, "test_accuracy": 100.0 if seed else None})
        rows.append({"norm": "none", "alpha": 0.01, "batch_size": 16, "test_accuracy": none[seed]})
        rows[-3:] = [row | {"seed": seed} for row in rows[-3:]]
    write("alpha_batch_grid", rows)
    text = answers.best_without(record)
    assert expected in text
    assert none[0] is None or "α = 0.01 and B = 16" in text


def test_one_seed_answers_nothing(record, write):
    cell = {"seed": 0, "alpha": 0.1, "batch_size": 64, "test_accuracy": 99.0}
    write("alpha_batch_grid", [cell | {"norm": "batch"}, cell | {"norm": "none", "test_accuracy": 99.9}])
    assert "the question is open here" in answers.best_without(record)


def test_conditioning_is_counted_where_intervals_are_apart(record, write):
    def network(shortcut, norm, mode, init, slope):
        row = {"shortcut": shortcut, "norm": norm, "bn_mode": mode, "init": init, "condition_theory": 1.0}
        return row | {"condition_slope": slope, "condition_low": slope - 0.01, "condition_high": slope + 0.01}

    rows = [network("none", "none", "none", init, 0.1) for init in ("orthogonal", "xavier_uniform")]
    rows += [network("none", "batch", "train", "orthogonal", 0.05), network("none", "batch", "train", "fixup", np.nan)]
    rows += [network("none", "batch", "train", "xavier_uniform", 0.095)]
    write("jacobian_conditioning_summary", rows)
    text = answers.conditioning(record)
    assert "more than 0.10 decades per layer, 10 times less" in text
    assert "Without shortcuts, batch norm in train mode grows more slowly than none in 1, faster in 0 of 2" in text
    assert "With shortcuts" not in text
    assert text.rstrip().endswith("networks: fixup.")
    write("jacobian_conditioning_summary", [rows[3]])
    assert "No network's Jacobian had full rank" in answers.conditioning(record)
