"""Figures and tables from made-up values: what is drawn, and that the CSV holds it."""

import drawn
import numpy as np
import pandas as pd
import pytest
from made_up import FACTS, PAPER, moments_table
from matplotlib.patches import StepPatch

from understanding_bn.analysis import random_matrices
from understanding_bn.figures import (
    fig2_gradient_histogram,
    fig3_relative_loss,
    fig4_divergence_heatmap,
    fig5_channel_moments,
    fig6_logit_gradients,
    fig7_kernel_gradients,
    fig8_singular_values,
    table1_gradient_sums,
)
from understanding_bn.summaries.channel_moments import moments_by_layer
from understanding_bn.summaries.relative_loss import landmarks


def test_fig2_counts_every_entry():
    rng = np.random.default_rng(0)
    values = pd.concat(
        pd.DataFrame({"norm": norm, "seed": seed, "layer": 5, "minibatch": 1, "gradient": draw(size=5000)}).assign(
            **FACTS
        )
        for norm, draw in (("batch", rng.normal), ("none", rng.laplace))
        for seed in (0, 1)
    )
    wide = values["norm"].eq("none") & values["seed"].eq(1)
    values["gradient"] = values["gradient"].mask(wide, 50 * values["gradient"])
    figure, tables = fig2_gradient_histogram.draw(values)
    ((x, gaussian),) = drawn.lines(figure.axes[0], linestyle=":")
    assert np.trapezoid(gaussian, x) == pytest.approx(1, rel=1e-3)
    steps = [patch for patch in figure.axes[0].patches if isinstance(patch, StepPatch)]
    for densities, edges, _ in (step.get_data() for step in steps):
        assert (densities * np.diff(edges)).sum() == pytest.approx(1), "as the Gaussian, in standard deviations"
    assert len(steps) == 4
    assert tables[""].groupby(["norm", "seed"])["count"].sum().eq(5000).all()
    columns = ["norm", "layer", "seed", "bin_left", "bin_right", "count", "density"]
    assert list(tables[""].columns) == columns
    summary = tables["summary"].set_index(["norm", "seed"])
    assert summary.loc["batch", "sd"].to_numpy() == pytest.approx(1, abs=0.05)
    assert summary.loc["batch", "kurtosis"].to_numpy() == pytest.approx(3, abs=0.3)
    assert summary.loc["none", "kurtosis"].to_numpy() == pytest.approx(6, abs=1.5)


def test_fig3_median_never_forgets_a_seed_that_has_exploded():
    steps = np.geomspace(1e-4, 1, 5)
    curves = {0: [1, 1, 1, 1, 1], 1: [1, 1, 1, 1e10], 2: [1, 1, np.inf]}
    values = pd.concat(
        pd.DataFrame({"norm": "none", "seed": s, "minibatch": 1, "step_size": steps[: len(c)], "relative_loss": c})
        for s, c in curves.items()
    ).assign(**FACTS)
    figure, tables = fig3_relative_loss.draw(values)
    (median,) = (line for line in figure.axes[0].get_lines() if line.get_label() == "no norm")
    assert median.get_ydata().tolist() == [1, 1, 1, 1e10]
    assert len(tables[""]) == 12


def test_fig3_landmarks_are_read_beyond_the_minimum_and_stand_beside_the_papers():
    steps = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    curves = {("none", 0): [1.2, 0.4, 5.0, 2e3, np.inf], ("batch", 0): [0.9, 0.8, 0.7, 0.9, 0.95]}
    parts = [
        pd.DataFrame({"norm": n, "seed": s, "minibatch": 1, "step_size": steps, "relative_loss": c})
        for (n, s), c in curves.items()
    ]
    values = pd.concat(parts).assign(**PAPER)
    table = landmarks(values).set_index("norm")
    none, batch = table.loc["none"], table.loc["batch"]
    assert (none["minimum"], none["minimum_step"]) == (0.4, 1e-3)
    assert [none[f"passes_{v}"] for v in ("1", "1000", "1e+06")] == [1e-2, 1e-1, 1.0]
    assert batch["minimum_step"] == 1e-2
    assert batch[["passes_1", "passes_1000", "passes_1e+06"]].isna().all()
    assert (none["paper_minimum"], none["paper_minimum_step"], none["paper_passes_1000"]) == (0.115, 2.3e-4, 1.8e-3)
    assert table["paper_origin"].eq("digitised").all()
    figure, _ = fig3_relative_loss.draw(values)
    assert [text for text in drawn.legends(figure) if "paper" in text] == [
        "minimum, paper (digitised)",
        "crossings of 1, 10³, 10⁶, paper (digitised)",
    ]
    smaller = landmarks(values.assign(arch="resnet-20"))
    assert smaller.filter(like="paper").isna().all(axis=None)


