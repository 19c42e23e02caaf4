"""Where a run of a preset stands: jobs done, running, stopped and left, and the time left, from its files alone.

Nothing is asked of Snakemake or a scheduler, so it works from any machine that sees the folder, on a run of today or of
last month. What is expected comes from results/PRESET/config.json, which every start of Snakemake writes; what is done,
from each job's run.json; what runs, from logs: training writes every ten seconds, measurements after every part.
"""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understanding_bn import files, grid, layout
from understanding_bn.benchmark import flops, measure
from understanding_bn.cell import Cell
from understanding_bn.errors import UserError
from understanding_bn.progress import clock, seconds_left

DONE, RUNNING, STOPPED, LEFT = "done", "running", "stopped", "left"
SILENT_SECONDS = 300  # after which a job without a word is taken for stopped; parts of a Hessian take minutes
MOST_SHOWN = 20


@dataclass(frozen=True)
class Job:
    """One job of a preset.

    Attributes:
        stage: "train", "trained PROBE", "initialization PROBE" or "random_matrices".
        folder: where it leaves its results, below results/PRESET.
        work: how much there is to do, in a unit of its stage.
        state: DONE, RUNNING, STOPPED (begun, and silent since: it goes on when Snakemake is started again) or LEFT.
        line: the last that its log says.
        record: its run.json, if it is done.
    """

    stage: str
    folder: str
    work: float
    state: str
    line: str
    record: dict[str, Any] | None


def run(preset: str, results: Path, logs: Path) -> None:
    """Print where a preset's run stands.

    Raises:
        UserError: the preset was never started here.
    """
    config = results / preset / "config.json"
    if not config.is_file():
        raise UserError(f"{config}: no such file; start that preset first, or name another folder of {results}")
    print(text(jobs(files.read_json(config), results / preset, logs / preset), preset, results / preset))


def jobs(config: dict[str, Any], results: Path, logs: Path, now: float | None = None) -> list[Job]:
    """Every job of a resolved config that trains or measures, with its state at the time `now`."""
    blocks = grid.seed_blocks(config)
    expected = [("train", layout.train(c, block), work(c, block)) for c in grid.cells(config) for block in blocks]
    for probe in config["trained"]["probes"]:
        cells = grid.moments(config, probe)
        expected += [
            (f"trained {probe}", layout.trained(probe, c, block), work(c, block)) for c in cells for block in blocks
        ]
    for probe in config["initialization"]["probes"]:
        folders = [*layout.measured(config, probe), *layout.read(config, probe)]
        expected += [(f"initialization {probe}", folder, 1.0) for folder in dict.fromkeys(folders)]
    expected.append((layout.RANDOM_MATRICES, layout.RANDOM_MATRICES, 1.0))
    now = time.time() if now is None else now
    return [_job(stage, folder, work, results, logs, now) for stage, folder, work in expected]


def work(cell: Cell, seeds: list[int]) -> float:
    """Operations of a cell's training, up to a factor that all cells share: epochs of all seeds times the network."""
    return flops.forward(cell.arch, 32, 3, 10) * cell.epochs * len(seeds)


def _job(stage: str, folder: str, work: float, results: Path, logs: Path, now: float) -> Job:
    """The job as its run.json and its log show it."""
    done = results / folder / "run.json"
    if done.is_file():
        return Job(stage, folder, work, DONE, "", files.read_json(done))
    log = logs / f"{folder}.log"
    try:
        said, age = log.read_text(encoding="utf-8", errors="replace").strip(), now - log.stat().st_mtime
    except FileNotFoundError:
        return Job(stage, folder, work, LEFT, "", None)
    line = said.splitlines()[-1] if said else "starting"
    return Job(stage, folder, work, RUNNING if age < SILENT_SECONDS else STOPPED, line, None)


def time_left(found: list[Job]) -> tuple[float, list[str]]:
    """Seconds left at as many jobs at a time as run now (one, if none does), and the stages whose pace is not known.

    What a job that has not begun will take is judged by those of its stage that are done, in proportion to `work`.
    """
    seconds, unknown = 0.0, []
    for stage in dict.fromkeys(job.stage for job in found):
        here = [job for job in found if job.stage == stage]
        done = [job for job in here if job.record]
        pace = sum(job.record["wall_seconds"] for job in done) / sum(job.work for job in done) if done else None
        for job in here:
            if job.state == DONE:
                continue
            told = seconds_left(job.line) if job.state == RUNNING else None
            if told is not None:
                seconds += told
            elif pace is not None:
                seconds += pace * job.work
            elif stage not in unknown:
                unknown.append(stage)
    return seconds / max(1, sum(job.state == RUNNING for job in found)), unknown


def text(found: list[Job], preset: str, results: Path) -> str:
    """The table and what runs, for people."""
    states = (DONE, RUNNING, STOPPED, LEFT)
    stages = list(dict.fromkeys(job.stage for job in found))
    rows = []
    for stage in stages:
        here = Counter(job.state for job in found if job.stage == stage)
        rows.append([stage, *(str(here[state]) for state in states), str(here.total())])
    total = Counter(job.state for job in found)
    rows.append(["all", *(str(total[state]) for state in states), str(total.total())])
    lines = [measure.table(["job", *states, "of"], rows)]
    failures = Counter(kind for job in found if job.record for kind in job.record.get("failures", []))
    trained = failures.total()
    if trained:
        failed = [f"{count} {kind}" for kind, count in failures.items() if kind]
        lines.append(f"\nruns trained: {trained}, of which failed: {', '.join(failed) or 'none'}")
    for state in (RUNNING, STOPPED):
        here = [job for job in found if job.state == state]
        if here:
            lines.append(f"\n{state}:")
            lines += [f"  {job.folder}\n    {job.line}" for job in here[:MOST_SHOWN]]
            lines += [f"  … and {len(here) - MOST_SHOWN} more"] if len(here) > MOST_SHOWN else []
    if total[DONE] == total.total():
        page = results / "report.html"
        what = f"see {page}" if page.is_file() else "figures, claims and report come next"
        lines.append(f"\nevery job of preset {preset} is done; {what}")
        return "\n".join(lines)
    seconds, unknown = time_left(found)
    beside = f"with {total[RUNNING]} at a time" if total[RUNNING] else "one after the other; nothing runs now"
    lines.append(f"\nabout {clock(seconds)} left, {beside}" if seconds else "\ntime left: not known yet")
    if unknown:
        lines.append(f"not counted, as none of its kind is done: {', '.join(unknown)}")
    return "\n".join(lines)
