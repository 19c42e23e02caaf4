"""The values in sentences of the pages follow made-up records, whichever way they fall."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest

from understanding_bn.docs_pages import values
from understanding_bn.errors import UserError
from understanding_bn.summaries.best_cells import beside_best


@pytest.mark.parametrize(("change", "sign"), [(2.0, "+"), (-2.0, "−"), (0.25, "0"), (np.nan, "0")])
def test_a_doubling_has_a_direction_where_its_interval_does_not_hold_zero(record, write, change, sign):
    row = {"norm": "none", "move": "only B", "quantity": "test_accuracy", "change": change}
    row |= {"low": change - 0.5, "high": change + 0.5}
    others = [row | {"norm": "batch"}, row | {"move": "only α"}, row | {"quantity": "gap"}]
    write("alpha_batch_grid_summary", [*others, row])
    assert values.direction(record, "none", "B", "test_accuracy") == sign
    if change == 2:
        assert values.doubling(record, "none", "B", "test_accuracy") == "+2.00 [+1.50, +2.50]"
    with pytest.raises(UserError, match="0 rows with norm none, move α and B, α/B fixed, quantity gap; expected one"):
        values.doubling(record, "none", "both", "gap")


def test_correlations_beyond_chance_have_their_signs(record, write):
    """By p after Holm's correction and the sign given α and B, whatever the raw correlation is."""
    row = {"norm": "all", "gap": "loss_gap", "cells": 9, "quantity": "noise", "rho": -0.5, "low": -0.75, "high": -0.25}
    row |= {"partial": 0.6, "partial_low": 0.3, "partial_high": 0.8, "p": 0.001, "p_holm": 0.003}
    falling = row | {"quantity": "constant", "partial": -0.6}
    unclear = row | {"quantity": "update_noise", "p": 0.03, "p_holm": 0.06, "cells": 7}
    none = unclear | {"norm": "none", "partial": np.nan, "p": np.nan, "p_holm": np.nan}
    write("noise_by_architecture_summary", [row, falling, unclear, none, row | {"gap": "gap"}])
    assert values.beyond_chance(record, "all") == "−constant +noise"
    assert values.beyond_chance(record, "none") == "none"
    assert (values.compared(record, "all"), values.cells(record, "all"), values.tested(record)) == ("3", "9", "3")
    assert values.cells(record, "all", "update_noise") == "7"
    assert values.correlation(record, "all", "noise") == "-0.50 [-0.75, -0.25]"
    assert values.partial(record, "all", "noise") == "0.60 [0.30, 0.80]"


@pytest.fixture
def grid(write):
    """Writes a grid: accuracies by seed of batch norm at one cell, of none at another; a failed cell is in no best."""

    def write_grid(batch, none):
        rows = []
        for seed, (with_norm, without) in enumerate(zip(batch, none, strict=True)):
            rows.append({"seed": seed, "norm": "batch", "alpha": 0.1, "batch_size": 64, "test_accuracy": with_norm})
            rows.append(rows[-1] | {"batch_size": 16, "test_accuracy": 100.0 if seed else None})
            rows.append(rows[-1] | {"norm": "none", "alpha": 0.01, "test_accuracy": without})
        write("alpha_batch_grid_best", beside_best(pd.DataFrame(rows)))

    return write_grid


@pytest.mark.parametrize(
    ("none", "difference", "within"),
    [
        ((98.5, 98.5, 98.5), "-0.50 [-0.50, -0.50]", "yes"),
        ((90.0, 90.0, 90.0), "-9.00 [-9.00, -9.00]", "no"),
        ((97.0, 99.0, 99.5), "-0.50 [-3.79, +2.79]", "no"),
        ((99.5, 99.5, 99.5), "+0.50 [+0.50, +0.50]", "no"),
    ],
)
def test_the_best_cells_of_two_norms_are_compared_by_seed(record, grid, none, difference, within):
    grid((99.0, 99.0, 99.0), none)
    assert values.best_cell(record, "batch") == "α = 0.1 and B = 64"
    assert values.best_accuracy(record, "batch") == "99.00 ± 0.00"
    assert values.shortfall(record, "none") == difference
    assert values.within(record, "none", "1") == within
    low, high = map(float, difference.split("[")[1].rstrip("]").split(", "))
    expected = "below BN" if high < 0 else "above BN" if low > 0 else "no difference beyond chance"
    assert values.standing(record, "none") == expected


