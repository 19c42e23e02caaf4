"""Claims on fewer points than they compare are not run; networks without a value are counted, never taken for one."""

import itertools

import numpy as np
import pandas as pd
import pytest
from evidence import judged, measured

from understanding_bn.claims.checks import (
    INCONCLUSIVE,
    NOT_RUN,
    PRECONDITION,
    REPRODUCED,
    every,
    mean_check,
    ratio_check,
)

SEEDS = 3


def grid(**levels):
    """Columns with every combination of the levels, for three seeds."""
    index = pd.MultiIndex.from_product([range(SEEDS), *levels.values()], names=["seed", *levels])
    return index.to_frame(index=False).to_dict("list")


def noise(sizes, sampling="epoch"):
    columns = grid(batch_size=sizes, alpha=[0.1, 1.0])
    values = 1 / np.array(columns["batch_size"])
    return columns | {"noise": values, "update_noise": values, "sampling": sampling}


def sweep(*steps):
    return grid(step_size=steps) | {"minibatch": 1, "relative_loss": 0.5, "loss": 2.3}


LAYERS = {"channel": 0, "mean": 1.0, "variance": 1.0}
PATH = LAYERS | {"percent": 0, "alpha": 0.1, "update": 1, "diverged": True}


@pytest.mark.parametrize(
    ("number", "name", "columns", "needed"),
    [
        (6, "gradient_noise", noise([8]), "two batch sizes"),
        (6, "gradient_noise", noise([8, 64], "subset"), "two batch sizes"),
        (8, "relative_loss", sweep(1e-5, 0.1), "steps from 0.002 or less to 0.2 or more"),
        (8, "relative_loss", sweep(0.01, 1.0), "steps from 0.002 or less to 0.2 or more"),
        (9, "divergence_path", grid(layer=[8, 44]) | PATH, "three layers"),
        (11, "channel_moments", grid(layer=[6, 110]) | LAYERS | {"site": "stream"}, "two convolutions"),
        (13, "gradient_sums", grid(layer=[18, 54]) | {"a": 1.0, "b": 1.0, "ratio": 1.0}, "three layers"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_claim_that_compares_more_than_was_measured_is_not_run(tmp_path, number, name, columns, needed):
    claim = judged(tmp_path, measured(tmp_path, name, **columns))[number]
    assert claim["verdict"] == NOT_RUN
    assert claim["note"].startswith(f"needs {name}")
    assert needed in claim["note"]
    assert claim["measured"] is None


WITH_NAN = {
    6: ("gradient_noise", noise([8, 64]), ["noise"]),
    7: ("gradient_histogram", grid(minibatch=range(9)) | {"layer": 55, "gradient": np.arange(27.0) ** 2}, ["gradient"]),
    8: ("relative_loss", sweep(1e-5), ["relative_loss", "loss"]),
    9: ("divergence_path", grid(layer=[8, 44, 80]) | PATH, ["mean", "variance"]),
    11: ("channel_moments", grid(layer=[6, 102]) | LAYERS | {"site": "stream"}, ["mean", "variance"]),
    12: ("logit_gradients", grid(image=[0, 1], **{"class": [0, 1]}) | {"label": 1, "gradient": 0.2}, ["gradient"]),
    13: ("gradient_sums", grid(layer=[18, 54, 108]) | {"a": 1.0, "b": 1.0, "ratio": 1.0}, ["ratio"]),
    14: (
        "kernel_gradients",
        grid(out_channel=[0, 1], in_channel=[0, 1]) | {"layer": 45, "gradient": 1.0},
        ["gradient"],
    ),
    20: (
        "input_mean_correlation",
        grid(in_channel=[0, 1]) | {"layer": 2, "input_mean": 1.0, "gradient": 1.0},
        ["gradient"],
    ),
}


BAD = [case for case in itertools.product([np.nan, np.inf], WITH_NAN) if case != (np.inf, 13)]  # a/b may be infinite


@pytest.mark.parametrize(("bad", "number"), BAD)
@pytest.mark.filterwarnings("error")
def test_no_claim_is_decided_by_networks_that_are_not_finite(tmp_path, bad, number):
    """None has a value: at the paper's scale, too, the verdict is that nothing can be told."""
    name, columns, values = WITH_NAN[number]
    claim = judged(tmp_path, measured(tmp_path, name, **columns | dict.fromkeys(values, bad)))[number]
    assert claim["verdict"] in (INCONCLUSIVE, PRECONDITION)
    evidence = [check for check in claim["checks"] if check["evidence"]]
    assert {check["seeds"] for check in evidence} == {0}
    assert all(check["measured"] is None for check in evidence)
    assert all("3 of 3 without a value" in check["name"] for check in evidence)


def test_what_has_no_value_is_counted_in_the_name_of_the_check():
    some = np.array([1.0, np.nan, 3.0])
    assert mean_check("x", some, "≥", 0).name == "x; 1 of 3 without a value"
    assert ratio_check("x", some, "≥", 1).name == "x; 1 of 3 without a value"
    flags = pd.Series([True, None, True], dtype="boolean")
    assert (every("x", flags).name, every("x", flags).seeds) == ("x; 1 of 3 without a value", 2)
    assert every("x", flags[1:2]).verdict == INCONCLUSIVE
    assert every("x", flags.fillna(True)).name == "x"
    assert every("x", np.repeat(True, 5)).verdict == REPRODUCED
