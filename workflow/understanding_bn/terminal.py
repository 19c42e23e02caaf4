"""What `make` shows of a run: a line for each job that ends, and one live line with progress and the time left.

Snakemake's own log stays what it is, in .snakemake/log/; so does each job's, in logs/PRESET/. This is the logger plugin
`brief` of Snakemake (`snakemake --logger brief`), which `workflow/snakemake_logger_plugin_brief` makes known to it.
"""

import json
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from understanding_bn import files
from understanding_bn.progress import beat_of, clock

QUIET_JOBS = "UNDERSTANDING_BN_QUIET_JOBS"  # an environment variable: jobs write to their logs alone
REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"
LOCKED = "cannot be locked"
COMMAND_FAILED = "RuleException:\nCalledProcessError"  # with the whole command; the job's own lines follow
LAST_LINES = 15  # of the log of a job that failed
# What Snakemake says at each start, and with each job, that a reader can't use.
USUAL = (
    "Assuming unrestricted shared filesystem",
    "Building DAG",
    "Using workflow specific profile",
    "Complete log(s)",
    "Conda environments: ignored",
    "Elapsed time",
    "Execute ",
    "Finished job",
    "Group jobs: inactive",
    "Retrieving input",
    "Select jobs",
    "Singularity containers: ignored",
    "Using shell",
    "Waiting at most",
    "Waiting for more resources",
    "host: ",
)


@dataclass
class Pace:
    """How long the jobs of a run take, from those that have ended and from the kept record of the same preset.

    Attributes:
        waiting: the jobs that have not ended.
        kept: the seconds of each job in the kept record.
        cores: how many jobs run at a time.
    """

    waiting: set[str]
    kept: dict[str, float] = field(default_factory=dict)
    cores: int = 1
    ended: dict[str, list[float]] = field(default_factory=dict)  # seconds by kind
    spent: float = 0.0  # seconds of the ended jobs that are in the record
    foreseen: float = 0.0  # what the record says of these

    def end(self, name: str, seconds: float) -> None:
        """A job has ended."""
        self.waiting.discard(name)
        self.ended.setdefault(kind(name), []).append(seconds)
        if name in self.kept:  # this machine's pace for all jobs of the record, as far as it is known
            self.spent, self.foreseen = self.spent + seconds, self.foreseen + self.kept[name]

    def left(self, running: dict[str, float]) -> float | None:
        """Seconds left, with these jobs running for so many seconds; None before anything is known.

        A job of the record takes what it took there, times the ratio for those that have ended. Any other takes the
        mean of its kind, or of all where none of its kind has ended.
        """
        every = [seconds for each in self.ended.values() for seconds in each]
        if not every and not self.kept:
            return None
        ratio = self.spent / self.foreseen if self.foreseen else 1.0
        overall = sum(every) / len(every) if every else ratio * sum(self.kept.values()) / len(self.kept)
        rest = {}
        for name in self.waiting:
            alike = self.ended.get(kind(name), [])
            other = sum(alike) / len(alike) if alike else overall
            whole = ratio * self.kept[name] if name in self.kept else other
            rest[name] = max(0.0, whole - running.get(name, 0.0))
        return max(sum(rest.values()) / max(1, self.cores), max(rest.values(), default=0.0))


def kind(name: str) -> str:
    """The kind of a job, its stage: what follows the preset in its name, or the last part of a shorter name.

    >>> kind("quick/figures/fig3_relative_loss"), kind("quick/train/resnet-8/norm-batch")
    ('figures', 'train')
    """
    parts = name.split("/")
    return parts[1] if len(parts) > 2 else parts[-1]


def name_of(log: str) -> str:
    """What a job is called: the path of its log, without `logs/` and `.log`."""
    return log.removeprefix("logs/").removesuffix(".log")


_pace = Pace(set())


def foresee(logs: list[str], preset: str, reference: Path = REFERENCE) -> None:
    """Say which jobs a run has, by their logs, before it begins. Their seconds in the kept record are looked up."""
    path, kept = reference / preset / "provenance.json", {}
    if path.is_file():
        runs = files.read_json(path)["runs"]
        kept = {f"{preset}/{place}": run["wall_seconds"] for place, run in runs.items()}
    names = {name_of(log) for log in logs}
    _pace.waiting, _pace.kept = names, {name: seconds for name, seconds in kept.items() if name in names}


