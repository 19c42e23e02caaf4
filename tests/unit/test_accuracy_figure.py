"""Fig. 1 from made-up histories: a row for each network, all learning rates in it, and what became of failed runs."""

import drawn
import numpy as np
import pandas as pd
import pytest
from made_up import history
from matplotlib import pyplot as plt

from understanding_bn.figures import accuracy_ends, fig1_accuracy


def counts(ax):
    """The counts of failed seeds in the right-hand panel of a row."""
    return [text.get_text() for text in ax.texts]


def test_failed_runs_are_counted_and_only_the_others_averaged():
    cells = [
        history("batch", 0.1, [0.9, 0.8]),
        history("none", 0.1, [None, None]),
        history("layer", 0.1, [0.6, None]),
        history("none", 0.01, [0.1, 0.1], failure="stuck at chance"),
    ]
    figure, tables = fig1_accuracy.draw(pd.concat(cells))
    train, test, final = figure.axes
    assert sorted(counts(final)) == ["+2", "×1", "×2"]
    assert {"×n: n seeds diverged", "+n: n seeds stayed at chance"} <= set(drawn.legends(figure))
    rows = tables[""]
    assert list(rows.columns) == fig1_accuracy.COLUMNS
    assert rows["accuracy"].notna().all()
    assert len(rows) == 2 * 2 * (2 + 1 + 2)
    summary = tables["summary"]
    assert len(summary) == 8
    assert summary["first_bad_step"].eq(3).sum() == 3
    for ax in (train, test):
        ((x, y),) = drawn.lines(ax, "batch")
        ((places, low, high),) = drawn.bands(ax, "batch")
        assert x.tolist() == places.tolist() == [50, 100]
        assert y == pytest.approx([42.5, 85])
        # The standard deviation of two values is their distance over the root of two, on either side of the mean.
        assert high - y == pytest.approx(np.array([5, 10]) / np.sqrt(2))
        assert y - low == pytest.approx(high - y)
    ends = [y.tolist() for _, y in drawn.lines(final, "batch", linestyle="None")]
    assert ends == [[pytest.approx(90), pytest.approx(80)], [pytest.approx(85)]], "two seeds and their mean"
    assert drawn.lines(final, "none", linestyle="None") == [], "no seed learned"


def test_a_seed_at_chance_is_apart_from_those_that_learned():
    stuck = history("none", 0.1, [None, 0.5, 0.1]).assign(
        failure=lambda runs: runs["failure"].mask(runs["seed"] == 2, "stuck at chance")
    )
    figure, _ = fig1_accuracy.draw(stuck.reset_index(drop=True))
    assert counts(figure.axes[2]) == ["×1 +1"]
    for ax in figure.axes[:2]:
        ((_, mean),), ((_, alone),) = drawn.lines(ax), drawn.lines(ax, linestyle=":")
        assert mean == pytest.approx([25, 50])
        assert alone == pytest.approx([5, 10])


def test_every_network_and_batch_size_has_a_row_with_all_its_learning_rates():
    first = [history("batch", alpha, [0.9]) for alpha in (0.1, 0.01)]
    others = [history("batch", 0.1, [0.8]).assign(**change) for change in ({"init": "fixup"}, {"batch_size": 16})]
    figure, tables = fig1_accuracy.draw(pd.concat([*first, *others]))
    names = [ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")]
    assert names[0] == "resnet-8, xavier uniform, B = 8, 2 epochs"
    assert set(names[1:]) == {"resnet-8, fixup, B = 8, 2 epochs", "resnet-8, xavier uniform, B = 16, 2 epochs"}
    assert [len(drawn.lines(ax, "batch")) for ax in figure.axes[0::3]] == [2, 1, 1]
    assert len(tables[""].groupby(["arch", "init", "batch_size"])) == 3


def test_cells_that_differ_in_epochs_alone_are_in_rows_of_their_own():
    figure, _ = fig1_accuracy.draw(
        pd.concat([history("none", 0.1, [0.9]), history("none", 0.1, [0.9]).assign(epochs=9)])
    )
    assert [ax.get_title(loc="left").split(", ")[-1] for ax in figure.axes[0::3]] == ["2 epochs", "9 epochs"]


def test_networks_that_there_is_no_room_for_are_named(monkeypatch):
    monkeypatch.setattr(fig1_accuracy, "MOST_ROWS", 1)
    cells = [
        history("none", 0.1, [0.9]),
        history("none", 0.01, [0.9]),
        history("none", 0.1, [0.9]).assign(arch="plain-8"),
    ]
    figure, tables = fig1_accuracy.draw(pd.concat(cells))
    assert len(figure.axes) == 3
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "No room for 1 more: plain-8, xavier uniform, B = 8, 2 epochs."
    assert set(tables["summary"]["arch"]) == {"resnet-8", "plain-8"}


def test_96_and_99_percent_stand_apart():
    figure, _ = fig1_accuracy.draw(pd.concat([history("batch", 0.1, [0.96, 0.5]), history("none", 0.1, [0.99, 0.5])]))
    low, here, there, high = figure.axes[2].transData.transform([(0, y) for y in (50, 96, 99, 100)])[:, 1]
    assert (there - here) / (high - low) > 0.15


@pytest.mark.parametrize("least", [0.0, 10.0, 97.0, 99.9])
def test_the_magnified_axis_has_ticks_and_room_for_counts(least):
    _, ax = plt.subplots()
    accuracy_ends.magnify(ax, [least, 100.0], lines=3)
    low, high = ax.get_ylim()
    assert low < least < high
    assert sum(low <= tick <= high for tick in ax.get_yticks()) > 1
    _, place = ax.transAxes.inverted().transform(ax.transData.transform((0, least)))
    assert place > 3 * accuracy_ends.LINE - 1e-9
    plt.close()


@pytest.mark.parametrize("epochs", [100, 2400])
def test_fig1_of_the_papers_longest_runs_is_as_small_as_any(tmp_path, epochs):
    noise = np.random.default_rng(0)
    one = history("batch", 0.1, [0.9] * epochs).query("epoch == 2").assign(fraction=np.arange(1, epochs + 1) / epochs)
    runs = []
    for seed in range(2):
        accuracy = 0.8 + 0.1 * noise.random(epochs)
        runs.append(one.assign(seed=seed, epochs=epochs, train_accuracy=accuracy, test_accuracy=accuracy - 0.1))
    figure, tables = fig1_accuracy.draw(pd.concat(runs))
    figure.savefig(tmp_path / "fig1.svg")
    assert (tmp_path / "fig1.svg").stat().st_size < 250_000
    assert len(tables[""]) == 2 * 2 * epochs, "the CSV keeps every epoch"
