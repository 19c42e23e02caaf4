"""Progress of long jobs, in lines that read well in a terminal and in a log file."""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from understanding_bn import files

_beating: Path | None = None  # the heartbeat of this process's job


class Progress:
    """Prints `label: done/total unit, note, rate, time left` on stderr, at most once every `interval` seconds.

    Args:
        label: what is being done.
        total: how many units there are.
        unit: what they are called, in the plural.
        rate: what the speed counts, and how many of these are in one unit: ("images", 50_000).
        interval: seconds between lines.
        now: returns the time in seconds, from any origin.
        beat: the heartbeat to keep (see `beat_of`), if it is not that of the process's only job.
    """

    def __init__(
        self,
        label: str,
        total: int,
        unit: str,
        rate: tuple[str, int] | None = None,
        interval: float = 10.0,
        now: Callable[[], float] = time.monotonic,
        beat: Path | None = None,
    ):
        self.beat = beat
        self.label, self.total, self.unit, self.rate, self.interval = label, total, unit, rate, interval
        self.now = now
        self.start = self.last = now()
        self.first: float | None = None

    def due(self, done: float) -> bool:
        """Whether a line would be printed now, so that callers can skip preparing a note."""
        return self.first is None or done >= self.total or self.now() - self.last >= self.interval

    def show(self, done: float, note: str = "") -> None:
        """Report that `done` of `total` units are done; the first call says where this process began."""
        now = self.now()
        if self.first is None:
            self.first, self.start = done, now
            if done < self.total:
                return
        if not self.due(done):
            return
        self.last = now
        speed = (done - self.first) / (now - self.start) if now > self.start else 0
        left = (self.total - done) / speed if speed and done < self.total else None
        parts = [
            f"{self.label}: {int(done * 10) / 10:g}/{self.total} {self.unit}",
            note,
            f"{speed * self.rate[1]:,.0f} {self.rate[0]}/s" if self.rate and speed else "",
            f"{clock(left)} left" if left is not None else "",
        ]
        line = ", ".join(part for part in parts if part)
        print(line, file=sys.stderr, flush=True)
        _beat({"line": line, "seconds_left": left}, self.beat)


def clock(seconds: float) -> str:
    """Seconds as 12 s, 3 min 20 s or 5 h 7 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@contextmanager
def heartbeat(out: Path) -> Iterator[None]:
    """While the block runs, keep how far its job has come in a file next to the job's folder, for `status`.

    If the block raises, the file stays and says where the job stopped. No error with this file ends the job, which
    itself reports a full disk.
    """
    global _beating
    path = _beating = beat_of(out)
    _beat({"line": "starting", "seconds_left": None})
    try:
        yield
    finally:
        _beating = None
    with suppress(OSError):
        path.unlink(missing_ok=True)


def beat_of(out: Path) -> Path:
    """The heartbeat of the job that writes to this folder."""
    return out.parent / f".{out.name}.heartbeat.json"


def _beat(state: dict[str, Any], beat: Path | None = None) -> None:
    """Write this heartbeat, or that of the process's job if it keeps one."""
    beat = beat or _beating
    if beat is not None:
        with suppress(OSError):
            files.write_json(beat, state | {"process": os.getpid(), "host": socket.gethostname()})
