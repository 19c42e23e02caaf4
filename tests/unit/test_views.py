"""What moves in report.html, as specifications; test_report_in_browser.py looks at it drawn."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from understanding_bn.figures import style
from understanding_bn.report import views


def written(tmp_path, name, table):
    table.to_csv(tmp_path / f"{name}.csv", index=False)
    return views.view(tmp_path / f"{name}.csv")


def histories(norms=("batch", "none"), alphas=(0.1, 0.01), seeds=(0, 1), epochs=4):
    rows = [
        {"norm": norm, "alpha": alpha, "seed": seed, "epoch": epoch, "fraction": epoch / epochs, "accuracy": 0.5}
        for norm in norms
        for alpha in alphas
        for seed in seeds
        for epoch in range(1, epochs + 1)
    ]
    fixed = {"split": "test", "batch_size": 64, "arch": "resnet-8", "init": "xavier_uniform", "epochs": epochs}
    return pd.DataFrame(rows).assign(**fixed)


def data(spec):
    return pd.read_csv(io.StringIO(spec["datasets"][spec["data"]["name"]]))


def picks(spec):
    return {param["name"].removeprefix("pick_"): param for param in spec["params"]}


def test_there_is_a_list_for_all_that_varies_and_for_nothing_else(tmp_path):
    spec = written(tmp_path, "fig1_accuracy", histories())
    assert {name: pick["bind"]["options"] for name, pick in picks(spec).items()} == {
        "norm": ["all", "batch norm", "no norm"],
        "alpha": ["all", 0.01, 0.1],
        "seed": ["all", 0, 1],
    }
    assert [step["filter"] for step in spec["transform"]] == [
        f"pick_{name} == 'all' || datum.{name} == pick_{name}" for name in ("norm", "alpha", "seed")
    ]


def test_it_begins_at_the_largest_alpha_with_batch_norm(tmp_path):
    table = pd.concat([histories(), histories(norms=["none"], alphas=[9.0])])
    assert picks(written(tmp_path, "fig1_accuracy", table))["alpha"]["value"] == 0.1


def test_it_begins_with_the_network_of_most_cells(tmp_path):
    table = pd.concat([histories().assign(arch="plain-8", norm="none"), histories()])
    shown = picks(written(tmp_path, "fig1_accuracy", table))
    assert shown["arch"]["bind"]["options"] == ["all", "plain-8", "resnet-8"]
    assert shown["arch"]["value"] == "resnet-8"


def test_norms_have_the_colours_of_the_figures(tmp_path):
    scale = written(tmp_path, "fig1_accuracy", histories())["encoding"]["color"]["scale"]
    assert dict(zip(scale["domain"], scale["range"], strict=True)) == {
        "batch norm": style.COLOURS["batch"],
        "no norm": style.COLOURS["none"],
    }


@pytest.mark.parametrize("epochs", [1, views.POINTS, views.POINTS + 1, 2400])
def test_long_curves_are_thinned_and_keep_their_ends(tmp_path, epochs):
    table = data(written(tmp_path, "fig1_accuracy", histories(alphas=[0.1], seeds=[0], epochs=epochs)))
    for _, curve in table.groupby("norm"):
        assert len(curve) == min(epochs, views.POINTS)
        assert (curve["epoch"].min(), curve["epoch"].max()) == (1, epochs)
        assert curve["epoch"].is_unique


def test_the_papers_own_grid_makes_a_small_page(tmp_path):
    long = [histories(("batch", "none", "layer"), (1e-4, 1e-3, 1e-2), range(5), epochs) for epochs in (1320, 2400)]
    table = pd.concat([curves.assign(split=split) for curves in long for split in ("train", "test")])
    table["accuracy"] = np.random.default_rng(0).random(len(table))
    assert len(json.dumps(written(tmp_path, "fig1_accuracy", table))) < 2_000_000


def test_losses_that_are_not_finite_are_not_drawn(tmp_path):
    rows = [("none", 0, 1, step, loss) for step, loss in ((1e-3, 0.9), (1e-2, 1e8), (1e-1, np.inf), (1.0, np.nan))]
    table = pd.DataFrame(rows, columns=["norm", "seed", "minibatch", "step_size", "relative_loss"])
    spec = written(tmp_path, "fig3_relative_loss", table)
    assert data(spec)["relative_loss"].tolist() == [0.9, 1e8]
    assert written(tmp_path, "fig3_relative_loss", table[2:]) is None


@pytest.mark.parametrize(
    ("low", "high", "powers"),
    [(1.0, 100.0, [1, 10, 100]), (0.5, 0.7, [0.1, 1]), (1e-8, 1e8, [10.0**k for k in range(-8, 9, 2)])],
)
def test_logarithmic_axes_have_few_powers_of_ten(low, high, powers):
    assert views.decades(pd.Series([low, high])).to_dict()["values"] == pytest.approx(powers)


def test_one_moves_along_the_shares_that_were_measured(tmp_path):
    rows = [("none", 3, 8, share, 0, share + 1.0, 1.0) for share in (0, 10, 50, 100)]
    columns = ["norm", "seed", "layer", "percent", "channel", "mean", "variance"]
    spec = written(tmp_path, "fig4_divergence_heatmap", pd.DataFrame(rows, columns=columns))
    slider = picks(spec)["percent"]
    assert (slider["value"], slider["bind"]["min"], slider["bind"]["max"], slider["bind"]["step"]) == (100, 0, 100, 10)
    assert "seed" not in picks(spec)


def test_other_figures_and_missing_values_have_none(tmp_path):
    assert written(tmp_path, "fig7_kernel_gradients", histories()) is None
    assert views.view(tmp_path / "fig1_accuracy.csv") is None
    assert written(tmp_path, "fig1_accuracy", histories().assign(accuracy=np.nan)) is None


def test_the_scripts_do_not_end_the_page_early():
    assert "</script" not in views.scripts()
