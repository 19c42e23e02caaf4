"""Cells beside batch norm's best, and changes over a grid: intervals over seeds and test images."""

import grids
import numpy as np
import pandas as pd
import pytest

from understanding_bn.summaries import crossed
from understanding_bn.summaries.best_cells import beside_best
from understanding_bn.summaries.crossed import Sample
from understanding_bn.summaries.learning_rate_grid import ONLY_ALPHA, moves
from understanding_bn.summaries.trained_runs import correct_images, runs

IMAGES = 43  # no whole number of bytes
CELLS = [("batch", 0.1, 64), ("batch", 0.4, 64), ("none", 0.1, 64), ("none", 0.1, 16)]


@pytest.fixture
def histories():
    """Last rows in which each image is right by chance, more often with a larger α; the last cell fails in one seed."""
    random = np.random.default_rng(0)
    hits = {(*cell, seed): random.random(IMAGES) < 0.3 + cell[1] for cell in CELLS for seed in range(4)}
    rows = []
    for (*cell, seed), right in hits.items():
        bad = cell[2] == 16 and seed == 3
        more = {"test_correct": None if bad else np.packbits(right).tobytes(), "clean_train_accuracy": 0.9}
        more |= {"clean_train_loss": 0.1}
        rows.append(grids.run(*cell, seed, np.nan if bad else right.mean(), "overflow" if bad else None, **more))
    return pd.DataFrame(rows), hits


def test_images_are_read_without_the_bits_that_fill_the_last_byte(histories):
    table, hits = histories
    found = correct_images(table)
    assert len(found) == len(hits) - 1
    for (norm, alpha, size, seed), right in hits.items():
        key = (grids.CELL["arch"], grids.CELL["init"], norm, alpha, size, 20, seed)
        assert key not in found if size == 16 and seed == 3 else np.array_equal(found[key], right)


def test_the_interval_beside_the_best_cell_is_over_seeds_and_images(histories):
    table, hits = histories
    found = beside_best(runs(table), correct_images(table)).set_index(["norm", "alpha", "batch_size"])
    assert found["best"].to_dict() == {cell: cell in (("batch", 0.4, 64), ("none", 0.1, 64)) for cell in CELLS}
    right = {cell: np.stack([hits[*cell, seed] for seed in range(4)]).astype(float) for cell in CELLS}
    images = 100 * (right["none", 0.1, 64] - right["batch", 0.4, 64])
    row = found.loc[("none", 0.1, 64)]
    assert row["difference"] == pytest.approx(images.mean())
    assert (row["low"], row["high"]) == pytest.approx(crossed.interval(Sample(images.mean(1), images)))
    assert (row["compared"], row["method"]) == (4, "Student’s t over seeds and test images")
    failed = found.loc[("none", 0.1, 16)]
    assert (failed["seeds"], failed["failed"]) == (4, 1)
    assert failed[["test_accuracy", "difference"]].isna().all()


def test_without_the_images_it_is_over_seeds_alone_and_says_so(histories):
    table, _ = histories
    row = beside_best(runs(table)).set_index(["norm", "alpha", "batch_size"]).loc[("none", 0.1, 64)]
    assert "seeds alone" in row["method"]


def test_a_change_of_accuracy_and_of_the_gap_has_the_images_part(histories):
    """From α = 0.1 to 0.4 are two doublings; train accuracy is constant, so the gap changes the other way."""
    table, hits = histories
    found = moves(runs(table), correct_images(table))
    found = found[(found["norm"] == "batch") & (found["move"] == ONLY_ALPHA)].set_index("quantity")
    sides = [np.stack([hits["batch", alpha, 64, seed] for seed in range(4)]).astype(float) for alpha in (0.1, 0.4)]
    images = 50 * (sides[1] - sides[0])
    low, high = crossed.interval(Sample(images.mean(1), images))
    assert found.loc["test_accuracy", ["low", "high"]].tolist() == pytest.approx([low, high])
    assert found.loc["gap", ["low", "high"]].tolist() == pytest.approx([-high, -low])
    assert set(found.loc[["test_accuracy", "gap"], "method"]) == {"Student’s t over seeds and test images"}
    plain = moves(runs(table))
    plain = plain[(plain["norm"] == "batch") & (plain["move"] == ONLY_ALPHA)].set_index("quantity")
    assert plain.loc["gap", "change"] == pytest.approx(found.loc["gap", "change"])
    assert plain.loc["gap", "low"] != pytest.approx(found.loc["gap", "low"])
