"""The figure of the Hessian's spectrum, from made-up spectra."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from understanding_bn.analysis import hessian_spectrum
from understanding_bn.figures import hessian_spectrum as figure


def values(seeds=(0, 1), alphas=(0.01, 0.1, 1.0), batch_size=64, arch="resnet-8"):
    """Made-up spectra: batch norm at every α, no norm at all but the largest, where it diverged."""
    rng = np.random.default_rng(0)
    parts = []
    for norm, seed in itertools.product(["batch", "none"], seeds):
        for alpha in [math.nan, *(alphas if norm == "batch" else alphas[:-1])]:
            start = math.isnan(alpha)
            for mode, block in itertools.product(["train", "eval"] if norm == "batch" else ["none"], ["all", "3"]):
                sharpness = 2.0 if start else 1 / alpha
                rows = [("top", 0, math.nan, sharpness, math.nan, 1e-6), ("top", 1, math.nan, 1.0, math.nan, 3e-6)]
                rows += [("bottom", 0, math.nan, -0.5, math.nan, 2e-6)]
                for probe in range(3):
                    nodes, weights = np.sort(rng.normal(size=5)), rng.dirichlet(np.ones(5))
                    rows += [("node", i, probe, nodes[i], weights[i], math.nan) for i in range(5)]
                    rows.append(("trace", math.nan, probe, 10.0 + probe, math.nan, math.nan))
                part = pd.DataFrame(rows, columns=hessian_spectrum.COLUMNS[2:]).assign(bn_mode=mode, block=block)
                run = {"dataset": "digits", "arch": arch, "init": "xavier_uniform", "norm": norm, "alpha": alpha}
                run |= {"batch_size": batch_size, "epochs": math.nan if start else 6, "seed": seed}
                parts.append(part.assign(**run, epoch=0 if start else 6))
    return pd.concat(parts, ignore_index=True)


def titles(drawn):
    return [ax.get_title() for ax in drawn.axes if ax.get_title()]


def test_the_figure_has_a_panel_per_alpha_and_a_summary_of_every_run():
    everything = values()
    drawn, tables = figure.draw(everything)
    assert titles(drawn) == ["at initialisation", "6 epochs, α = 0.01", "6 epochs, α = 0.1", "6 epochs, α = 1"]
    assert list(tables[""].columns) == figure.COLUMNS
    assert set(tables[""]["bn_mode"]) == {"train", "none"}
    assert len(tables[""]) == 2 * (4 + 3) * 3 * 5
    summary = tables["summary"]
    assert len(summary) == 2 * 2 * (4 * 2 + 3)
    run = summary[(summary["norm"] == "batch") & (summary["alpha"] == 0.1)]
    assert run["top_eigenvalue"].eq(10).all() and run["bottom_eigenvalue"].eq(-0.5).all()
    assert run["residual"].eq(2e-6).all()
    assert run["trace"].to_numpy() == pytest.approx(11)
    assert run["trace_stderr"].to_numpy() == pytest.approx(1 / math.sqrt(3))
    sharpness = next(ax for ax in drawn.axes if "sharpness" in ax.get_ylabel())
    limit = next(line for line in sharpness.get_lines() if line.get_linestyle() == "--")
    assert limit.get_ydata() == pytest.approx(2 / limit.get_xdata())
    plt.close(drawn)


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (lambda v: v[v["seed"] == 0], 4),
        (lambda v: v[v["epoch"] > 0], 3),
        (lambda v: v[v["epoch"] == 0].drop(columns=["alpha", "epochs"]), 1),
        (lambda v: v[v["alpha"].isna() | v["alpha"].eq(0.1)], 2),
        (lambda v: v[v["kind"].isin(["node", "trace"])], 4),
        (lambda v: v.assign(value=-v["value"].abs()), 4),
    ],
    ids=["one seed", "no start", "no end", "one alpha", "no ends", "negative"],
)
def test_the_figure_copes_with_what_is_missing(keep, expected):
    drawn, _ = figure.draw(keep(values()).reset_index(drop=True))
    assert len(titles(drawn)) == expected
    plt.close(drawn)


def test_the_figure_draws_one_network_and_says_which():
    other = values(seeds=(0,), alphas=(0.01, 0.1), batch_size=16, arch="resnet-14")
    drawn, tables = figure.draw(pd.concat([other, values()], ignore_index=True))
    assert set(tables[""]["arch"]) == {"resnet-8"}
    assert set(tables["summary"]["arch"]) == {"resnet-8", "resnet-14"}
    assert "resnet-8 on digits, xavier uniform, B = 64; 2 seeds × 3 probes" in [
        part.get_suptitle() for part in drawn.subfigs
    ]
    plt.close(drawn)


def test_networks_trained_for_different_times_stand_side_by_side():
    short, long = values(), values(alphas=(0.01, 1.0))
    late = long["epoch"] > 0
    long.loc[late, ["epochs", "epoch"]] = 12
    extra = long[late & (long["alpha"] == 1.0) & (long["seed"] == 0)]  # fewer runs than at 6 epochs
    drawn, tables = figure.draw(pd.concat([short[short["alpha"] != 0.01], long[long["alpha"] == 0.01], extra]))
    assert titles(drawn)[1:] == ["12 epochs, α = 0.01", "6 epochs, α = 0.1", "6 epochs, α = 1"]
    sharpness = next(ax for ax in drawn.axes if "sharpness" in ax.get_ylabel())
    medians = [line for line in sharpness.get_lines() if line.get_linestyle() == "-"]
    assert sorted(len(line.get_xdata()) for line in medians) == [2, 3], "a line for each norm, over all α"
    assert set(tables["summary"]["epochs"].dropna()) == {6, 12}
    plt.close(drawn)


def test_networks_that_failed_are_crosses_and_in_no_density():
    spectra = values()
    cells = spectra.loc[spectra["epoch"] > 0, [*figure.NETWORK, "epochs", "norm", "alpha", "seed"]].drop_duplicates()
    stuck = (cells["norm"] == "none") & (cells["alpha"] == 0.1)
    history = cells.assign(epoch=6, learning_rate=0.1, failure=np.where(stuck, "stuck", None))
    drawn, tables = figure.draw(pd.concat([history, spectra], ignore_index=True))
    nodes, summary = tables[""], tables["summary"]
    assert set(nodes.loc[nodes["alpha"] == 0.1, "norm"]) == {"batch"}
    assert set(summary.loc[summary["failure"] == "stuck", "norm"]) == {"none"}
    assert (summary["failure"] == "stuck").sum() == 2 * 2  # seeds × blocks
    sharpness = next(ax for ax in drawn.axes if "sharpness" in ax.get_ylabel())
    crosses = [line for line in sharpness.get_lines() if line.get_marker() == "x"]
    assert sorted(x for line in crosses for x in line.get_xdata()) == [0.1, 0.1]
    assert "failed" in [text.get_text() for part in drawn.subfigs for legend in part.legends for text in legend.texts]
    plt.close(drawn)
    everyone = history.assign(failure="stuck")
    drawn, tables = figure.draw(pd.concat([everyone, spectra[spectra["epoch"] > 0]], ignore_index=True))
    assert len(titles(drawn)) == 3  # nothing sound: what there is, crossed
    plt.close(drawn)
