"""The figure of the Hessian's spectrum, from made-up spectra."""

import itertools
import math

import drawn
import numpy as np
import pandas as pd
import pytest

from understanding_bn.analysis import spectrum
from understanding_bn.figures import hessian_spectrum as figure
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.summaries.training import CELL


def values(seeds=(0, 1), alphas=(0.01, 0.1, 1.0), batch_size=64, arch="resnet-8", modes=("train", "eval")):
    """Made-up spectra: batch norm at every α, no norm at all but the largest, where it diverged."""
    rng = np.random.default_rng(0)
    parts = []
    for norm, seed in itertools.product(["batch", "none"], seeds):
        for alpha in [math.nan, *(alphas if norm == "batch" else alphas[:-1])]:
            start = math.isnan(alpha)
            for mode, block in itertools.product(modes if norm == "batch" else ["none"], ["all", "3"]):
                sharpness = 2.0 if start else 1 / alpha
                rows = [("top", 0, math.nan, sharpness, math.nan, 1e-6), ("top", 1, math.nan, 1.0, math.nan, 3e-6)]
                rows += [("bottom", 0, math.nan, -0.5, math.nan, 2e-6)]
                for probe in range(3):
                    nodes, weights = np.sort(rng.normal(size=5)), rng.dirichlet(np.ones(5))
                    rows += [("node", i, probe, nodes[i], weights[i], math.nan) for i in range(5)]
                    rows.append(("trace", math.nan, probe, 10.0 + probe, math.nan, math.nan))
                part = pd.DataFrame(rows, columns=spectrum.COLUMNS[2:]).assign(bn_mode=mode, block=block)
                run = {"dataset": "digits", "arch": arch, "init": "xavier_uniform", "norm": norm, "alpha": alpha}
                run |= {"batch_size": batch_size, "epochs": math.nan if start else 6, "seed": seed}
                parts.append(part.assign(**run, epoch=0 if start else 6))
    return pd.concat(parts, ignore_index=True)


def histories(spectra, failure=None):
    """The histories of the networks that these spectra are of; `failure` says of every run how it failed."""
    last = spectra.loc[spectra["epoch"] > 0, [*CELL, "seed", "epoch"]].drop_duplicates()
    return last.assign(failure=failure)


def legends(shown):
    return [text.get_text() for part in shown.subfigs for legend in part.legends for text in legend.texts]


def titles(shown):
    return [ax.get_title() for ax in shown.axes if ax.get_title()]


def test_the_figure_has_a_panel_per_alpha_and_a_summary_of_every_run():
    everything = values()
    shown, tables = figure.draw(histories(everything), everything)
    assert titles(shown) == ["at initialisation", "6 epochs, α = 0.01", "6 epochs, α = 0.1", "6 epochs, α = 1"]
    assert list(tables[""].columns) == figure.COLUMNS
    modes = tables[""].groupby(tables[""]["epoch"] > 0)["bn_mode"].unique()
    assert set(modes[True]) == {"train", "eval", "none"}
    assert set(modes[False]) == {"train", "none"}, "running statistics are not yet any"
    assert len(tables[""]) == 2 * (4 + 3 + 3) * 3 * 5
    summary = tables["summary"]
    assert len(summary) == 2 * 2 * (4 * 2 + 3)
    run = summary[(summary["norm"] == "batch") & (summary["alpha"] == 0.1)]
    assert run["top_eigenvalue"].eq(10).all() and run["bottom_eigenvalue"].eq(-0.5).all()
    assert run["residual"].eq(2e-6).all()
    assert run["trace"].to_numpy() == pytest.approx(11)
    assert run["trace_stderr"].to_numpy() == pytest.approx(1 / math.sqrt(3))
    sharpness = next(ax for ax in shown.axes if "sharpness" in ax.get_ylabel())
    limit = next(line for line in sharpness.get_lines() if line.get_linestyle() == "--")
    assert limit.get_ydata() == pytest.approx(2 / limit.get_xdata())


def test_one_eigenvalue_of_the_largest_network_stays_in_view():
    spectra = values(modes=("train",))
    shown, tables = figure.draw(histories(spectra), spectra)
    panels = [ax for ax in shown.axes if ax.get_title()]
    parts = ["epoch == 0"] + [f"epoch > 0 and alpha == {alpha}" for alpha in (0.01, 0.1, 1.0)]
    highest, at_edges = 0.0, []
    for ax, part in zip(panels, parts, strict=True):
        for norm, nodes in tables[""].query(part).groupby("norm"):
            ((x, y),) = drawn.lines(ax, norm)
            ((places, low, high),) = drawn.bands(ax, norm)
            assert places == pytest.approx(x)
            assert (low <= y * (1 + 1e-9)).all() and (y <= high * (1 + 1e-9)).all()
            highest = max(highest, y.max())
            at_edges.append(np.interp(nodes["node"].max(), x, y))
    low, high = panels[0].get_ylim()
    assert high == pytest.approx(3 * highest)
    assert low == pytest.approx(min(at_edges) / 30, rel=0.01)


def test_densities_are_shares_of_all_eigenvalues():
    spectra = values()
    shown, _ = figure.draw(histories(spectra), spectra)
    for ax in (ax for ax in shown.axes if ax.get_title()):
        linear = ax.xaxis.get_transform().linear_width
        for x, y in drawn.lines(ax, "batch"):
            assert np.trapezoid(y, np.arcsinh(x / linear)) == pytest.approx(1, abs=1e-4)


