"""Seconds of short jobs whose process starts from nothing, and of the same jobs forked from a run's warm process."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from understanding_bn import files, provenance, warm
from understanding_bn.benchmark import hardware, measure
from understanding_bn.errors import UserError
from understanding_bn.messages import columns

MODULE = "benchmark.start"
SIDES = ("from nothing", "forked")


def run(rounds: int, out: Path) -> None:
    """Measure a measurement and a figure both ways, print a table on stdout and write the rounds to `out` (JSON).

    In a round each side runs the same command once. Seconds are wall time, from the start of the command to its end.

    Raises:
        UserError: there are no rounds, no process can be forked from here, or a command fails.
    """
    stopwatch = provenance.Stopwatch()
    load = hardware.load_before()
    measure.at_least("rounds", rounds, 1)
    with tempfile.TemporaryDirectory() as name:
        commands = _commands(Path(name))
        process = warm.start(warm.FEWEST_JOBS)
        if process is None:
            raise UserError("benchmark start: this system has no abstract sockets, so that no process can be forked")
        start = time.perf_counter()
        while not warm.is_ready():
            if process.poll() is not None:
                raise UserError(f"benchmark start: the warm process has ended, exit status {process.returncode}")
            time.sleep(0.05)
        ready = time.perf_counter() - start
        cases: list[dict[str, Any]] = []
        for what, command in commands.items():
            sides = {"from nothing": _timed(command, {warm.VARIABLE: ""}), "forked": _timed(command, {})}
            raw = list(measure.interleave(sides, rounds))
            seconds = {side: [each[side] for each in raw] for side in SIDES}
            ratios = [each["from nothing"] / each["forked"] for each in raw]
            spreads = {side: {"seconds": measure.spread(seconds[side]), "rounds": seconds[side]} for side in SIDES}
            cases.append({"job": what, "ratio": measure.spread(ratios), "ratios": ratios} | spreads)
        process.stdin.close()  # type: ignore[union-attr]
        process.wait()
    print(f"Jobs from nothing and forked from a warm process, which is ready after {ready:.1f} s; rounds: {rounds}\n")
    rows = [
        [case["job"], *(measure.shown(case[side]["seconds"], 2) for side in SIDES), measure.shown(case["ratio"], 1)]
        for case in cases
    ]
    print(columns(["job", "from nothing, s", "forked, s", "ratio"], rows))
    record = {"stage": "benchmark start", "settings": {"rounds": rounds}, "ready_seconds": ready}
    record |= {"host_cores": hardware.cores(), "load_before": load, "cases": cases}
    files.write_json(out, record | measure.facts(stopwatch, MODULE, "cpu", 1))


def _commands(folder: Path) -> dict[str, list[str]]:
    """Two commands whose work takes less than a second, and the files that they read."""
    from understanding_bn.cell import Network
    from understanding_bn.data import store
    from understanding_bn.experiment.jobs import Matrices, Measure
    from understanding_bn.measurements.logit_gradients import LogitGradients
    from understanding_bn.settings import Augmentation, Optimiser

    store.prepare("digits", None, folder / "store.npz")
    matrices = Matrices(size=50, factors=(1, 2), draws=2)
    _run(["random-matrices", "--spec", matrices.model_dump_json(), "--out", str(folder / "matrices")], {})
    inputs = {"random_matrices": [str(folder / "matrices" / "values.parquet")]}
    (folder / "inputs.json").write_text(json.dumps(inputs), encoding="utf-8")
    job = Measure(
        measurement="logit_gradients",
        network=Network(arch="resnet-8", init="kaiming", norm="batch", batch_size=64),
        options=LogitGradients(),
        seeds=(0,),
        augmentation=Augmentation(pad=1, flip=False),
        optimiser=Optimiser(),
    )
    measuring = ["--spec", job.model_dump_json(), "--store", str(folder / "store.npz"), "--out", str(folder / "values")]
    drawing = ["--inputs", str(folder / "inputs.json"), "--out", str(folder / "figures")]
    return {"a measurement": ["measure", *measuring], "a figure": ["figure", "fig8_singular_values", *drawing]}


def _timed(command: list[str], change: dict[str, str]) -> Callable[[int], float]:
    """Seconds that a command takes."""

    def seconds(number: int) -> float:
        start = time.perf_counter()
        _run(command, change)
        return time.perf_counter() - start

    return seconds


def _run(command: list[str], change: dict[str, str]) -> None:
    """Run a stage in a process of its own.

    Raises:
        UserError: it failed; names its last line.
    """
    call = [sys.executable, "-m", "understanding_bn", *command]
    environment = os.environ | {"PYTHONPATH": warm.PACKAGES} | change
    done = subprocess.run(call, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{command[0]}: {(done.stderr.strip() or 'no output').splitlines()[-1]}")
