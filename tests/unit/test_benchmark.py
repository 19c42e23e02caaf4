"""Benchmarks: what they count and write. Never how fast anything is."""

import importlib
import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import psutil
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from understanding_bn import flops
from understanding_bn.benchmark import baseline, data, hardware, measure, plan, synthetic, train, workers
from understanding_bn.cell import Cell
from understanding_bn.data.batches import Split
from understanding_bn.errors import UserError
from understanding_bn.experiment.load import resolve
from understanding_bn.messages import columns
from understanding_bn.models import resnet
from understanding_bn.settings import Augmentation

SHARED = {"arch": "resnet-20", "init": "xavier_uniform"}
CELLS = [
    Cell(**SHARED, norm="batch", alpha=0.1, batch_size=64, epochs=10),
    Cell(**SHARED, norm="none", alpha=0.01, batch_size=128, epochs=4),
]
IMAGES = plan.Images(1000, 300, 8, 1, 10)


def rate(arch="resnet-20", image_size=8, norm="batch", batch_size=64, device="cpu", per_second=1000.0, **changes):
    flop = flops.step(arch, image_size, 3, 10)
    name = "a processor" if device == "cpu" else "a GPU"
    return {
        "arch": arch,
        "image_size": image_size,
        "norm": norm,
        "batch_size": batch_size,
        "flop_per_image": flop,
        "device": device,
        "device_name": name,
        "jobs": 2 if device == "cpu" else 1,
        "images_per_second": {"aggregate": per_second, "per_job": per_second / 2},
    } | changes


# Operations


@pytest.mark.parametrize(
    ("arch", "size", "channels"),
    [
        ("resnet-20", 32, 3),
        ("resnet-110", 32, 3),
        ("resnet-padded-20", 32, 3),
        ("resnet-padded-110", 8, 1),
        ("plain-20", 32, 3),
        ("resnet-8", 13, 1),
    ],
)
def test_flops_equal_torchs_own_count(arch, size, channels):
    model = resnet.build(arch, "batch", "xavier_uniform", channels, 10, 0)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(2, channels, size, size))
    assert 2 * flops.forward(arch, size, channels, 10) == counter.get_total_flops()
    assert flops.STAGES == resnet.WIDTHS


def test_a_step_costs_three_forward_passes_but_for_the_stems_input():
    model = resnet.build("resnet-8", "none", "xavier_uniform", 3, 10, 0)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(4, 3, 32, 32)).sum().backward()
    stem = 2 * 3 * 16 * 9 * 32 * 32
    assert 4 * (flops.step("resnet-8", 32, 3, 10) - stem) == counter.get_total_flops()
    assert flops.step("resnet-110", 32, 3, 10) == pytest.approx(1.52e9, rel=0.01)


def test_unknown_network_is_one_line():
    with pytest.raises(UserError, match="'vgg-16' is unknown"):
        flops.forward("vgg-16", 32, 3, 10)


# Plans


def test_totals_by_hand():
    found = plan.estimate(CELLS, seeds=3, blocks=2, images=IMAGES, rates=[rate(), rate(norm="none", batch_size=128)])
    first, second = found["cells"]
    assert first["images"] == 10 * 15 * 64 * 3  # ⌊1000/64⌋ = 15
    assert second["images"] == 4 * 7 * 128 * 3
    # A test image costs a third: forward only.
    equivalent = [28_800 + 10 * 300 * 3 / 3, 10_752 + 4 * 300 * 3 / 3]
    totals = found["totals"]
    assert (totals["jobs"], totals["runs"], totals["epochs"], totals["images"]) == (4, 6, 42, 39_552)
    assert totals["pflop"] == pytest.approx(sum(equivalent) * flops.step("resnet-20", 8, 1, 10) / 1e15)
    (hours,) = totals["hours"].values()
    assert hours == pytest.approx(sum(equivalent) / 1000 / 3600)
    assert list(totals["marks"].values()) == [""]


