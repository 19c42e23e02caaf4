"""Condition numbers and slopes from singular values, and their figure."""

import math

import drawn
import numpy as np
import pandas as pd
import pytest
from singular import as_values

from understanding_bn.figures import jacobian_conditioning as figure
from understanding_bn.summaries.jacobian_conditioning import COLUMNS, KIND, conditions, slopes, theory, verdict


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
    summary = slopes(conditions(made_up())).set_index(KIND)
    row = summary.loc["none", "batch", "train", 8, "xavier_uniform"]
    assert row["condition_slope"] == pytest.approx(0.1)
    assert row["median_ratio_slope"] == pytest.approx(0.05)
    reach = 4.302653 * 0.01 / 3**0.5  # Student's t with two degrees of freedom; the seeds' slopes are 0.09, 0.1, 0.11
    assert (row["condition_low"], row["condition_high"]) == pytest.approx((0.1 - reach, 0.1 + reach))
    expected = [theory(depth, 3)[0] for depth in (8, 14, 20)]
    assert row["condition_theory"] == pytest.approx(np.polyfit([8, 14, 20], expected, 1)[0])
    assert (row["matrices"], row["unresolved"], row["seeds"]) == (9, 0, 3)
    row = summary.loc["none", "none", "none", 8, "fixup"]
    assert math.isnan(row["condition_slope"])
    assert (row["unresolved"], row["lowest_rank"]) == (9, 1)
    assert row["condition_theory"] > 0


def test_depths_at_which_a_seed_is_unresolved_are_not_fitted():
    summary = slopes(conditions(made_up({("plain", 20, 0)}))).set_index(KIND)
    row = summary.loc["none", "none", "none", 8, "xavier_uniform"]
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
    assert len(shown.axes) == 2 * 3 + 2
    texts = {text.get_text() for ax in shown.axes for text in ax.texts}
    assert {"Fixup: rank 1", "Xavier: rank 1", "Fixup: ∞"} <= texts
    heights = np.concatenate([line.get_ydata() for line in shown.axes[3].get_lines() if line.get_mew() == 0])
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
    row = slopes(table).set_index(KIND).loc["none", "none", "none", 8, "xavier_uniform"]
    assert (row["not_finite"], row["unresolved"], row["lowest_rank"]) == (1, 0, 3)
    assert row["condition_slope"] == pytest.approx(0.1)
    assert table.loc[~table["finite"], ["log10_condition", "log10_median_ratio", "log10_largest"]].isna().all(axis=None)


def with_products(*slopes_by_seed, depths=(8, 14, 20), sizes=(8,)):
    """The networks of `made_up`, and products beside the plain ones, masked and not, the latter of half the slope."""
    parts = [made_up().assign(batch_size=size) for size in sizes]
    for kind, share in (("gaussian_masked", 1.0), ("gaussian", 0.5)):
        for depth in depths:
            for seed, slope in enumerate(slopes_by_seed):
                smallest = 10 ** -(share * slope * depth)
                facts = {"kind": kind, "arch": f"plain-{depth}", "init": "none", "seed": seed, "batch_size": max(sizes)}
                parts.append(as_values([1, smallest**0.5, smallest], **facts))
    return pd.concat(parts, ignore_index=True)


def test_plain_networks_are_compared_with_products_by_welchs_t():
    summary = slopes(conditions(with_products(0.08, 0.09, 0.1))).set_index(KIND)
    assert (summary.index.get_level_values("init") != "none").all(), "a product is no network"
    row = summary.loc["none", "none", "none", 8, "xavier_uniform"]
    reach = 4.302653 * 0.01 / 3**0.5
    assert row["condition_gaussian_masked"] == pytest.approx(0.09)
    assert row["condition_gaussian_masked_low"] == pytest.approx(0.09 - reach)
    assert row["condition_gaussian"] == pytest.approx(0.045)
    assert row["median_ratio_gaussian_masked"] == pytest.approx(0.045)
    # Equal variances of both sides: four degrees of freedom.
    reach = 2.776445 * 0.01 * (2 / 3) ** 0.5
    ends = row["condition_over_masked_low"], row["condition_over_masked_high"]
    assert (row["condition_over_masked"], *ends) == pytest.approx((0.01, 0.01 - reach, 0.01 + reach))
    assert row["condition_verdict"] == "open"
    beside = summary.loc["projection", "none", "none", 8, "xavier_uniform"]
    assert np.isnan(
        beside[["condition_gaussian", "condition_gaussian_masked", "condition_over_masked"]].astype(float)
    ).all()
    assert beside["condition_verdict"] == "not measured"


