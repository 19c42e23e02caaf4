"""The A/B of precisions: accuracies by seed, and what counts as agreement."""

import json

import pandas as pd
import pytest

from understanding_bn.benchmark import precision


def histories(accuracies):
    rows = [(seed, epoch, value) for seed, value in enumerate(accuracies) for epoch in (1, 2)]
    table = pd.DataFrame(rows, columns=["seed", "epoch", "test_accuracy"])
    return table.assign(test_accuracy=table["test_accuracy"].where(table["epoch"] == 2, 0.1))


@pytest.mark.parametrize(
    ("other", "agree"),
    [
        ([0.51, 0.60, 0.70], True),  # the mean is 0.33, its interval -1.1 to 1.8
        ([0.53, 0.60, 0.70], False),  # 1.0, and -3.3 to 5.3
        ([0.55, 0.65, 0.75], False),  # five points throughout
    ],
)
def test_they_agree_where_the_interval_lies_within_two_points(other, agree):
    case = precision._case("batch", 0.1, histories([0.5, 0.6, 0.7]), histories(other))
    assert case["agree"] is agree
    assert case["difference"] == pytest.approx(sum(100 * value for value in other) / 3 - 60)


def test_a_seed_that_diverged_has_no_difference():
    case = precision._case("none", 0.1, histories([0.5, 0.6, None]), histories([0.5, 0.6, 0.7]))
    assert case["float32"] == [50.0, 60.0, None]
    assert case["difference"] == 0.0
    alone = precision._case("none", 0.1, histories([0.5, None]), histories([0.5, 0.6]))
    assert alone["agree"] is False  # one difference has no interval
    assert alone["interval"] is None


@pytest.mark.slow
def test_both_sides_are_trained_and_kept(digits_path, tmp_path, capsys):
    precision.run(digits_path, "bfloat16", "resnet-8", 1, 2, tmp_path / "precision.json", "cpu")
    record = json.loads((tmp_path / "precision.json").read_text())
    assert [case["norm"] for case in record["cases"]] == ["batch", "none"]
    assert all(len(case["other"]) == len(case["float32"]) == 2 for case in record["cases"])
    assert record["cases"][0]["other"] != record["cases"][0]["float32"]
    assert "test accuracy in bfloat16 and in float32, 2 seeds" in capsys.readouterr().out
