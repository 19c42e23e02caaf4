"""How far a run of a preset is: jobs done, running, stopped and left, and the time left, from its files alone.

It asks neither Snakemake nor a scheduler, so it works from any machine that sees the folder, on a run of today or of
last month. What is expected follows from results/PRESET/config.json, which every start of Snakemake writes; what is
done, from each job's run.json; what runs, from the heartbeats that jobs write (see `progress.heartbeat`).
"""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from understanding_bn import files, flops, record
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
        state: DONE, RUNNING, STOPPED (begun, and silent since: it goes on when Snakemake is started again) or LEFT.
        line: what its last heartbeat says.
        seconds_left: the time that it takes by its last heartbeat, if it runs and knows.
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
    """What a job does in proportion to others of its stage: for training, operations up to a common factor."""
    if isinstance(job, Matrices) or (isinstance(job, Measure) and not job.trained):
        return 1.0
    cell = job.cell if isinstance(job, Train) else job.network
    return flops.forward(cell.arch, 32, 3, 10) * getattr(cell, "epochs", 1) * len(job.seeds)


def _state(job: Measured, results: Path, now: float) -> State:
    """The job's state as its run.json and its heartbeat show it."""
    stage = f"{job.rule} {job.measurement}" if isinstance(job, Measure) else job.rule
    folder = results / job.folder
    if (folder / "run.json").is_file():
        return State(stage, job.folder, work(job), DONE, "", None, record.read(folder / "run.json"))
    beat = beat_of(folder)
    if not beat.is_file():
        return State(stage, job.folder, work(job), LEFT, "", None, None)
    said, silent = files.read_json(beat), now - beat.stat().st_mtime
    state = RUNNING if silent < SILENT_SECONDS else STOPPED
    return State(stage, job.folder, work(job), state, said["line"], said["seconds_left"], None)


def time_left(jobs: list[State]) -> tuple[float, list[str]]:
    """Seconds left at as many jobs at a time as run now (one, if none does), and the stages whose pace is not known.

    What a job that has not begun will take is judged by those of its stage that are done, in proportion to `work`.
    """
    seconds, unknown = 0.0, []
    for stage in dict.fromkeys(job.stage for job in jobs):
        of_stage = [job for job in jobs if job.stage == stage]
        done = [job for job in of_stage if job.record]
        pace = (
            sum(job.record.wall_seconds for job in done if job.record) / sum(job.work for job in done) if done else None
        )
        for job in of_stage:
            if job.state == DONE:
                continue
            if job.state == RUNNING and job.seconds_left is not None:
                seconds += job.seconds_left
            elif pace is not None:
                seconds += pace * job.work
            elif stage not in unknown:
                unknown.append(stage)
    return seconds / max(1, sum(job.state == RUNNING for job in jobs)), unknown


def text(jobs: list[State], preset: str, results: Path) -> str:
    """The table and what runs, for people."""
    states = (DONE, RUNNING, STOPPED, LEFT)
    stages = list(dict.fromkeys(job.stage for job in jobs))
    rows = []
    for stage in stages:
        here = Counter(job.state for job in jobs if job.stage == stage)
        rows.append([stage, *(str(here[state]) for state in states), str(here.total())])
    total = Counter(job.state for job in jobs)
    rows.append(["all", *(str(total[state]) for state in states), str(total.total())])
    lines = [columns(["job", *states, "of"], rows)]
    failures = Counter(
        kind for job in jobs if job.record for kind in (job.record.training.failures if job.record.training else ())
    )
    trained = failures.total()
    if trained:
        failed = [f"{count} {kind}" for kind, count in failures.items() if kind]
        lines.append(f"\nruns trained: {trained}, of which failed: {', '.join(failed) or 'none'}")
    for state in (RUNNING, STOPPED):
        alike = [job for job in jobs if job.state == state]
        if alike:
            lines.append(f"\n{state}:")
            lines += [f"  {job.folder}\n    {job.line}" for job in alike[:MOST_SHOWN]]
            lines += [f"  … and {len(alike) - MOST_SHOWN} more"] if len(alike) > MOST_SHOWN else []
    if total[DONE] == total.total():
        page = results / "report.html"
        what = f"see {page}" if page.is_file() else "figures, claims and report come next"
        lines.append(f"\nevery job of preset {preset} is done; {what}")
        return "\n".join(lines)
    seconds, unknown = time_left(jobs)
    beside = f"with {total[RUNNING]} at a time" if total[RUNNING] else "one after the other; nothing runs now"
    lines.append(f"\nabout {clock(seconds)} left, {beside}" if seconds else "\ntime left: not known yet")
    if unknown:
        lines.append(f"not counted, as none of its kind is done: {', '.join(unknown)}")
    return "\n".join(lines)
