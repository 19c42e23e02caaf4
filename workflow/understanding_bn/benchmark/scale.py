"""What Snakemake needs to plan a large grid, and to find that a finished one has nothing left to do.

Runs the `snakemake` command on a copy of the workflow in a temporary folder; this package never imports Snakemake.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from understanding_bn import files, provenance
from understanding_bn.benchmark import measure
from understanding_bn.errors import UserError
from understanding_bn.messages import columns

MODULE = "benchmark.scale"
PROJECT = provenance.PACKAGE.parent.parent
NORMS = ["batch", "none", "layer", "group"]
BATCH_SIZES = [16, 32, 64, 128, 256]
ALPHAS = [number / 1000 for number in range(1, 21)]
CELLS_PER_ENTRY = len(NORMS) * len(BATCH_SIZES) * len(ALPHAS)
# Snakemake's own way to pretend that jobs were run, without the 0.1 s for which it rests after each.
TOUCH = """
from snakemake.executors import touch
touch.Executor.SLEEPING_TIME = 0
from snakemake.cli import main
main()
"""


@dataclass(frozen=True)
class Cost:
    """The cost of a command: wall and CPU seconds, and the most memory in RAM."""

    wall_seconds: float
    cpu_seconds: float
    peak_memory_mib: float


def run(cells: int, out: Path) -> None:
    """Measure a grid of this many cells, print a table on stdout and write it to `out` (JSON).

    Three costs are measured: of a dry run of the untouched grid, of a dry run of the finished one, and of pretending in
    between that all its jobs were run. The last is Snakemake's bookkeeping after each job.

    Raises:
        UserError: `cells` is not a number of cells that can be made, or a command of Snakemake's fails.
    """
    stopwatch = provenance.Stopwatch()
    config = {"preset": "scale", "seeds": 5, "seeds_per_job": 5, "grid": grid(cells)}
    unmeasured = dict.fromkeys(("gradient_structure", "hessian_spectrum"))
    config["trained"] = {"measurements": unmeasured}  # one job for each cell
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "checkout"
        copy_workflow(folder)
        (folder / "scale.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        costs = dict(_costs(folder))
    print(f"A grid of {cells:,} cells, one job each\n")
    rows = [
        [what, f"{cost.wall_seconds:.1f}", f"{cost.cpu_seconds:.1f}", f"{cost.peak_memory_mib:,.0f}"]
        for what, cost in costs.items()
    ]
    print(columns(["", "seconds", "CPU seconds", "MiB"], rows))
    record: dict[str, Any] = {"stage": "benchmark scale", "settings": {"cells": cells}}
    record["costs"] = {what: asdict(cost) for what, cost in costs.items()}
    files.write_json(out, record | measure.facts(stopwatch, MODULE, "none: planning only", 1))


def grid(cells: int) -> list[dict[str, Any]]:
    """A config's grid of this many cells: norms, learning rates and batch sizes, again for each number of epochs.

    Raises:
        UserError: the number is not a multiple of an entry's cells.
    """
    if cells < 1 or cells % CELLS_PER_ENTRY:
        raise UserError(f"--cells: {cells} is not possible; expected a multiple of {CELLS_PER_ENTRY}")
    factors = {"arch": "resnet-8", "norm": NORMS, "alpha": ALPHAS, "batch_size": BATCH_SIZES}
    return [factors | {"epochs": number} for number in range(1, cells // CELLS_PER_ENTRY + 1)]


def copy_workflow(folder: Path) -> None:
    """Copy the parts of this checkout that Snakemake reads to a new folder."""
    for name in ("workflow", "profiles", "envs"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml"):
        shutil.copy2(PROJECT / name, folder / name)


def command(folder: Path, *arguments: str, code: str | None = None) -> tuple[str, Cost]:
    """Run Snakemake in `folder` with these arguments. Returns its output, stdout and stderr together, and its cost.

    `code` is Python that is run in its place. Memory is that of the process; where ours is larger, it is ours.

    Raises:
        UserError: it failed; names its last line.
    """
    call = [sys.executable, *(["-c", code] if code else ["-m", "snakemake"]), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    start = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(call, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        cost = Cost(time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**10)
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        last = (text.strip() or "no output").splitlines()[-1]
        raise UserError(f"snakemake {' '.join(arguments)}: exit status {process.returncode} ({last})")
    return text, cost


def _costs(folder: Path) -> list[tuple[str, Cost]]:
    """Each thing that is measured, with its cost."""
    config = ["--configfile", "scale.yaml"]
    _, planning = command(folder, "--dry-run", "--quiet", "all", *config)
    summary, _ = command(folder, "--summary", *config)
    for line in summary.splitlines():
        if line.startswith("results/"):
            path = folder / line.split("\t")[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    _, pretending = command(folder, "--touch", "--forceall", "--quiet", "all", "--cores", "500", *config, code=TOUCH)
    output, finished = command(folder, "--dry-run", *config)
    if "Nothing to be done" not in output or "missing provenance" in output:
        raise UserError("snakemake --dry-run: the grid that was pretended to be finished is not")
    return [("planning", planning), ("recording all jobs", pretending), ("nothing to do", finished)]
