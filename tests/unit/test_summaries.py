"""What is computed from raw values, against closed forms."""

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import understanding_bn.summaries.hessian as hessian
from understanding_bn.summaries import intervals
from understanding_bn.summaries.gradient_structure import with_noise_of_updates
from understanding_bn.summaries.training import endings, main_network, of_network, with_failures

PACKAGE = Path(intervals.__file__).parents[1]
CELLS = {"arch": "resnet-8", "init": "any", "norm": "batch", "alpha": 0.1, "batch_size": 8, "epochs": 2}
RUN = CELLS | {"seed": 0, "epoch": 2, "bn_mode": "train", "block": "all"}


def history(**changes):
    row = CELLS | {"seed": 0, "train_accuracy": 0.5, "failure": None, "first_bad_step": None} | changes
    return [
        row | {"first_absolute_step": None, "last_finite_loss": 1.0, "epoch": e, "test_accuracy": e / 4} for e in (1, 2)
    ]


def test_the_main_network_has_most_cells_whatever_its_number_of_seeds():
    rows = [row for seed in range(9) for row in history(seed=seed, arch="resnet-14")]
    rows += [row for alpha in (0.1, 0.01) for row in history(alpha=alpha)]
    table = pd.DataFrame(rows)
    assert main_network(table) == ("resnet-8", "any", 8)
    assert set(of_network(table, ("resnet-8", "any", 8))["alpha"]) == {0.1, 0.01}
    assert main_network(table[table["alpha"] == 0.1]) == ("resnet-14", "any", 8), "the first of several"


def test_a_run_ends_with_its_last_epoch_however_its_rows_are_sorted():
    table = pd.DataFrame(history(seed=1) + history()).iloc[::-1]
    ends = endings(table)
    assert ends["test_accuracy"].tolist() == [0.5, 0.5]
    assert ends["seed"].tolist() == [0, 1]


def test_networks_without_a_run_count_as_sound():
    table = pd.DataFrame([CELLS | {"seed": seed} for seed in (0, 1)] + [CELLS | {"alpha": np.nan, "seed": 0}])
    histories = pd.DataFrame(history() + history(seed=1, failure="overflow"))
    assert with_failures(table, histories)["failure"].tolist() == ["", "overflow", ""]


def test_the_noise_scale_has_no_number_where_noise_drowns_the_gradient():
    table = pd.DataFrame({"alpha": 0.5, "noise": 8.0, "constant": 6.0, "gradient_norm2": [2.0, 0.0, -1.0]})
    measured = with_noise_of_updates(table)
    assert measured["update_noise"].tolist() == [2, 2, 2]
    assert measured["noise_scale"].tolist() == [
        3,
        pytest.approx(np.nan, nan_ok=True),
        pytest.approx(np.nan, nan_ok=True),
    ]


@pytest.mark.parametrize("probes", [1, 2, 5])
def test_outliers_over_the_rms_eigenvalue_whatever_the_number_of_probes(probes):
    """Eigenvalues −3 and 3, and one of 12: λ_max over their root mean square."""
    eigenvalues, weights = (-3.0, 3.0, 12.0), (0.5, 0.25, 0.25)
    rows = [RUN | {"kind": "top", "index": i, "value": value} for i, value in enumerate((12.0, 3.0))]
    for probe in range(probes):
        for value, weight in zip(eigenvalues, weights, strict=True):
            rows.append(RUN | {"kind": "node", "probe": probe, "value": value, "weight": weight})
    other = [row | {"block": "3", "value": 1e6} for row in rows]
    (ratio,) = hessian.largest_over_rms(pd.DataFrame(rows + other))["ratio"]
    assert ratio == pytest.approx(12 / np.sqrt(0.75 * 9 + 0.25 * 144))


def test_sharpness_is_the_largest_eigenvalue_and_the_trace_a_mean_over_probes():
    rows = [RUN | {"kind": "top", "value": value} for value in (2.0, 7.0)]
    rows += [RUN | {"kind": "trace", "probe": probe, "value": value} for probe, value in enumerate((1.0, 4.0))]
    (row,) = hessian.sharpness_and_trace(pd.DataFrame(rows)).to_dict("records")
    assert (row["sharpness"], row["trace"]) == (7, 2.5)


def test_one_measure_is_taken_of_all_networks_eval_mode_where_it_was_measured():
    """A network without batch statistics has neither mode; earlier versions measured each cell with its own B."""
    rows = [RUN | {"kind": "top", "value": 2.0}, RUN | {"kind": "top", "value": 3.0, "norm": "none", "bn_mode": "none"}]
    table = pd.DataFrame(rows)
    columns = ["norm", "sharpness", "sharpness_bn_mode", "sharpness_partition"]
    size = RUN["batch_size"]
    found = hessian.sharpness_and_trace(table)[columns].to_numpy().tolist()
    assert found == [["batch", 2, "train", size], ["none", 3, "none", size]]
    both = pd.concat([table, table[:1].assign(bn_mode="eval", value=5.0)]).assign(partition=512)
    found = hessian.sharpness_and_trace(both)[columns].to_numpy().tolist()
    assert found == [["batch", 5, "eval", 512], ["none", 3, "none", 512]]


def test_each_room_imports_only_those_before_it():
    """Summaries draw nothing, judge nothing and need no torch; claims and figures know nothing of each other."""
    forbidden = {
        "summaries": {"figures", "claims", "report", "torch", "matplotlib", "seaborn"},
        "claims": {"figures", "report", "torch", "matplotlib", "seaborn"},
        "figures": {"claims", "report", "torch"},
    }
    for room, names in forbidden.items():
        files = list((PACKAGE / room).glob("*.py"))
        assert len(files) > 5
        for file in files:
            assert not imported(file) & names, file


def imported(file):
    """The packages and rooms that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = node.module.split(".")
            names |= {parts[1]} if len(parts) > 1 and parts[0] == PACKAGE.name else {parts[0]}
            names |= {alias.name for alias in node.names} if node.module == PACKAGE.name else set()
    return names


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_trace_and_no_mean_square_leaves_a_probe_out(bad):
    rows = [RUN | {"kind": "top", "value": 7.0}]
    rows += [RUN | {"kind": "trace", "probe": probe, "value": value} for probe, value in enumerate((1.0, np.nan))]
    rows += [RUN | {"kind": "node", "probe": 0, "value": value, "weight": 0.5} for value in (2.0, bad)]
    (row,) = hessian.sharpness_and_trace(pd.DataFrame(rows)).to_dict("records")
    assert np.isnan(row["trace"])
    (ratio,) = hessian.largest_over_rms(pd.DataFrame(rows))["ratio"]
    assert np.isnan(ratio)
