"""The tables of docs/speed.md, from small records and from those that are kept."""

import json
import statistics
from pathlib import Path

import pytest

from understanding_bn import flops
from understanding_bn.docs_pages import speed_page

KEPT = Path(__file__).resolve().parent.parent.parent / "results" / "reference" / "benchmark"
TRAINING = ["train-cpu", "neighbour-cpu", "memory-cpu"]


def read(name):
    return json.loads((KEPT / f"{name}.json").read_text())


def test_a_record_that_is_not_there_was_not_run(tmp_path):
    assert "Not run" in speed_page.block("train-gpu", speed_page.steps)(tmp_path)


@pytest.mark.parametrize("name", TRAINING)
def test_kept_ratios_are_those_of_their_rounds(name):
    for case in read(name)["cases"]:
        sides = [[each["images_per_second"] for each in case[side]["rounds"]] for side in ("ours", "baseline")]
        assert case["ratio"]["median"] == statistics.median(a / b for a, b in zip(*sides, strict=True))
        assert case["flop_per_image"] == flops.step(case["arch"], case["image_size"], 3, 10)


@pytest.mark.parametrize("name", [*TRAINING, "data-cpu", "hvp"])
def test_kept_records_are_of_a_commit_and_say_how_busy_the_machine_was(name):
    record = read(name)
    assert len(record["commit"]) == 40  # and no changes on top
    assert record["load_before"] >= 0 and record["started"]


def test_memory_grows_by_what_is_in_the_table():
    def case(batch_size, peak):
        rates = {"peak_memory_mib": peak, "processes": 1, "threads": 1}
        return {"arch": "resnet-8", "image_size": 8, "norm": "none", "batch_size": batch_size, "ours": rates}

    record = {"cases": [case(32, 500.0), case(128, 980.0)], "settings": {"rounds": 1}, "commit": "c" * 40}
    record |= {"processor": "P", "device": "cpu", "load_before": None, "host_cores": 2, "versions": {"torch": "2"}}
    lines = speed_page.memory(record | {"started": "2026-01-01T00:00:00"}).splitlines()
    assert lines[1] == "| network, MiB a process | B = 32 | B = 128 | MiB an image of B |"
    assert lines[3] == "| resnet-8 8×8 none | 500 | 980 | 5.0 |"
    assert "load before: unknown" in lines[5]
