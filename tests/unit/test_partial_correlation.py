"""Rank correlation given α and B, against its formula, known cases and simulated error rates."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from understanding_bn.summaries import intervals
from understanding_bn.summaries.noise_and_gap import RELATED, correlations
from understanding_bn.summaries.partial_correlation import LEAST_FREE, partial_spearman, spearman

# The grid of preset open-questions: four α and three B, and four other networks at one α and B.
GRID = pd.DataFrame([*itertools.product("abcd", "xyz"), *[("b", "y")] * 4], columns=["alpha", "batch_size"])
LOG_ALPHA, LOG_SIZE = (GRID[name].map("abcd".index if name == "alpha" else "xyz".index) - 1.5 for name in GRID)


def test_it_is_spearmans_of_what_least_squares_leaves():
    pairs = np.random.default_rng(0).normal(size=(16, 2))
    columns = pd.get_dummies(GRID, drop_first=True).assign(one=1).to_numpy(float)
    rests = [side - columns @ np.linalg.lstsq(columns, side)[0] for side in pairs.T]
    found = partial_spearman(pairs, GRID)
    assert found.rho == pytest.approx(stats.spearmanr(*rests).statistic)
    assert (found.cells, found.given) == (16, 5)
    shifted = pairs + np.outer(3 * LOG_ALPHA**2 - 5 * LOG_SIZE, [1, -2])
    assert partial_spearman(shifted, GRID).rho == pytest.approx(found.rho), "what α and B do is taken out"


def test_cells_with_a_level_of_their_own_are_not_compared():
    rng = np.random.default_rng(1)
    more = pd.concat([GRID, pd.DataFrame({"alpha": ["e", "f"], "batch_size": ["x", "z"]})])
    pairs = rng.normal(size=(18, 2))
    assert partial_spearman(pairs, more) == partial_spearman(pairs[:16], GRID)


def test_few_cells_have_no_partial_correlation_nor_has_what_alpha_and_size_decide():
    pairs = np.random.default_rng(2).normal(size=(16, 2))
    free = 12 - 3 - 5
    assert free == LEAST_FREE, "the grid alone has just enough"
    assert np.isfinite(partial_spearman(pairs[:12], GRID[:12]).rho)
    assert np.isnan(partial_spearman(pairs[:11], GRID[:11]).rho)
    assert np.isnan(partial_spearman(pairs[:0], GRID[:0]).rho)
    decided = np.column_stack([0.1 * LOG_ALPHA + 0.7 * LOG_SIZE, pairs[:, 1]])
    assert np.isnan(partial_spearman(decided, GRID).rho), "its residuals are rounding errors"


def test_spearman_of_ranks_with_ties_and_of_a_constant():
    pairs = np.array([[[1, 10], [2, 20], [3, 30]], [[1, 30], [2, 20], [3, 10]], [[1, 5], [2, 5], [3, 5]]], dtype=float)
    assert spearman(pairs).tolist() == [1, -1, 0]


# What α and B do to both quantities: more of it than of chance, and not on a line.
CONFOUNDING = {
    "nothing": 0 * LOG_ALPHA,
    "a line": LOG_ALPHA - LOG_SIZE,
    "there and back": LOG_ALPHA**2,
    "steep": np.exp(1.5 * LOG_ALPHA) + np.exp(-LOG_SIZE),
}


@pytest.mark.slow
@pytest.mark.parametrize("scale", [np.asarray, np.exp], ids=["sum", "not a sum"])
@pytest.mark.parametrize("name", CONFOUNDING)
def test_null_data_of_confounded_quantities(name, scale):
    """The raw correlation shows what α and B did to both; the partial one is beyond chance in at most 5 %.

    So it is where only one of the two is a sum of what α and B do.
    """
    rng, shared, runs = np.random.default_rng(3), CONFOUNDING[name].to_numpy()[:, None], 1000
    raw, partial = [], []
    for _ in range(runs):
        pairs = 2 * shared / max(np.ptp(shared), 1) + 0.3 * rng.normal(size=(16, 2))
        pairs[:, 1] = scale(pairs[:, 1])
        raw.append(intervals.correlation_p(float(spearman(pairs)), 16) < 0.05)
        found = partial_spearman(pairs, GRID)
        low, high = intervals.correlation_interval(found.rho, found.cells, found.given)
        partial.append(not low <= 0 <= high)
        assert partial[-1] == (intervals.correlation_p(found.rho, found.cells, found.given) < 0.05)
    assert np.mean(partial) <= 0.05 + 2.6 * (0.05 * 0.95 / runs) ** 0.5
    if name == "nothing":
        assert np.mean(raw) <= 0.05 + 2.6 * (0.05 * 0.95 / runs) ** 0.5
    else:
        assert np.mean(raw) > 0.5


def made_up(rng, effect=0.0):
    """Cells of two norms, in which α and B move everything in different ways; `effect` is sharpness's on the gap."""
    parts = []
    for norm, slope in (("batch", 1.0), ("none", -2.0)):
        given = slope * LOG_ALPHA.to_numpy()[:, None] + LOG_SIZE.to_numpy()[:, None] ** 2
        values = np.exp(given + rng.normal(size=(16, len(RELATED))))
        gap = given[:, 0] + rng.normal(size=16)
        facts = {"norm": norm, "alpha": 10.0**LOG_ALPHA, "batch_size": LOG_SIZE, "incomplete": ""}
        cells = pd.DataFrame(values, columns=[*RELATED]).assign(**facts, gap=gap, loss_gap=gap)
        cells["loss_gap"] += effect * (np.log(cells["sharpness"]) - given[:, 0])
        parts.append(cells)
    return pd.concat(parts, ignore_index=True)


@pytest.mark.slow
def test_all_quantities_and_norms_together_err_in_at_most_one_table_in_twenty():
    rng, runs = np.random.default_rng(4), 100
    tables = [correlations(made_up(rng))[lambda table: table["gap"] == "loss_gap"] for _ in range(runs)]
    wrong = np.mean([(table["p_holm"] < 0.05).any() for table in tables])
    assert wrong <= 0.05 + 2.6 * (0.05 * 0.95 / runs) ** 0.5
    assert np.mean([(table["p"] < 0.05).any() for table in tables]) > 0.3, "without the correction, often"
    assert np.mean([(table["low"] * table["high"] > 0).any() for table in tables]) > 0.9, "and raw, nearly always"


def test_an_effect_that_alpha_and_size_hide_is_found():
    table = correlations(made_up(np.random.default_rng(5), effect=4.0))
    found = table[(table["p_holm"] < 0.05) & (table["gap"] == "loss_gap")]
    assert set(found["quantity"]) == {"sharpness"}
    assert set(found["norm"]) == {"all", "batch", "none"}
    assert (found["partial"] > 0.8).all()
    other = table[table["gap"] == "gap"].set_index(["norm", "quantity"])
    assert (other["p_holm"] >= 0.05).all(), "each gap has a correction of its own"
    assert other["p_holm"].to_numpy() == pytest.approx(intervals.holm(other["p"]))