def test_fig7_energy_is_that_of_the_singular_values():
    rng = np.random.default_rng(0)
    outer = np.outer(rng.random(6), rng.random(4))
    identity = np.eye(6, 4)
    parts = []
    for norm, matrix in (("none", outer), ("batch", identity)):
        for seed in (0, 1):
            index = pd.MultiIndex.from_product([range(6), range(4)], names=["out_channel", "in_channel"])
            part = index.to_frame(index=False).assign(norm=norm, seed=seed, layer=4, gradient=matrix.ravel())
            parts.append(part.assign(magnitude=1.0))
    figure, tables = fig7_kernel_gradients.draw(pd.concat(parts).sample(frac=1, random_state=0))
    share = tables["summary"].set_index(["norm", "seed"])["top_share"]
    assert share["none"].to_numpy() == pytest.approx(1)
    assert share["batch"].to_numpy() == pytest.approx(1 / 4)
    flat = tables["summary"].set_index(["norm", "seed"])["flat_share"]
    assert flat["none"].to_numpy() == pytest.approx(outer.mean() ** 2 / (outer**2).mean())
    assert flat["batch"].to_numpy() == pytest.approx(1 / 6), "four ones among 24 entries"
    assert list(tables[""].columns) == fig7_kernel_gradients.COLUMNS
    # Without normalisation first, each in units of its own mean; the curves leave out what the first value has.
    (_, none), (_, batch) = drawn.heatmaps(figure)
    assert none == pytest.approx(outer / outer.mean())
    assert batch == pytest.approx(identity * 6)
    left_out = [y for _, y in drawn.lines(figure.axes[-1], "batch")]
    assert len(left_out) == 3, "two seeds and their median"
    assert all(y == pytest.approx([3 / 4, 2 / 4, 1 / 4]) for y in left_out)


def test_fig4_draws_one_seed_and_summarises_all():
    index = pd.MultiIndex.from_product(
        [["batch", "none"], [0, 1], [2, 8], [0, 50, 100], range(3)],
        names=["norm", "seed", "layer", "percent", "channel"],
    ).to_frame(index=False)
    values = index.assign(mean=-2.0, variance=3.0, loss=1.0, alpha=0.1, update=4, diverged=index["norm"] == "none")
    figure, tables = fig4_divergence_heatmap.draw(values.assign(**FACTS))
    assert list(tables[""].columns) == fig4_divergence_heatmap.COLUMNS
    assert tables[""]["seed"].eq(0).all()
    assert len(tables["summary"]) == 2 * 2 * 2 * 2
    assert tables["summary"]["largest_mean"].eq(2).all()
    maps = drawn.heatmaps(figure)
    assert len(maps) == 2 * 4
    assert {numbers.shape for _, numbers in maps} == {(3, 3)}
    assert {number for _, numbers in maps for number in numbers.flat} == {2, 3}
    assert all(ax.get_ylim() == (-25, 125) for ax, _ in maps), "the update begins at the foot"
    assert [part.get_suptitle() for part in figure.subfigs] == [
        "no norm, α = 0.1, seed 0\nupdate 4, which diverges",
        "batch norm, α = 0.1, seed 0\nupdate 4; none up to it diverges",
    ]


def test_fig4_greys_what_is_not_finite_and_names_the_grey():
    index = pd.MultiIndex.from_product([[0, 50, 100], range(3)], names=["percent", "channel"]).to_frame(index=False)
    values = index.assign(norm="none", seed=0, layer=2, mean=2.0, variance=3.0, alpha=0.1, update=1, diverged=True)
    values.loc[values["percent"] == 100, "variance"] = np.inf
    figure, _ = fig4_divergence_heatmap.draw(values)
    (_, means), (_, variances) = drawn.heatmaps(figure)
    assert np.isfinite(means).all()
    assert np.isnan(variances[2]).all() and np.isfinite(variances[:2]).all()
    assert drawn.legends(figure) == ["overflow or NaN"]
    assert drawn.legends(fig4_divergence_heatmap.draw(values[values["percent"] < 100])[0]) == []