def test_slopes_are_compared_over_the_depths_that_both_have():
    values = with_products(0.1, 0.1, 0.1, depths=(8, 14, 20))
    bent = (values["kind"] == "network") & (values["arch"] == "plain-20") & (values["index"] == 3)
    values.loc[bent & (values["init"] == "xavier_uniform"), "singular_value"] **= 2
    without = values[(values["kind"] == "network") | (values["arch"] != "plain-20")]
    bent, straight = (
        slopes(conditions(each)).set_index(KIND).loc["none", "none", "none", 8, "xavier_uniform"]
        for each in (values, without)
    )
    assert bent["condition_over_masked"] > 0.1
    assert straight["condition_over_masked"] == pytest.approx(0)
    assert straight["condition_slope"] == pytest.approx(bent["condition_slope"])


def test_batch_norm_is_compared_with_none_by_seed():
    values = made_up()
    quicker = (values["norm"] == "batch") & (values["bn_mode"] == "train")
    values.loc[quicker, "singular_value"] **= 1.5
    summary = slopes(conditions(values)).set_index(KIND)
    row = summary.loc["none", "batch", "train", 8, "xavier_uniform"]
    reach = 4.302653 * 0.005 / 3**0.5  # of 0.045, 0.05 and 0.055
    ends = row["condition_over_none_low"], row["condition_over_none_high"]
    assert (row["condition_over_none"], *ends) == pytest.approx((0.05, 0.05 - reach, 0.05 + reach))
    assert math.isnan(summary.loc["none", "none", "none", 8, "xavier_uniform"]["condition_over_none"])


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (-0.02, 0.02, "agrees"),
        (0.001, 0.025, "agrees"),
        (0.001, 0.03, "above"),
        (-0.03, -0.001, "below"),
        (-0.001, 0.03, "open"),
        (-0.03, 0.03, "open"),
        (math.nan, math.nan, "open"),
    ],
)
def test_slopes_agree_where_the_interval_of_their_difference_is_within_a_quarter(low, high, word):
    assert verdict(0.0, (low, high), 0.1) == word
    assert verdict(math.nan, (low, high), 0.1) == "not measured"


def test_a_record_without_products_or_kinds_is_drawn_as_before():
    values = made_up()
    shown, tables = figure.draw(values.drop(columns="kind"))
    assert (tables[""]["kind"] == "network").all()
    assert (tables["summary"]["condition_verdict"] == "not measured").all()
    assert "Gaussian, own sizes" not in drawn.legends(shown)


def test_products_and_sizes_of_mini_batches_have_lines_panels_and_marks_of_their_own():
    values = with_products(0.08, 0.09, 0.1, sizes=(4, 32))
    values = values[(values["bn_mode"] == "train") | (values["batch_size"] == 32)]
    shown, tables = figure.draw(values)
    assert len(shown.axes) == 2 * 4 + 2
    titles = [ax.get_title() for ax in shown.axes[:4]]
    assert titles == ["no norm", "batch norm,\ntrain, B = 4", "batch norm,\ntrain, B = 32", "batch norm,\neval, B = 32"]
    of_products = tables[""][tables[""]["kind"] == "gaussian_masked"].groupby("depth")["log10_condition"].median()
    lines = [line.get_ydata() for line in shown.axes[5].get_lines() if line.get_color() == "black"]
    assert any(np.array_equal(line, of_products) for line in lines)
    assert not [line for line in shown.axes[1].get_lines() if line.get_color() == "black" and len(line.get_ydata())]
    slopes_at = [line.get_xdata()[0] for line in shown.axes[-1].get_lines() if line.get_color() == "black"]
    assert slopes_at == pytest.approx([0.09, 0.045])
    assert {"with half masks", "without masks", "batch norm, train, B = 4"} <= set(drawn.legends(shown))
