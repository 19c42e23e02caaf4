"""What is read from searches for the largest stable learning rate, and its figure."""

import drawn
import numpy as np
import pandas as pd
import pytest

from understanding_bn.figures import max_learning_rate as figure
from understanding_bn.summaries.max_learning_rate import SEARCH, largest_by_network, varied


def trials():
    """Two searches per network: α limits of 10^−depth/10 with norm none, and of 1 with batch norm."""
    rows = []
    for norm, init, depth in [
        ("none", "xavier_uniform", 20),
        ("none", "xavier_uniform", 8),
        ("none", "kaiming", 20),
        ("batch", "xavier_uniform", 8),
        ("batch", "xavier_uniform", 20),
    ]:
        limit = 1.0 if norm == "batch" else 10 ** (-depth / 10 - (init == "kaiming"))
        keys = {"norm": norm, "init": init, "arch": f"resnet-{depth}", "batch_size": 32, "updates": 20}
        for seed in (0, 1):
            rows.append(keys | {"seed": seed, "alpha": limit, "outcome": "stable", "update": 20})
            rows.append(keys | {"seed": seed, "alpha": 2 * limit, "outcome": "collapsed", "update": 20})
            rows.append(keys | {"seed": seed, "alpha": 4 * limit, "outcome": "diverged", "update": 2})
    return pd.DataFrame(rows)


def test_the_figure_varies_one_factor_at_a_time():
    table = largest_by_network(trials())
    assert list(table.columns[:4]) == SEARCH
    assert set(table["fails_by"]) == {"collapsed"}
    by_depth, by_init = varied(table, "depth"), varied(table, "init")
    assert set(by_depth["init"]) == {"xavier_uniform"}
    assert set(by_init["depth"]) == {20}
    assert list(dict.fromkeys(by_init["init"])) == ["xavier_uniform", "kaiming"]
    shown, tables = figure.draw(trials())
    assert set(figure.COLUMNS) == set(tables[""].columns)
    assert len(tables[""]) == 10
    assert len(tables["summary"]) == 30
    assert [text.get_text() for text in shown.axes[0].get_xticklabels()] == ["8", "20"]


def test_networks_that_are_stable_nowhere_are_drawn_as_limits():
    values = trials()
    values.loc[values["norm"] == "none", "outcome"] = "diverged"
    values.loc[values["norm"] == "batch", "outcome"] = "stable"
    shown, tables = figure.draw(values)
    limits = tables[""].groupby("norm")["limit"].unique().map(list).to_dict()
    assert limits == {"batch": ["above"], "none": ["below"]}
    assert len(drawn.markers(shown.axes[0], "batch", "^")) == 4, "two depths, two seeds"
    below = drawn.markers(shown.axes[0], "none", "v")
    smallest = values[values["norm"] == "none"].groupby("arch")["alpha"].min()
    of_xavier = sorted([smallest["resnet-8"]] * 2 + [10**-2.0] * 2)
    assert sorted(below[:, 1]) == pytest.approx(of_xavier), "at the smallest rate tried, all were unstable"
    assert {"every rate tried is stable", "no rate tried is stable"} <= set(drawn.legends(shown))


def test_seeds_with_the_same_rate_stand_side_by_side():
    shown, _ = figure.draw(trials())
    dots = drawn.markers(shown.axes[0], "batch")
    assert len(dots) == 4
    assert len(np.unique(dots.round(6), axis=0)) == 4, "no dot hides another"
    assert np.log(dots[:, 0]).mean() == pytest.approx(np.log([8, 20]).mean()), "around their depth"


def test_lines_are_medians_over_seeds():
    values = trials()
    third = values[values["seed"] == 1].assign(seed=2, alpha=lambda rows: 100 * rows["alpha"])
    shown, _ = figure.draw(pd.concat([values, third], ignore_index=True))
    ((depths, alphas),) = drawn.lines(shown.axes[0], "none")
    assert depths.tolist() == [8, 20]
    assert alphas == pytest.approx([10**-0.8, 10**-2.0])
    assert sorted(drawn.markers(shown.axes[0], "batch")[:, 1]) == pytest.approx([1, 1, 1, 1, 100, 100])


def test_initialisations_at_several_depths_have_a_panel_of_their_own():
    """They leave the other two as they are."""
    values = trials()
    pairs = values[(values["init"] == "xavier_uniform") & (values["norm"] == "none")]
    more = [pairs.assign(init=init, alpha=f * pairs["alpha"]) for init, f in (("kaiming", 0.1), ("branch_scaled", 50))]
    together = pd.concat([values, *more]).drop_duplicates(["norm", "init", "arch", "seed", "alpha"])
    shown, _ = figure.draw(together.reset_index(drop=True))
    before, _ = figure.draw(values)
    assert len(before.axes) == 2 and len(shown.axes) == 3
    for line, same in zip(drawn.lines(shown.axes[0]), drawn.lines(before.axes[0]), strict=True):
        assert line.tolist() == same.tolist()
    assert {"branch scaled", "Kaiming"} <= set(drawn.legends(shown))
    ((depths, alphas),) = drawn.lines(shown.axes[2], "none")
    assert depths.tolist() == [8, 20]
    assert alphas == pytest.approx([50 * 10**-0.8, 50 * 10**-2.0])
