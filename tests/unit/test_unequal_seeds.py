"""Cells with different numbers of seeds, as in a record that grows: what is paired, averaged and counted."""

import numpy as np
import pandas as pd
import pytest
from grids import ALPHAS, SEEDS, SIZES, curvature, grid, run
from test_claims import SEEDS as ALL
from test_claims import judged as judged_claims
from test_claims import the_papers_runs, trained
from test_followups import judged

from understanding_bn.docs_pages import batch_size_page
from understanding_bn.figures import alpha_batch_grid
from understanding_bn.summaries.best_cells import beside_best
from understanding_bn.summaries.learning_rate_grid import moves
from understanding_bn.summaries.trained_runs import runs

LATER = max(SEEDS) + 1  # a seed that only some cells have


def test_cells_are_paired_over_the_seeds_that_both_have(tmp_path):
    paths = the_papers_runs(tmp_path)
    fewer = trained(tmp_path, "none", 0.0001, [0.82, 0.82, 0.81])
    claims = judged_claims(tmp_path, [*paths[:3], fewer, *paths[4:]])
    assert (claims[1]["seeds"], claims[2]["seeds"], claims[15]["seeds"]) == (ALL, 3, 3)


def test_a_seed_fails_at_every_alpha_only_if_it_was_run_at_every_one(tmp_path):
    lost = {"failure": ["overflow"] * 2, "first_bad_step": range(2)}
    paths = [*the_papers_runs(tmp_path), trained(tmp_path, "none", 0.1, [np.nan] * 2, **lost)]
    claim = judged_claims(tmp_path, paths)[5]
    assert [check["seeds"] for check in claim["checks"]] == [2, ALL]
    assert claim["verdict"] == "inconclusive"


def test_means_over_cells_are_of_the_seeds_that_every_cell_has(tmp_path):
    """A later seed of one cell, whose Hessian is another, leaves the mean over cells as it was."""
    cells = [(norm, alpha, 64) for norm in ("batch", "none") for alpha in ALPHAS]
    histories = [run(*cell, seed) for cell in cells for seed in SEEDS]
    hessian = []
    for norm, alpha, size in cells:
        for seed in SEEDS:
            hessian += curvature(norm, alpha, size, seed, top=10.0 * (10 if norm == "none" else 1) * (1 + seed / 10))
    later = ("none", ALPHAS[0], 64, LATER), ("batch", ALPHAS[0], 64, LATER)
    expected = judged(tmp_path / "before", histories, hessian=hessian)["L8"]
    histories += [run(*cell) for cell in later]
    hessian += curvature(*later[0], top=1e9) + curvature(*later[1], top=1.0)
    claim = judged(tmp_path / "after", histories, hessian=hessian)["L8"]
    same = ("measured", "interval", "seeds", "verdict")
    assert expected["seeds"] == len(SEEDS) and expected["measured"] == pytest.approx(1)
    assert [claim[key] for key in same] == [expected[key] for key in same]


def later_seed():
    """Accuracies over α and B, and those of a later seed in two cells, at which it is best."""
    rows = [run(*cell, accuracy=0.8 + 0.01 * np.log2(cell[1] * cell[2])) for cell in grid("batch")]
    return rows, [run("batch", ALPHAS[0], size, LATER, accuracy=0.99) for size in SIZES[:2]]


def test_the_best_alpha_is_of_the_seeds_that_were_run_at_every_one(tmp_path):
    rows, _ = later_seed()
    more = [run("batch", alpha, size, LATER) for alpha, size in ((min(ALPHAS), min(SIZES)), (max(ALPHAS), max(SIZES)))]
    for name, each in (("before", rows), ("after", rows + more)):
        claim = judged(tmp_path / name, each)["L2"]
        assert (claim["seeds"], claim["measured"]) == (len(SEEDS), 0)


def test_a_doubling_is_judged_on_the_seeds_of_all_cells():
    rows, more = later_seed()
    expected, found = (moves(runs(pd.DataFrame(each))) for each in (rows, rows + more))
    pd.testing.assert_frame_equal(found, expected)
    assert found["seeds"].max() == len(SEEDS)


def test_a_heatmap_says_how_many_seeds_a_cell_has_where_others_have_more():
    rows, more = later_seed()
    counts = {}
    for name, each in (("before", rows), ("after", rows + more)):
        figure, _ = alpha_batch_grid.draw(pd.DataFrame(each))
        texts = [text.get_text() for ax in figure.axes for text in ax.texts]
        counts[name] = sum(f"(n = {len(SEEDS)})" in text for text in texts)
    panels = 2  # accuracy and gap
    assert counts == {"before": 0, "after": panels * (len(ALPHAS) * len(SIZES) - len(more))}


def test_the_page_pairs_cells_over_the_seeds_that_both_have(record, write):
    fact = {"batch_size": 16, "failure": None}
    rows = [fact | {"norm": "batch", "alpha": 0.1, "seed": seed, "test_accuracy": 98.0 + seed} for seed in (0, 1, 2)]
    rows += [fact | {"norm": "none", "alpha": 0.01, "seed": seed, "test_accuracy": 96.0 + seed} for seed in (0, 1, 3)]
    write("alpha_batch_grid_best", beside_best(pd.DataFrame(rows)))
    text = batch_size_page.small_steps(record)
    assert "| α = 0.01, B = 16 | 97.33 ± 1.53 | -2.00 [-2.00, -2.00] |" in text
    assert "Interval over 2 seeds, paired: " in text