def test_a_rate_for_another_network_is_scaled_by_flops_and_marked():
    found = plan.estimate(CELLS[:1], 1, 1, IMAGES, [rate("resnet-8")])
    (used,) = found["cells"][0]["hours"].values()
    work = flops.step("resnet-8", 8, 3, 10) / flops.step("resnet-20", 8, 1, 10)
    assert used["images_per_second"] == pytest.approx(1000 * work)
    assert used["from"]["arch"] == "resnet-8"
    printed = plan.text({"preset": "p", "dataset": "digits", "train_images": 1000, "image_size": 8} | found)
    assert printed.count("≈ scaled") == 3  # the cell, the total, the note


@pytest.mark.parametrize(
    ("rates", "expected", "mark"),
    [
        ([rate(per_second=1), rate(norm="none", per_second=2)], 1, ""),
        ([rate(batch_size=16, per_second=1), rate(batch_size=128, per_second=2)], 2, "≈ other B"),
        ([rate(image_size=32, per_second=1), rate(norm="none", per_second=2)], 2, "≈ scaled"),
        ([rate("resnet-32", per_second=1), rate("resnet-110", per_second=2)], 1, "≈ scaled"),
    ],
)
def test_the_nearest_rate(rates, expected, mark):
    flop = flops.step("resnet-20", 8, 3, 10)
    found = plan.nearest(CELLS[0], 8, flop, rates)
    chosen = next(each for each in rates if each["images_per_second"]["aggregate"] == expected)
    assert found["mark"] == mark
    assert found["images_per_second"] == pytest.approx(expected * chosen["flop_per_image"] / flop)


def config(**changes):
    entry = {"arch": "resnet-20", "norm": "batch", "alpha": 0.1, "batch_size": 64, "epochs": 2}
    small = {"preset": "small", "seeds": 3, "seeds_per_job": 2, "grid": [entry], "initialization": {"measurements": {}}}
    return resolve(small | {"augmentation": {"flip": False}} | changes)


