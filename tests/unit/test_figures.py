"""Figures and tables from made-up values: what is drawn, and that the CSV holds it."""

import drawn
import numpy as np
import pandas as pd
import pytest
from made_up import FACTS, PAPER, history, moments_table

from understanding_bn.analysis import random_matrices
from understanding_bn.figures import (
    fig1_accuracy,
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


def test_fig1_names_failed_runs_in_the_legend_and_averages_only_the_others():
    values = pd.concat(
        [
            history("batch", 0.1, [0.9, 0.8]),
            history("none", 0.1, [None, None]),
            history("layer", 0.1, [0.6, None]),
            history("none", 0.01, [0.1, 0.1], failure="stuck at chance"),
        ]
    )
    figure, tables = fig1_accuracy.draw(values)
    texts = drawn.legends(figure)
    assert "batch norm 85.0 ± 7.1 %" in texts
    assert "no norm\n2 of 2 diverged" in texts
    assert "layer norm 60.0 %\n1 of 2 diverged" in texts
    assert "no norm 10.0 ± 0.0 %\n2 of 2 at chance" in texts
    rows = tables[""]
    assert list(rows.columns) == fig1_accuracy.COLUMNS
    assert rows["accuracy"].notna().all()
    assert len(rows) == 2 * 2 * (2 + 1 + 2)
    summary = tables["summary"]
    assert len(summary) == 8
    assert summary["first_bad_step"].eq(3).sum() == 3
    for ax in figure.axes[:2]:
        ((x, y),) = drawn.lines(ax, "batch")
        ((places, low, high),) = drawn.bands(ax, "batch")
        assert x.tolist() == places.tolist() == [50, 100]
        assert y == pytest.approx([42.5, 85])
        # The standard deviation of two values is their distance over the root of two, on either side of the mean.
        assert high - y == pytest.approx(np.array([5, 10]) / np.sqrt(2))
        assert y - low == pytest.approx(high - y)


def test_fig1_draws_a_seed_at_chance_apart_from_those_that_learned():
    stuck = history("none", 0.1, [None, 0.5, 0.1]).assign(
        failure=lambda runs: runs["failure"].mask(runs["seed"] == 2, "stuck at chance")
    )
    figure, _ = fig1_accuracy.draw(stuck.reset_index(drop=True))
    assert drawn.legends(figure) == ["no norm 50.0 %\n1 of 3 diverged\n1 of 3 at chance"]
    for ax in figure.axes[:2]:
        ((_, mean),), ((_, alone),) = drawn.lines(ax), drawn.lines(ax, linestyle=":")
        assert mean == pytest.approx([25, 50])
        assert alone == pytest.approx([5, 10])


@pytest.mark.parametrize("more", [False, True])
def test_fig1_names_norms_where_it_cannot_name_every_cell(more):
    size = fig1_accuracy.MOST_NAMED + more - 1
    cells = [history("batch", 0.1, [0.5 + number / 100, None]).assign(batch_size=number) for number in range(size)]
    figure, tables = fig1_accuracy.draw(pd.concat([*cells, history("none", 0.1, [0.4])]))
    if more:
        batch = f"batch norm, {size} cells\n50.0–{49 + size:.1f} %\n{size} of {2 * size} diverged"
        assert drawn.legends(figure) == [batch, "no norm, 1 cell\n40.0 %"]
    else:
        assert len(drawn.legends(figure)) == size + 1
    assert all(len(ax.get_lines()) == size + 1 for ax in figure.axes[:2])
    assert len(tables["summary"]) == 2 * size + 1


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


def test_fig2_counts_every_entry():
    rng = np.random.default_rng(0)
    values = pd.concat(
        pd.DataFrame({"norm": norm, "seed": seed, "layer": 5, "minibatch": 1, "gradient": draw(size=5000)}).assign(
            **FACTS
        )
        for norm, draw in (("batch", rng.normal), ("none", rng.laplace))
        for seed in (0, 1)
    )
    figure, tables = fig2_gradient_histogram.draw(values)
    for ax in figure.axes:
        ((x, gaussian),) = drawn.lines(ax, linestyle=":")
        width = (x[-1] - x[0]) / 81
        assert np.trapezoid(gaussian, x) / width == pytest.approx(5000, rel=0.01)
    assert tables[""].groupby(["norm", "seed"])["count"].sum().eq(5000).all()
    assert list(tables[""].columns) == ["norm", "layer", "seed", "bin_left", "bin_right", "count"]
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
    assert drawn.legends(figure) == [
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
    assert list(tables[""].columns) == fig7_kernel_gradients.COLUMNS
    # Without normalisation first, each in units of its own mean; the curves leave out what the first value has.
    (_, none), (_, batch) = drawn.heatmaps(figure)
    assert none == pytest.approx(outer / outer.mean())
    assert batch == pytest.approx(identity * 6)
    left_out = [y for _, y in drawn.lines(figure.axes[2], "batch")]
    assert len(left_out) == 3, "two seeds and their mean"
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
    assert all(ax.get_ylim() == (0, 3) for ax, _ in maps), "the update begins at the foot"
    titles = [ax.get_title() for ax in figure.axes]
    assert any("no norm, α = 0.1\nupdate 4 diverges" in title for title in titles)
    assert any("batch norm, α = 0.1\nupdate 4 does not diverge" in title for title in titles)


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
    (errors,) = {
        tuple(map(tuple, segment)) for segment in drawn.segments(figure.axes[0], "batch") if segment[0][0] == 6
    }
    middle, spread = np.mean(list(means.values())), np.sqrt(2) / 2
    assert errors == ((6, pytest.approx(middle - spread)), (6, pytest.approx(middle + spread)))
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
    assert "| batch norm | 18 | 3.00e+00 | 1.00e+00 | 2.83 | 0.0346 to 231 | 2 | not comparable |" in text
