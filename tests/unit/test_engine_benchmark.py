"""The benchmark of the engine: its yardsticks, its table and what the plan takes from it."""

import json

import pytest
import torch

from understanding_bn.benchmark import engine, plan


def test_bytes_are_those_of_inputs_and_outputs_and_views_move_nothing():
    left, right = torch.ones(3, 5), torch.ones(5, 7)
    counter = engine._Bytes()
    with counter:
        product = left @ right
        product.t()
        product.view(21)
    assert counter.total == 4 * (15 + 35 + 21)


def test_rates_of_the_best_way_of_each_precision():
    def row(way, rate):
        return {"way": way.name, "images_per_second": {"median": rate}} | engine.asdict(way)

    rows = [
        {"way": engine.SCRIPT, "images_per_second": {"median": 5.0}},
        row(engine.Way(), 10.0),
        row(engine.Way(lanes=3), 20.0),
        row(engine.Way("bfloat16"), 30.0),
        {"error": "out of memory"} | engine.asdict(engine.Way("bfloat16", lanes=6)),
    ]
    case = {"arch": "resnet-110", "image_size": 32, "norm": "batch", "batch_size": 128, "flop_per_image": 1}
    rates = engine._rates(rows, case, "cuda", "a card")
    assert [(r["device_name"], r["images_per_second"]["aggregate"]) for r in rates] == [
        ("a card, graph, float32, 3 runs", 20.0),
        ("a card, graph, bfloat16", 30.0),
    ]
    assert all(rate.keys() >= plan.RATE for rate in rates)


@pytest.mark.slow
def test_every_way_is_measured_or_named(tmp_path, capsys):
    """On a CPU there are no graphs: a way then trains step by step. The clock runs out before the last way."""
    ways = (engine.Way(graph=False), engine.Way("bfloat16", lanes=2), engine.Way("tf32"), engine.Way(compiled=True))
    clock = iter([0, 1, 2, 3, 1000])
    engine.run("resnet-8", 8, "batch", 16, 2, 60, tmp_path / "engine.json", "cpu", ways, lambda: next(clock))
    record = json.loads((tmp_path / "engine.json").read_text())
    assert [row["way"] for row in record["ways"]] == [engine.SCRIPT, *(way.name for way in ways[:3])]
    assert record["not_run"] == ["graph, float32, compiled"]
    for row in record["ways"]:
        assert len(row["rounds"]) == engine.ROUNDS
        assert row["images_per_second"]["median"] > 0
        assert row["ratio"] == row["images_per_second"]["median"] / record["ways"][0]["images_per_second"]["median"]
    assert "Not run, for want of time: graph, float32, compiled" in capsys.readouterr().out
    plan.read_rates(tmp_path / "engine.json")