def test_the_best_cell_is_chosen_on_validation_where_every_run_has_it(record, write):
    """The test accuracies that are compared choose nothing."""

    def run(seed, norm, test, validation, size):
        fact = {"norm": norm, "alpha": 0.1, "batch_size": size, "seed": seed, "failure": None}
        return fact | {"test_accuracy": test, "validation_accuracy": validation}

    rows = [run(seed, "batch", 90.0 + seed, 80.0, 64) for seed in range(3)]
    rows += [run(seed, "batch", 95.0, 70.0, 16) for seed in range(3)]
    write("alpha_batch_grid_best", beside_best(pd.DataFrame(rows)))
    assert values.best_cell(record, "batch") == "α = 0.1 and B = 64"
    assert values.best_accuracy(record, "batch") == "91.00 ± 1.00"
    rows[0]["validation_accuracy"] = None
    write("alpha_batch_grid_best", beside_best(pd.DataFrame(rows)))
    assert values.best_cell(record, "batch") == "α = 0.1 and B = 16"


def test_a_norm_that_never_trains_has_no_best_cell(record, grid):
    grid((99.0,), (None,))
    with pytest.raises(UserError, match="no cell with norm none in which every seed trained"):
        values.best_cell(record, "none")
    assert values.shortfall(record, "batch") == "+0.00"  # one seed has no interval


def test_claims_are_read_by_number(record):
    check = {"measured": 3.0, "interval": [2.0, 4.0], "verdict": "reproduced", "evidence": True}
    claim = {"id": 1, "verdict": "not reproduced", "measured": 0.5, "interval": None}
    claim |= {"checks": [check, check | {"verdict": "inconclusive", "measured": None}]}
    claim["checks"].append(check | {"verdict": "", "evidence": False})
    claim["direction"] = "as claimed"
    (record / "claims.json").write_text(json.dumps([claim, claim | {"id": 2, "verdict": "reproduced"}]))
    (record / "followups.json").write_text(json.dumps([claim | {"id": "L1", "verdict": "not run"}]))
    assert values.measured(record, "1") == "0.5"
    assert values.measured(record, "1", "1") == "3 [2, 4]"
    assert values.measured(record, "1", "2") == "–"
    assert values.verdict(record, "L1") == "not run"
    assert values.unmet(record, "1") == "1"
    assert values.tally(record, "not reproduced") == "1"
    assert values.directions(record, "as claimed") == "2"
    with pytest.raises(UserError, match="no claim '3'; expected one of 1, 2"):
        values.verdict(record, "3")
    with pytest.raises(UserError, match="claim 1 has 3 checks, and none of number 9"):
        values.measured(record, "1", "9")


def test_sharpness_is_set_in_relation_to_where_descent_loses_stability(record, write):
    row = {"norm": "none", "block": "all", "epoch": 5, "epochs": 5, "bn_mode": "none", "failure": None}
    ends = [row | {"alpha": alpha, "top_eigenvalue": top} for alpha, top in ((0.1, 20.0), (0.01, 100.0))]
    start, layer, failed = row | {"epoch": 0}, row | {"block": "stem"}, row | {"failure": "stuck at chance"}
    others = [
        other | {"alpha": 0.1, "top_eigenvalue": 1e6} for other in (start, layer, failed, row | {"norm": "batch"})
    ]
    write("hessian_spectrum_summary", [*ends, *others])
    assert values.edge(record, "none") == "0.50 to 1.00"


def test_moments_and_stable_rates_are_over_seeds(record, write):
    facts = itertools.product((0, 1, 2), ("convolution", "stream"))
    write(
        "fig5_channel_moments",
        [
            {"norm": "none", "statistic": "log_std", "layer": 6, "site": site, "seed": seed, "value": float(seed)}
            for seed, site in facts
        ],
    )
    assert values.moment(record, "none", "log_std", "6") == "1.00 ± 1.00"
    rates = [{"norm": "none", "init": "kaiming", "depth": 110, "alpha": alpha} for alpha in (0.1, 0.01, 1.0)]
    write("max_learning_rate", [*rates, rates[0] | {"depth": 8, "alpha": 9.0}])
    assert values.max_alpha(record, "none", "kaiming", "110") == "0.1 (0.01 to 1)"