def test_a_device_without_a_record_has_no_number(tmp_path, capsys):
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"rates": [rate()]}))
    plan.run(config(), [record], tmp_path / "plan.json")
    printed = capsys.readouterr().out
    assert "GPU: not measured (run `python -m understanding_bn benchmark train --device cuda`)" in printed
    assert "CPU: not measured" not in printed
    assert "upper bound" in printed
    written = json.loads((tmp_path / "plan.json").read_text())
    assert written["totals"]["images"] == 2 * (1437 // 64 * 64) * 3
    assert written["totals"]["jobs"] == 2
    assert list(written["totals"]["hours"]) == ["a processor, 2 jobs side by side"]
    assert str(tmp_path) not in json.dumps(written)

    plan.run(config(grid=[]), [], tmp_path / "plan.json")
    printed = capsys.readouterr().out
    assert "CPU: not measured" in printed and "GPU: not measured" in printed and "trains nothing" in printed


def test_the_known_data_sets_are_as_their_sources_say(digits, digits_path):
    assert plan.images_of(config(), None) == plan.images_of(config(), digits_path)
    cifar10 = config(dataset="cifar10", subset={"train": 5000})
    assert plan.images_of(cifar10, None) == plan.Images(5000, 10_000, 32, 3, 10)
    with pytest.raises(UserError, match="--store"):
        plan.images_of(config(dataset="parquet", data_dir="somewhere"), None)


@pytest.mark.parametrize("content", ["[]", '{"rates": 3}', '{"rates": [{"arch": "resnet-8"}]}'])
def test_a_record_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_text(content)
    with pytest.raises(UserError, match="not a record"):
        plan.read_rates(path)


def test_planning_does_not_wait_for_torch():
    code = "import sys; import understanding_bn.benchmark.plan; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})


# Measuring


def test_sides_take_turns_and_change_order():
    calls = []
    sides = {name: lambda number, name=name: calls.append(name) or number for name in "ab"}
    assert list(measure.interleave(sides, 3)) == [{"a": i, "b": i} for i in range(3)]
    assert "".join(calls) == "abbaab"
    assert measure.spread([3, 1, 2, 10]) == {"median": 2.5, "min": 1, "max": 10}


def test_tables_are_aligned():
    text = columns(["name", "value"], [["long name", "1"], ["x", "1,000"]])
    assert text.splitlines() == ["name       value", "long name      1", "x          1,000"]


def test_the_baseline_sees_what_our_augmentation_gives():
    """Without padding and mirroring both sides must give the same standardised images."""
    store = synthetic.store(6, 8)
    ours = next(iter(Split(store, "train", 0, torch.device("cpu")).epoch(0, 0, 6, Augmentation(pad=0, flip=False))))
    images, labels = next(iter(baseline.loader(store, 6, 0)))
    assert sorted(labels.tolist()) == sorted(ours[1].tolist())
    assert images.shape == ours[0].shape and images.dtype == ours[0].dtype

    def mirrored(batch):  # the least of an image and its mirror image, as one number each
        both = torch.stack([batch, batch.flip(3)]).double()
        weights = torch.linspace(1, 2, batch[0].numel(), dtype=torch.float64).view(batch.shape[1:])
        return np.sort((both * weights).sum((2, 3, 4)).amin(0).numpy())

    np.testing.assert_allclose(mirrored(images), mirrored(ours[0]), rtol=1e-4, atol=1e-4)


def test_data_benchmark_writes_its_rounds(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(data, "LEAST_SECONDS", 0.001)
    data.run([8], 64, 32, 2, tmp_path / "data.json")
    record = json.loads((tmp_path / "data.json").read_text())
    (case,) = record["cases"]
    assert len(case["ratios"]) == len(case["ours"]["rounds"]) == len(case["baseline"]["rounds"]) == 2
    assert all(math.isfinite(x) and x > 0 for x in case["ratios"])
    assert case["ratio"]["min"] <= case["ratio"]["median"] <= case["ratio"]["max"]
    assert "8×8" in capsys.readouterr().out
    with pytest.raises(UserError, match="--images: 16"):
        data.run([8], 16, 32, 1, tmp_path / "data.json")


@pytest.mark.slow
def test_train_benchmark_writes_what_the_plan_reads(tmp_path, capsys):
    out = tmp_path / "train.json"
    train.run(["resnet-8"], [8], ["batch"], [16], 1, 2, out, jobs=1, wanted_device="cpu", neighbours=1)
    assert "resnet-8 8×8 batch, B = 16" in capsys.readouterr().out
    record = json.loads(out.read_text())
    assert {
        "commit",
        "code_fingerprint",
        "versions",
        "processor",
        "host_cores",
        "load_before",
        "device",
    } <= record.keys()
    assert (record["settings"]["jobs"], record["settings"]["device"]) == (1, "cpu")
    (case,) = record["cases"]
    assert all(math.isfinite(x) and x > 0 for x in case["ratios"])
    for side in ("ours", "baseline"):
        (once,) = case[side]["rounds"]
        assert once["images_per_second"] == case[side]["images_per_second"]["median"]
        assert len(once["job_images_per_second"]) == case[side]["processes"] == 1
        assert case[side]["peak_memory_mib"] > 10
        assert case[side]["share_of_matmul"]["median"] == pytest.approx(
            case["flop_per_image"] / 1e9 * once["images_per_second"] / once["matmul_gflops"]
        )
        (beside,) = case[side]["beside"]["rounds"]
        assert case[side]["beside"]["cost"]["median"] == once["images_per_second"] / beside["images_per_second"]
    assert case["ours"]["threads"] == 1
    assert case["flop_per_image"] == flops.step("resnet-8", 8, 3, 10)
    (found,) = plan.read_rates(out)
    names = ("arch", "image_size", "batch_size", "norm", "device", "jobs")
    assert [found[name] for name in names] == ["resnet-8", 8, 16, "batch", "cpu", 1]
    assert found["images_per_second"] == {
        "aggregate": case["ours"]["images_per_second"]["median"],
        "per_job": case["ours"]["job_images_per_second"]["median"],
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norms": ["bath"]}, "'bath' is unknown"),
        ({"archs": ["resnet-9"]}, "resnet-9"),
        ({"rounds": 0}, "--rounds: 0 is too small"),
        ({"sizes": [4]}, "--sizes: 4 is too small"),
        ({"jobs": 0}, "--jobs: 0 is too small"),
        ({"batch_sizes": [16, 0]}, "--batch-sizes: 0 is too small"),
        ({"neighbours": -1}, "--neighbours: -1 is too small"),
    ],
)
def test_mistakes_are_named_before_anything_starts(tmp_path, changes, message):
    arguments = {"archs": ["resnet-8"], "sizes": [8], "norms": ["batch"], "batch_sizes": [16], "rounds": 1, "steps": 1}
    with pytest.raises(UserError, match=message):
        train.run(**arguments | {"out": tmp_path / "x.json", "wanted_device": "cpu"} | changes)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_missing_gpu_is_one_line(tmp_path):
    with pytest.raises(UserError, match="finds no GPU"):
        train.run(["resnet-8"], [8], ["batch"], [16], 1, 1, tmp_path / "x.json", wanted_device="cuda")


def test_neighbours_are_busy_meanwhile_and_end_with_whoever_started_them():
    def children():
        return [child for child in psutil.Process().children() if hardware.RESTLESS in child.cmdline()]

    def spent(child):
        return sum(child.cpu_times()[:2])

    with hardware.busy(2):
        found = children()
        assert len(found) == 2
        for child in found:
            before = spent(child)
            assert any(spent(child) > before for _ in range(10**6)), "it rests"
    assert not children()
    begun = "from understanding_bn.benchmark import hardware; hold = hardware.busy(1); hold.__enter__()"
    code = f"{begun}; import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    # Standard error is the orphan's too, so that its end is reached when both are gone.
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == -signal.SIGKILL


LIGHT = """
import os
from understanding_bn.errors import UserError

def build(word):
    if word == "refuse":
        raise UserError("one line")
    if word == "fail":
        raise ZeroDivisionError
    if word == "starve":
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate")
    if word == "leave":
        os._exit(7)
    return {"look": lambda number: {"threads": os.environ.get("OMP_NUM_THREADS"), "number": number, "pid": os.getpid()}}
"""


@pytest.fixture
def build(tmp_path, monkeypatch):
    """What a process builds; in a module of its own, so that the process need not import torch with this one."""
    (tmp_path / "light_worker.py").write_text(LIGHT)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("light_worker").build
    del sys.modules["light_worker"]


@pytest.mark.parametrize(("threads", "expected"), [(3, "3"), (None, None)])
def test_processes_answer_together_with_the_threads_they_were_given(build, monkeypatch, threads, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    with workers.group(build, ("",), 2, threads) as ask:
        seconds, answers = ask("look", 4)
    assert seconds > 0
    assert [(answer["threads"], answer["number"]) for answer in answers] == [(expected, 4)] * 2
    assert len({answer["pid"] for answer in answers}) == 2
    assert os.environ["OMP_NUM_THREADS"] == "5"


@pytest.mark.parametrize(
    ("word", "error", "message"),
    [
        ("refuse", UserError, "^one line$"),
        ("fail", RuntimeError, "ZeroDivisionError"),
        ("starve", UserError, "smaller --jobs"),
        ("leave", UserError, r"exit code 7.*smaller --jobs"),
    ],
)
def test_a_process_that_fails_ends_the_benchmark(build, word, error, message):
    with pytest.raises(error, match=message), workers.group(build, (word,), 1, 1) as ask:
        ask(workers.READY, 0)
