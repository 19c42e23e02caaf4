"""How far a preset's run is: jobs done, running, stopped and left, and the time left, from its files alone.

It asks neither Snakemake nor a scheduler, so it works on any machine that sees the folder, also long after a run. Every
start of Snakemake writes results/PRESET/config.json, from which the expected jobs follow. A job that is done has a
run.json, and one that runs writes a heartbeat (see `progress.heartbeat`).
"""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from understanding_bn import files, finished, flops, record
from understanding_bn.errors import UserError
from understanding_bn.experiment.config import Config
from understanding_bn.experiment.jobs import Matrices, Measure, Measured, Train
from understanding_bn.experiment.plan import jobs
from understanding_bn.messages import columns
from understanding_bn.progress import beat_of, clock
from understanding_bn.record import Record

DONE, RUNNING, STOPPED, LEFT = "done", "running", "stopped", "left"
SILENT_SECONDS = 300  # after which a job without a heartbeat counts as stopped; parts of a Hessian take minutes
MOST_SHOWN = 20


@dataclass(frozen=True)
class State:
    """How far one job is.

    Attributes:
        stage: "train", "trained MEASUREMENT", "initialization MEASUREMENT" or "random_matrices".
        folder: where it leaves its results, below results/PRESET.
        work: how much there is to do, in a unit of its stage.
        state: DONE, RUNNING, STOPPED (begun, then silent; it resumes when Snakemake is started again) or LEFT.
        line: what its last heartbeat says.
        seconds_left: the time left by its last heartbeat, if it runs and has an estimate.
        record: its run.json, if it is done.
    """

    stage: str
    folder: str
    work: float
    state: str
    line: str
    seconds_left: float | None
    record: Record | None


def run(preset: str, results: Path) -> None:
    """Print how far a preset's run is.

    Raises:
        UserError: the preset was never started here.
    """
    config = results / preset / "config.json"
    if not config.is_file():
        raise UserError(f"{config}: no such file; start that preset first, or name another folder of {results}")
    print(text(states(read_config(config), results / preset), preset, results / preset))


def read_config(path: Path) -> Config:
    """The config that Snakemake wrote when a run of a preset started, without its plug-ins.

    Raises:
        UserError: the file is missing or of an older version.
    """
    from understanding_bn.experiment.load import restored

    return restored(files.read_json(path))


def states(config: Config, results: Path, now: float | None = None) -> list[State]:
    """Every job of a config that makes numbers, with its state at the time `now`."""
    now = time.time() if now is None else now
    return [_state(job, results, now) for job in jobs(config)]


def work(job: Measured) -> float:
    """The work in a job, relative to others of its stage: for training, operations up to a common factor."""
    if isinstance(job, Matrices) or (isinstance(job, Measure) and not job.trained):
        return 1.0
    cell = job.cell if isinstance(job, Train) else job.network
    return flops.forward(cell.arch, 32, 3, 10) * getattr(cell, "epochs", 1) * len(job.seeds)


def _state(job: Measured, results: Path, now: float) -> State:
    """The job's state as its run.json and its heartbeat show it."""
    stage = f"{job.rule} {job.measurement}" if isinstance(job, Measure) else job.rule
    folder = results / job.folder
    for results_of_it in (folder, finished.aside(folder)):  # where they wait for a Snakemake to take them
        if (results_of_it / "run.json").is_file():
            return State(stage, job.folder, work(job), DONE, "", None, record.read(results_of_it / "run.json"))
    path = beat_of(folder)
    if not path.is_file():
        return State(stage, job.folder, work(job), LEFT, "", None, None)
    beat, silent = files.read_json(path), now - path.stat().st_mtime
    state = RUNNING if silent < SILENT_SECONDS else STOPPED
    return State(stage, job.folder, work(job), state, beat["line"], beat["seconds_left"], None)


def time_left(states: list[State]) -> tuple[float, list[str]]:
    """Seconds left, with as many jobs at a time as run now (at least one), and the stages whose pace is not known.

    For a job without an estimate of its own it is judged by the finished ones of its stage, in proportion to `work`.
    """
    seconds, unknown = 0.0, []
    for stage in dict.fromkeys(each.stage for each in states):
        of_stage = [each for each in states if each.stage == stage]
        done = [each for each in of_stage if each.record]
        spent = sum(each.record.wall_seconds for each in done if each.record)
        pace = spent / sum(each.work for each in done) if done else None
        for each in of_stage:
            if each.state == DONE:
                continue
            if each.state == RUNNING and each.seconds_left is not None:
                seconds += each.seconds_left
            elif pace is not None:
                seconds += pace * each.work
            elif stage not in unknown:
                unknown.append(stage)
    return seconds / max(1, sum(each.state == RUNNING for each in states)), unknown


def text(states: list[State], preset: str, results: Path) -> str:
    """A table of all stages and a list of what runs, for people."""
    kinds = (DONE, RUNNING, STOPPED, LEFT)
    stages = list(dict.fromkeys(each.stage for each in states))
    rows = []
    for stage in stages:
        counts = Counter(each.state for each in states if each.stage == stage)
        rows.append([stage, *(str(counts[kind]) for kind in kinds), str(counts.total())])
    total = Counter(each.state for each in states)
    rows.append(["all", *(str(total[kind]) for kind in kinds), str(total.total())])
    lines = [columns(["job", *kinds, "of"], rows)]
    trainings = [each.record.training for each in states if each.record and each.record.training]
    failures = Counter(failure for training in trainings for failure in training.failures)
    trained = failures.total()
    if trained:
        failed = [f"{count} {failure}" for failure, count in failures.items() if failure]
        lines.append(f"\nruns trained: {trained}, of which failed: {', '.join(failed) or 'none'}")
    for kind in (RUNNING, STOPPED):
        alike = [each for each in states if each.state == kind]
        if alike:
            lines.append(f"\n{kind}:")
            lines += [f"  {each.folder}\n    {each.line}" for each in alike[:MOST_SHOWN]]
            lines += [f"  … and {len(alike) - MOST_SHOWN} more"] if len(alike) > MOST_SHOWN else []
    if total[DONE] == total.total():
        page = results / "report.html"
        following = f"see {page}" if page.is_file() else "figures, claims and report come next"
        lines.append(f"\nevery job of preset {preset} is done; {following}")
        return "\n".join(lines)
    seconds, unknown = time_left(states)
    assumed = f"with {total[RUNNING]} at a time" if total[RUNNING] else "one after the other; nothing runs now"
    lines.append(f"\nabout {clock(seconds)} left, {assumed}" if seconds else "\ntime left: not known yet")
    if unknown:
        lines.append(f"not counted, as none of its kind is done: {', '.join(unknown)}")
    return "\n".join(lines)
