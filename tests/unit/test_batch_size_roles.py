"""B's two roles with batch norm, told apart by ghost norms."""

import itertools

import grids
import numpy as np
import pandas as pd
import pytest
from small_configs import config, entry

from understanding_bn.experiment.plan import plan
from understanding_bn.figures import batch_size_roles as figure
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.summaries.learning_rate_grid import STATISTICS, UPDATE, UPDATE_AND_ALPHA, roles
from understanding_bn.summaries.trained_runs import runs

ALPHAS, SIZES = (0.01, 0.04, 0.16), (16, 64, 256)
CELLS = [(norm, B, M) for B in SIZES for norm, M in (("batch", B), ("ghost-16", 16), ("ghost-64", 64)) if M <= B]


def histories(failed=(), norms=("batch", "ghost-16", "ghost-64", "none")):
    """Test accuracy is linear in the logarithms: 3 points with α, −2 with the mini-batch, 0.5 with the statistics."""
    rows = []
    for alpha, (norm, size, images), seed in itertools.product(ALPHAS, CELLS, range(3)):
        if norm in norms and (norm == "batch" or images < size):
            accuracy = 0.5 + 0.03 * np.log2(alpha) - 0.02 * np.log2(size) + 0.005 * np.log2(images) + 0.001 * seed
            bad = (norm, size, seed) in failed
            rows.append(grids.run(norm, alpha, size, seed, np.nan if bad else accuracy, "overflow" if bad else None))
    for alpha, size, seed in itertools.product(ALPHAS, SIZES, range(3)) if "none" in norms else ():
        rows.append(grids.run("none", alpha, size, seed, 0.4 + 0.001 * seed))
    return pd.DataFrame(rows)


def found(table):
    return roles(runs(table)).set_index(["move", "quantity"])


def test_each_role_has_its_own_exponent():
    changes = found(histories())["change"]
    assert changes[UPDATE, "test_accuracy"] == pytest.approx(-2)
    assert changes[STATISTICS, "test_accuracy"] == pytest.approx(0.5)
    assert changes[UPDATE_AND_ALPHA, "test_accuracy"] == pytest.approx(1)
    pairs = found(histories())["pairs"]
    # Statistics of 16: 16 → 64 → 256; of 64: 64 → 256; three α each. With α/B fixed there are fewer.
    assert pairs[UPDATE, "test_accuracy"] == 9
    assert pairs[STATISTICS, "test_accuracy"] == 9
    assert pairs[UPDATE_AND_ALPHA, "test_accuracy"] == 6


def test_a_seed_without_a_sound_pair_does_not_count():
    rows = found(histories(failed={("ghost-16", size, 2) for size in SIZES} | {("ghost-64", 256, 2)}))
    assert rows.loc[(UPDATE, "test_accuracy"), "seeds"] == 2
    assert rows.loc[(UPDATE, "test_accuracy"), "change"] == pytest.approx(-2)


def test_without_ghost_norms_there_are_no_roles():
    assert roles(runs(histories(norms=("batch", "none")))).empty
    with pytest.raises(NothingToShow, match="differ in one role of B alone"):
        figure.draw(histories(norms=("batch", "none")))


def test_the_figure_has_a_mark_for_each_change_with_what_was_doubled():
    shown, tables = figure.draw(histories())
    (accuracy, _) = shown.axes
    assert accuracy.get_title() == "test accuracy\n(points)"
    names = [label.get_text() for label in accuracy.get_yticklabels()]
    assert names[3:6] == [UPDATE, STATISTICS, UPDATE_AND_ALPHA]
    marks = {(line.get_marker(), round(float(line.get_xdata()[0]), 6)) for line in accuracy.get_lines()}
    assert {("D", -2.0), ("D", 0.5), ("D", 1.0), ("o", 3.0), ("o", -1.5)} <= marks
    assert list(tables[""]) == figure.COLUMNS
    assert set(tables[""]["norm"]) == {"batch", "none"}


@pytest.mark.parametrize(("norms", "drawn"), [(["batch", "ghost-32"], True), (["batch", "none"], False)])
def test_it_is_drawn_where_a_ghost_norm_is_trained(norms, drawn):
    gradients = {"gradient_structure": {"at": [1], "minibatches": 2}}
    made = plan(config(entry(norm=norms, batch_size=[32, 64]), trained=gradients))
    assert ("batch_size_roles" in {item.name for item, inputs in made.items.items() if inputs}) == drawn
