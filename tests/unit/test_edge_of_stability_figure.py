"""The figure of sharpness beside the edge of stability, on made-up descents."""

import drawn
import numpy as np
import pandas as pd
import pytest

from understanding_bn.claims import followups
from understanding_bn.figures import edge_of_stability as figure

FACTS = {"dataset": "digits", "arch": "resnet-8", "init": "xavier_uniform", "batch_size": 256}


def made_up():
    """Two norms, losses, momenta, learning rates and seeds: shares 0.5, 1.01 + seed, 1; the last seed ends earlier."""
    rows = []
    for norm in ("none", "batch"):
        for loss in ("cross_entropy", "mse"):
            for momentum in (0.0, 0.9):
                for alpha in (0.1, 0.2):
                    for seed in (0, 1):
                        facts = {"norm": norm, "loss": loss, "momentum": momentum, "alpha": alpha, "seed": seed}
                        for update, share in enumerate([0.5, 1.01 + seed, 1.0][: 3 - seed]):
                            sharpness = share * (2 + 2 * momentum) / alpha
                            facts |= {"update": update, "training_loss": 3.0 - update, "sharpness": sharpness}
                            rows.append(FACTS | facts | {"failure": ""})
    return pd.DataFrame(rows)


def test_a_panel_has_the_median_of_each_learning_rate_while_most_seeds_go_on():
    shown, tables = figure.draw(made_up())
    panels = [ax for ax in shown.axes if ax.get_yscale() == "log" and ax.get_ylim() == figure.LIMITS]
    assert [ax.get_title() for ax in panels[:4]] == [
        *("batch norm, β = 0", "batch norm, β = 0.9", "no norm, β = 0", "no norm, β = 0.9")
    ]
    assert len(panels) == 8
    for ax, norm in zip(panels, ("batch", "batch", "none", "none") * 2, strict=True):
        seeds_and_median = drawn.lines(ax, norm)
        assert len(seeds_and_median) == 3, "two seeds and the median of the largest rate"
        x, y = seeds_and_median[-1]
        assert x.tolist() == [0, 1], "at update 2 one of two seeds is left"
        assert y == pytest.approx([0.5, 1.51])
        assert [text.get_text() for text in ax.get_legend().get_texts()] == ["α = 0.2", "α = 0.1"]
    assert set(tables[""].columns) == set(figure.COLUMNS)
    assert len(tables[""]) == 16 * 5
    assert len(tables["summary"]) == 32
    assert set(tables["summary"]["outcome"]) == {"settled", "ended as it crossed"}


def test_failures_are_crosses_and_one_norm_and_loss_are_enough():
    table = made_up()
    table = table[(table["norm"] == "none") & (table["loss"] == "mse") & (table["momentum"] == 0)].copy()
    last = (table["seed"] == 0) & (table["update"] == 2)
    table.loc[last, ["sharpness", "training_loss", "failure"]] = [np.nan, np.inf, "diverged"]
    shown, tables = figure.draw(table)
    crosses = [line for line in shown.axes[0].get_lines() if line.get_marker() == "x" and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in crosses] == [[2], [2]]
    assert tables["summary"]["outcome"].value_counts().to_dict() == {"diverged": 2, "ended as it crossed": 2}


def test_the_band_is_that_of_the_claim():
    assert figure.BAND == (1 - followups.EDGE_ERROR, 1 + followups.EDGE_ERROR)
    assert figure.LEAST_LOSS == followups.EDGE_LOSS