class Brief:
    """Shows a run. Give it Snakemake's log records in order.

    Args:
        out: the stream to write to. The live line is shown only if it is a terminal.
        now: returns the time in seconds, from any origin.
        pace: how long jobs take.
    """

    def __init__(self, out: TextIO, now: Callable[[], float] = time.monotonic, pace: Pace = _pace):
        self.out, self.now, self.pace = out, now, pace
        self.live = out.isatty()
        self.total = self.done = 0
        self.running: dict[int, tuple[str, float]] = {}  # name and start by Snakemake's number of the job
        self.shown = ""
        self.lock = threading.RLock()

    def take(self, record: logging.LogRecord) -> None:
        """Show what a log record says, where a reader can use it."""
        event = str(getattr(record, "event", "") or "")
        with self.lock:
            action = getattr(self, f"_{event}", None)
            if action:
                action(record)
            elif event in ("", "error"):
                text = str(record.msg or "").strip()
                usual = COMMAND_FAILED if record.levelno > logging.INFO else USUAL
                if text and not text.startswith(usual):
                    self._say(text)
                if LOCKED in text:
                    self._say("If no other run is at work here, type: make unlock, and this command again.")
            self.refresh()

    def refresh(self) -> None:
        """Show the live line anew."""
        with self.lock:
            if self.live:
                line = self._line()[: shutil.get_terminal_size().columns - 1]
                if line != self.shown:
                    self.out.write(f"\r\x1b[K{line}")
                    self.out.flush()
                    self.shown = line

    def close(self) -> None:
        """Take the live line away."""
        with self.lock:
            if self.live and self.shown:
                self.out.write("\r\x1b[K")
                self.out.flush()
            self.live = False

    def _say(self, text: str) -> None:
        """Print lines above the live one."""
        start = "\r\x1b[K" if self.live and self.shown else ""
        self.shown = ""
        print(f"{start}{text}", file=self.out, flush=True)

    def _line(self) -> str:
        """What is done, what runs and how far it is, and the time left."""
        if not self.running:
            return ""
        now = self.now()
        left = self.pace.left({name: now - start for name, start in self.running.values()})
        parts = [f"{self.done} of {self.total} jobs", f"about {clock(left)} left" if left else ""]
        longest = sorted(self.running.values(), key=lambda each: each[1])
        parts += [state_of(name) for name, _ in longest]
        return " · ".join(filter(None, parts))

    # One method for each event that says something, by Snakemake's name of it.

    def _run_info(self, record: Any) -> None:
        self.total = record.stats.get("total", 0)

    def _resources_info(self, record: Any) -> None:
        if cores := getattr(record, "cores", None):
            self.pace.cores = cores

    def _job_info(self, record: Any) -> None:
        log = list(record.log)
        self.running[record.jobid] = (name_of(log[0]) if log else "", self.now())

    def _job_finished(self, record: Any) -> None:
        name, start = self.running.pop(record.job_id, ("", self.now()))
        self.done += 1
        if name:
            seconds = self.now() - start
            self.pace.end(name, seconds)
            width = len(str(self.total))
            self._say(f"{self.done:{width}} of {self.total}  {name}  {clock(seconds)}")

    def _job_error(self, record: Any) -> None:
        name, _ = self.running.pop(record.jobid, (record.rule_name, 0.0))
        logs = [Path(log) for log in record.log]
        said = [line for log in logs if log.is_file() for line in log.read_text(errors="replace").splitlines()]
        plain = [line for line in said if line.startswith("error: ")]
        lines = plain or said[-LAST_LINES:] or [record.msg or "it wrote nothing to its log"]
        self._say("\n".join([f"failed: {name}", *(f"    {line}" for line in lines)]))
        self._say(f"    all that it said: {', '.join(map(str, logs)) or 'no log'}")


def state_of(name: str) -> str:
    """What a running job shows: its progress where it keeps a heartbeat, otherwise its name without the preset."""
    preset, _, place = name.partition("/")
    try:
        line = json.loads(beat_of(Path("results", preset, place)).read_text(encoding="utf-8"))["line"]
    except (OSError, ValueError, KeyError):
        return place or name
    return place if line == "starting" else str(line)


class Handler(logging.Handler):
    """Snakemake's log records for `Brief`, and the live line once a second."""

    def __init__(self) -> None:
        super().__init__()
        os.environ[QUIET_JOBS] = "1"
        self.brief = Brief(sys.stderr)
        self.ended = threading.Event()
        if self.brief.live:
            threading.Thread(target=self._refresh, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record."""
        try:
            self.brief.take(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Take the live line away."""
        self.ended.set()
        self.brief.close()
        super().close()

    def _refresh(self) -> None:
        while not self.ended.wait(1.0):
            self.brief.refresh()