def test_fig5_takes_logarithms_channel_by_channel():
    table = moments_by_layer(moments_table())
    means = table[table["statistic"] == "log_mean"]
    assert means["value"].to_numpy() == pytest.approx(2)
    assert means["spread"].to_numpy() == pytest.approx(np.sqrt(2))
    assert table[table["statistic"] == "log_std"]["value"].to_numpy() == pytest.approx(2)


def test_fig5_has_the_spread_over_channels_around_the_mean_over_seeds():
    values = moments_table()
    values.loc[(values["seed"] == 1) & (values["channel"] == 1), "mean"] = np.e
    figure, _ = fig5_channel_moments.draw(values)
    means = {0: (1 + 3) / 2, 1: 1.0}  # of log|mean| over the two channels, by seed; spreads are √2 and 0
    errors, _ = sorted(map(np.array, drawn.segments(figure.axes[0], "batch")), key=lambda ends: ends[0, 0])
    middle, spread = np.mean(list(means.values())), np.sqrt(2) / 2
    assert errors[:, 0] == pytest.approx(6, abs=1), "next to those of the other norm"
    assert errors[:, 1] == pytest.approx([middle - spread, middle + spread])
    curves = drawn.lines(figure.axes[0], "batch")
    assert [y.tolist() for _, y in curves] == [[pytest.approx(middle)] * 2]
    assert sorted(drawn.dots(figure.axes[0], "batch")[:, 1]) == pytest.approx([1, 1, 2, 2])


def test_fig5_leaves_dead_channels_out_and_counts_them():
    values = moments_table()
    values.loc[values["channel"] == 1, ["mean", "variance"]] = 0.0
    table = moments_by_layer(values)
    assert table["dead_channels"].eq(1).all()
    assert np.isfinite(table["value"]).all()
    assert table[table["statistic"] == "log_mean"]["value"].to_numpy() == pytest.approx(1)


def test_fig6_has_a_panel_for_every_norm_and_seed():
    index = pd.MultiIndex.from_product(
        [["batch", "none"], [0, 1, 2], range(8), range(4)], names=["norm", "seed", "image", "class"]
    ).to_frame(index=False)
    figure, tables = fig6_logit_gradients.draw(index.assign(label=0, gradient=1 / 8, **FACTS))
    maps = drawn.heatmaps(figure)
    assert len(maps) == 6
    assert all(np.allclose(numbers, 1) for _, numbers in maps)  # in units of 1/B
    assert list(tables[""].columns) == fig6_logit_gradients.COLUMNS


def test_fig8_drops_no_value_and_measures_each_draw():
    tables = []
    for factors in (1, 3):
        for draw in range(3):
            values = random_matrices.singular_values(60, factors, draw)
            keys = {"factors": factors, "size": 60, "draw": draw, "rank": range(60)}
            tables.append(pd.DataFrame(keys | {"singular_value": values}))
    figure, results = fig8_singular_values.draw(pd.concat(tables))
    for ax, factors in zip(figure.axes, (1, 3), strict=True):
        ((s, expected),) = drawn.lines(ax)
        width = random_matrices.upper_edge(factors) / 50
        assert np.trapezoid(expected, s) / width == pytest.approx(3 * 60, rel=0.02), "Theorem 1 counts them all"
    assert results[""].groupby(["factors", "draw"])["count"].sum().eq(60).all()
    widths = results[""]["bin_right"] - results[""]["bin_left"]
    assert widths[results[""]["factors"] == 1].to_numpy() == pytest.approx(2 / 50)
    first = random_matrices.singular_values(60, 1, 0)
    summary = results["summary"].set_index(["factors", "draw"])
    assert summary.loc[(1, 0), "condition_number"] == pytest.approx(first[0] / first[-1])


def test_table1_has_raw_values_and_means_with_intervals():
    values = pd.DataFrame(
        {"norm": "batch", "seed": [0, 1], "layer": 18, "a": [2.0, 4.0], "b": [1.0, 1.0], "ratio": [2.0, 4.0]}
    ).assign(**FACTS)
    table, text = table1_gradient_sums.tabulate(values)
    assert table["ratio"].tolist() == [2.0, 4.0]
    assert "| batch norm | 18 | 3 | 1 | 2.83 | 0.0346 to 231 | 2 | not comparable |" in text