def test_medians_and_dots_against_alpha_are_those_of_the_seeds():
    spectra = values(seeds=(0, 1, 2))
    top = (spectra["kind"] == "top") & (spectra["index"] == 0) & (spectra["norm"] == "batch")
    spectra.loc[top & (spectra["seed"] == 2), "value"] *= 100
    shown, _ = figure.draw(histories(spectra), spectra)
    sharpness = next(ax for ax in shown.axes if "sharpness" in ax.get_ylabel())
    ((x, y),) = drawn.lines(sharpness, "batch")
    assert x == pytest.approx([0.01, 0.1, 1])
    assert y == pytest.approx([100, 10, 1])
    assert sorted(drawn.markers(sharpness, "batch")[:, 1]) == pytest.approx([1, 1, 10, 10, 100, 100, 100, 1000, 10000])


def test_eval_mode_has_lines_of_its_own_and_the_title_says_how_large_mini_batches_were():
    spectra = values().assign(partition=256)
    spectra.loc[(spectra["bn_mode"] == "eval") & (spectra["kind"] == "top"), "value"] *= 3
    shown, tables = figure.draw(histories(spectra), spectra)
    sharpness = next(ax for ax in shown.axes if "sharpness" in ax.get_ylabel())
    ((_, train),), ((_, evaluated),) = drawn.lines(sharpness, "batch"), drawn.lines(sharpness, "batch", "-.")
    assert evaluated == pytest.approx(3 * train)
    assert len(drawn.markers(sharpness, "batch", "s")) == len(drawn.markers(sharpness, "batch", "o"))
    panels = [ax for ax in shown.axes if ax.get_title()]
    assert [len(drawn.lines(ax, "batch", "-.")) for ax in panels] == [0, 1, 1, 1]
    assert set(tables[""]["partition"]) == set(tables["summary"]["partition"]) == {256}
    assert "mini-batches of 256 images, batch norm in train and eval mode" in shown.subfigs[0].get_suptitle()
    assert {"batch norm in train mode", "batch norm in eval mode"} <= set(legends(shown))


def test_a_spectrum_in_eval_mode_alone_is_drawn():
    spectra = values(modes=("eval",))
    spectra = spectra[spectra["norm"] == "batch"]
    shown, tables = figure.draw(histories(spectra), spectra)
    assert len(titles(shown)) == 3, "none at initialisation"
    assert set(tables[""]["bn_mode"]) == {"eval"}


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (lambda v: v[v["seed"] == 0], 4),
        (lambda v: v[v["epoch"] > 0], 3),
        (lambda v: v[v["epoch"] == 0], 1),
        (lambda v: v[v["alpha"].isna() | v["alpha"].eq(0.1)], 2),
        (lambda v: v[v["kind"].isin(["node", "trace"])], 4),
        (lambda v: v.assign(value=-v["value"].abs()), 4),
    ],
    ids=["one seed", "no start", "no end", "one alpha", "no ends", "negative"],
)
def test_the_figure_copes_with_what_is_missing(keep, expected):
    spectra = keep(values()).reset_index(drop=True)
    shown, _ = figure.draw(histories(values()), spectra)
    assert len(titles(shown)) == expected


def test_the_figure_draws_one_network_and_says_which():
    other = values(seeds=(0,), alphas=(0.01, 0.1), batch_size=16, arch="resnet-14")
    spectra = pd.concat([other, values()], ignore_index=True)
    shown, tables = figure.draw(histories(spectra), spectra)
    assert set(tables[""]["arch"]) == {"resnet-8"}
    assert set(tables["summary"]["arch"]) == {"resnet-8", "resnet-14"}
    what = "ResNet-8 on the digits, Xavier uniform, B = 64\nHessian over mini-batches of 64 images, batch norm in "
    assert what + "train and eval mode" in [part.get_suptitle() for part in shown.subfigs]
    assert "mean of 2 seeds, 3 probes each" in legends(shown)


def test_networks_trained_for_different_times_stand_side_by_side():
    short, long = values(), values(alphas=(0.01, 1.0))
    late = long["epoch"] > 0
    long.loc[late, ["epochs", "epoch"]] = 12
    extra = long[late & (long["alpha"] == 1.0) & (long["seed"] == 0)]  # fewer runs than at 6 epochs
    spectra = pd.concat([short[short["alpha"] != 0.01], long[long["alpha"] == 0.01], extra])
    shown, tables = figure.draw(histories(spectra), spectra)
    assert titles(shown)[1:] == ["12 epochs, α = 0.01", "6 epochs, α = 0.1", "6 epochs, α = 1"]
    sharpness = next(ax for ax in shown.axes if "sharpness" in ax.get_ylabel())
    medians = [line for line in sharpness.get_lines() if line.get_linestyle() == "-"]
    assert sorted(len(line.get_xdata()) for line in medians) == [2, 3], "a line for each norm, over all α"
    assert set(tables["summary"]["epochs"].dropna()) == {6, 12}


def test_networks_that_failed_are_counted_and_in_no_density():
    spectra = values()
    history = histories(spectra)
    history["failure"] = np.where((history["norm"] == "none") & (history["alpha"] == 0.1), "stuck", None)
    shown, tables = figure.draw(history, spectra)
    nodes, summary = tables[""], tables["summary"]
    assert set(nodes.loc[nodes["alpha"] == 0.1, "norm"]) == {"batch"}
    assert set(summary.loc[summary["failure"] == "stuck", "norm"]) == {"none"}
    assert (summary["failure"] == "stuck").sum() == 2 * 2  # seeds × blocks
    sharpness = next(ax for ax in shown.axes if "sharpness" in ax.get_ylabel())
    assert [text.get_text() for text in sharpness.texts] == ["×2"], "seeds, above the panel: no place on its axis"
    assert 0.1 not in drawn.markers(sharpness, "none")[:, 0]
    assert "×n: n seeds failed" in legends(shown)
    with pytest.raises(NothingToShow, match="diverged or stayed at chance"):
        figure.draw(histories(spectra, "stuck"), spectra[spectra["epoch"] > 0])
