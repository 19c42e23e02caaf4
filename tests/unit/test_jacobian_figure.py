"""Condition numbers and slopes from singular values, and their figure."""

import math

import drawn
import numpy as np
import pandas as pd
import pytest
from singular import as_values

from understanding_bn.figures import jacobian_conditioning as figure
from understanding_bn.summaries.jacobian_conditioning import COLUMNS, NETWORK, conditions, slopes, theory


def test_what_is_infinite_to_working_precision_is_no_number():
    values = [1e3, 1e2, 10, 1e-14]
    (row,) = conditions(as_values(values)).itertuples()
    assert (row.size, row.rank, row.resolved) == (4, 3, False)
    assert math.isnan(row.log10_condition)
    assert row.log10_median_ratio == pytest.approx(3 - math.log10(55))
    assert row.log10_passed_ratio == pytest.approx(2)
    assert row.log10_largest == pytest.approx(3)
    # Just above what can be resolved: 256 rows.
    (row,) = conditions(as_values([1, 257 * 2**-52])).itertuples()
    assert row.resolved
    assert row.log10_condition == pytest.approx(-math.log10(257 * 2**-52))
    # Neither overflows nor underflows.
    (row,) = conditions(as_values([1e-290, 1e-300])).itertuples()
    assert row.log10_condition == pytest.approx(10)


def made_up(unresolved=()):
    """Condition numbers of 10^(slope · depth + a little), for three seeds, in all panels."""
    parts = []
    for family, slope in (("resnet", 0.02), ("plain", 0.1)):
        for norm, bn_mode in (("none", "none"), ("batch", "train"), ("batch", "eval")):
            for init in ("xavier_uniform", "fixup"):
                for depth in (8, 14, 20):
                    for seed in range(3):
                        smallest = 10 ** -(slope * (1 + 0.1 * (seed - 1)) * depth)
                        if init == "fixup" or (family, depth, seed) in unresolved:
                            smallest = 0.0
                        keys = {"arch": f"{family}-{depth}", "norm": norm, "bn_mode": bn_mode, "init": init}
                        parts.append(as_values([1, smallest**0.5, smallest], seed=seed, **keys))
    return pd.concat(parts, ignore_index=True)


def test_slopes_are_fitted_with_an_interval_over_seeds():
    summary = slopes(conditions(made_up())).set_index(NETWORK)
    row = summary.loc["none", "batch", "train", "xavier_uniform"]
    assert row["condition_slope"] == pytest.approx(0.1)
    assert row["median_ratio_slope"] == pytest.approx(0.05)
    reach = 4.302653 * 0.01 / 3**0.5  # Student's t with two degrees of freedom; the seeds' slopes are 0.09, 0.1, 0.11
    assert (row["condition_low"], row["condition_high"]) == pytest.approx((0.1 - reach, 0.1 + reach))
    expected = [theory(depth, 3)[0] for depth in (8, 14, 20)]
    assert row["condition_theory"] == pytest.approx(np.polyfit([8, 14, 20], expected, 1)[0])
    assert (row["matrices"], row["unresolved"], row["seeds"]) == (9, 0, 3)
    row = summary.loc["none", "none", "none", "fixup"]
    assert math.isnan(row["condition_slope"])
    assert (row["unresolved"], row["lowest_rank"]) == (9, 1)
    assert row["condition_theory"] > 0


def test_depths_at_which_a_seed_is_unresolved_are_not_fitted():
    summary = slopes(conditions(made_up({("plain", 20, 0)}))).set_index(NETWORK)
    row = summary.loc["none", "none", "none", "xavier_uniform"]
    # Without the whole depth: leaving out its worst seed alone would make the slope too small.
    assert row["condition_slope"] == pytest.approx(0.1)
    assert row["unresolved"] == 1
    expected = [theory(depth, 3)[0] for depth in (8, 14)]
    assert row["condition_theory"] == pytest.approx((expected[1] - expected[0]) / 6)


def test_the_figure_draws_what_its_table_holds():
    values = made_up({("plain", 20, 0)})
    shown, tables = figure.draw(values)
    assert list(tables[""].columns) == COLUMNS
    assert len(tables[""]) == 2 * 3 * 2 * 3 * 3
    assert len(tables["summary"]) == 2 * 3 * 2
    assert len(shown.axes) == 2 * 4
    texts = {text.get_text() for ax in shown.axes for text in ax.texts}
    assert {"Fixup: rank 1", "Xavier: rank 1", "Fixup: ∞"} <= texts
    heights = np.concatenate([line.get_ydata() for line in shown.axes[4].get_lines() if line.get_mew() == 0])
    networks = tables[""][(tables[""]["shortcut"] == "none") & (tables[""]["norm"] == "none")]
    assert sorted(heights[np.isfinite(heights)]) == pytest.approx(sorted(networks["log10_condition"].dropna()))


def test_where_every_condition_number_is_infinite_the_median_singular_value_is_drawn():
    shown, tables = figure.draw(as_values([100, 1, 0]))
    assert tables[""]["log10_condition"].isna().all()
    (ax,) = shown.axes
    assert "median" in ax.get_ylabel()
    assert drawn.markers(ax)[:, 1] == pytest.approx(2)
    assert [text.get_text() for text in ax.texts] == ["rank 2 of 3"]
    assert not any("∞" in text for text in drawn.legends(shown)), "nothing is drawn there"


def test_networks_of_one_depth_or_no_rank_are_drawn_all_the_same():
    values = made_up()
    one = values[(values["arch"] == "plain-8") & (values["init"] == "fixup") & (values["seed"] == 0)]
    _, tables = figure.draw(one)
    assert tables[""]["log10_condition"].isna().all()
    assert tables["summary"]["condition_theory"].isna().all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_jacobian_that_is_not_finite_is_counted_apart_and_its_depth_is_not_fitted(bad):
    values = made_up()
    lost = (values["arch"] == "plain-20") & (values["seed"] == 0) & (values["init"] == "xavier_uniform")
    table = conditions(values.assign(singular_value=values["singular_value"].where(~lost, bad)))
    row = slopes(table).set_index(NETWORK).loc["none", "none", "none", "xavier_uniform"]
    assert (row["not_finite"], row["unresolved"], row["lowest_rank"]) == (1, 0, 3)
    assert row["condition_slope"] == pytest.approx(0.1)
    assert table.loc[~table["finite"], ["log10_condition", "log10_median_ratio", "log10_largest"]].isna().all(axis=None)
