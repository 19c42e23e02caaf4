"""Explanations by noise: statistics of few images (Ej), and the best batch size against α (El)."""

import itertools

import grids
import numpy as np
import pandas as pd
import pytest
from drawn import lines
from small_configs import config, entry

from understanding_bn.claims.explanations import noise
from understanding_bn.claims.results import NotRunError
from understanding_bn.experiment.load import resolve
from understanding_bn.experiment.plan import plan
from understanding_bn.figures import best_batch_size, ghost_statistics
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.summaries.batch_noise import best_sizes, by_statistics, size_slopes, sizes_at_equal_updates


class Given:
    """Results that are these histories, of which every seed was run in every cell."""

    def __init__(self, histories):
        self.given = histories

    def histories(self):
        return self.given

    def of_shared_seeds(self, table, name="histories"):
        return table


def ghosts(effect=0.1, failed=()):
    """At B = 256 and two α: with statistics of 16 images the test loss is lower and the train loss higher."""
    rows = []
    for norm, alpha, seed in itertools.product(("batch", "ghost-16", "ghost-64", "none"), (0.1, 0.4), range(4)):
        share = {"batch": 0, "ghost-16": 1, "ghost-64": 0.5, "none": 9}[norm] * effect * (1 + 0.02 * (seed - 1.5))
        losses = {"test_loss": 1 - share, "clean_train_loss": 0.2 + share, "clean_train_accuracy": 0.9}
        bad = (norm, alpha, seed) in failed
        rows.append(grids.run(norm, alpha, 256, seed, 0.5, "overflow" if bad else None, **losses))
        rows.append(grids.run("batch", alpha, 64, seed, 0.5, **losses))
    return pd.DataFrame(rows)


def proportional(power=1.0, alphas=(0.02, 0.04, 0.08, 0.16), wrong=()):
    """Accuracy has its maximum at B = 64 · (α / 0.08)^power; all cells make as many updates."""
    rows = []
    for alpha, size, seed in itertools.product(alphas, (8, 16, 32, 64, 128, 256), range(3)):
        distance = np.log2(size) - (6 + power * np.log2(alpha / 0.08))
        accuracy = 0.6 - 0.01 * distance**2
        chosen = {"validation_accuracy": accuracy, "epochs": size // 8, "updates": 1}
        failure = "overflow" if (alpha, size) in wrong else None
        rows.append(grids.run("batch", alpha, size, seed, 0.5, failure, **chosen))
    return pd.DataFrame(rows).drop(columns="updates")


def test_runs_with_the_largest_mini_batch_are_compared():
    table = by_statistics(ghosts())
    assert set(table["batch_size"]) == {256}
    assert set(table["statistics"]) == {16, 64, 256}
    assert "none" not in set(table["norm"])


def test_statistics_of_few_images_regularise_by_their_definition():
    test, train = noise.batch_noise_regularises(Given(ghosts()))
    assert (test.value, train.value) == pytest.approx((-0.1, 0.1))
    assert (test.verdict, train.verdict) == ("reproduced", "reproduced")
    test, train = noise.batch_noise_regularises(Given(ghosts(effect=-0.1)))
    assert (test.verdict, train.verdict) == ("opposite", "opposite")


def test_a_run_that_failed_is_counted_and_its_pair_left_out():
    test, _ = noise.batch_noise_regularises(Given(ghosts(failed={("ghost-16", 0.4, 0)})))
    assert test.name.endswith("(1 of 8 pairs have a run that failed)")
    assert test.value == pytest.approx(-0.1)


@pytest.mark.parametrize("norms", [["batch", "none"], ["batch", "ghost-64", "none"], ["ghost-16"]])
def test_without_such_a_ghost_norm_it_is_not_run(norms):
    table = ghosts()
    with pytest.raises(NotRunError, match="ghost norm of a sixteenth"):
        noise.batch_noise_regularises(Given(table[table["norm"].isin(norms)]))


@pytest.mark.parametrize(
    ("power", "verdicts"), [(1.0, {"reproduced"}), (0.0, {"reproduced", "opposite", "not reproduced"})]
)
def test_the_slope_of_the_best_size_is_the_power(power, verdicts):
    best = best_sizes(sizes_at_equal_updates(proportional(power)))
    assert size_slopes(best).to_numpy() == pytest.approx(power)
    checks = noise.best_batch_size_rises_with_alpha(Given(proportional(power)))
    assert [check.value for check in checks] == pytest.approx([power, power])


def test_a_best_size_at_the_edge_is_counted():
    assert not best_sizes(sizes_at_equal_updates(proportional()))["at_edge"].any()
    best = best_sizes(sizes_at_equal_updates(proportional(wrong={(0.16, 256)})))
    assert best.loc[best["alpha"] == 0.16, "batch_size"].eq(128).all(), "a run that failed is not the best"
    (check, _) = noise.best_batch_size_rises_with_alpha(Given(proportional(power=2)))
    assert "(6 of 12 best B are the smallest or largest tried)" in check.name


def test_unequal_updates_or_few_learning_rates_are_not_run():
    equal_epochs = proportional().assign(epochs=20)
    for table in (equal_epochs, proportional(alphas=(0.02, 0.04, 0.08))):
        with pytest.raises(NotRunError, match="at equal updates"):
            noise.best_batch_size_rises_with_alpha(Given(table))


def test_figures_show_means_over_sound_seeds_and_each_seeds_best():
    shown, tables = ghost_statistics.draw(ghosts(failed={("ghost-16", 0.4, 0)}))
    largest, other = lines(shown.axes[0])
    assert largest[1] == pytest.approx([0.9 - 0.1 * 0.02 * 0.5, 0.95, 1])  # of three seeds, and of four
    assert other[1] == pytest.approx([0.9, 0.95, 1])
    assert len(tables[""]) == 24
    shown, tables = best_batch_size.draw(proportional())
    rings = [line.get_data() for line in shown.axes[1].get_lines() if line.get_marker() != "None"]
    assert {(x[0], y[0]) for x, y in rings} == {(0.02, 16), (0.04, 32), (0.08, 64), (0.16, 128)}
    assert len(tables["summary"]) == 12
    for module, table in ((ghost_statistics, proportional()), (best_batch_size, ghosts())):
        with pytest.raises(NothingToShow):
            module.draw(table)


def test_they_are_drawn_where_there_is_something_to_compare():
    names = {"ghost_statistics", "best_batch_size"}
    whole = entry(batch_size=[64, 32, 16], norm=["batch", "ghost-16"])
    lasting = {key: value for key, value in whole.items() if key != "epochs"} | {"updates": 44}
    few = {"train": 704}  # 11, 22 and 44 mini-batches an epoch
    for grid, drawn in ((whole, {"ghost_statistics"}), (lasting, names)):
        made = plan(resolve(config().model_dump(mode="json") | {"grid": [grid], "subset": few}))
        assert names & {item.name for item, inputs in made.items.items() if inputs} == drawn
