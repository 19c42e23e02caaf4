"""Progress of long jobs, in lines that read well in a terminal and in a log file."""

import re
import sys
import time


class Progress:
    """Prints `label: done/total unit, note, rate, time left` on stderr, at most once every `interval` seconds.

    Args:
        label: what is being done.
        total: how many units there are.
        unit: what they are called, in the plural.
        rate: what to give the speed in, and how many of these make a unit: ("images", 50_000).
        interval: seconds between lines.
    """

    def __init__(self, label: str, total: int, unit: str, rate: tuple[str, int] | None = None, interval: float = 10.0):
        self.label, self.total, self.unit, self.rate, self.interval = label, total, unit, rate, interval
        self.start = self.last = time.monotonic()
        self.first: float | None = None

    def due(self, done: float) -> bool:
        """Whether a line would be printed now, for callers that would rather not make up a note in vain."""
        return self.first is None or done >= self.total or time.monotonic() - self.last >= self.interval

    def show(self, done: float, note: str = "") -> None:
        """Report that `done` of `total` units are done; the first call sets where this process began."""
        now = time.monotonic()
        if self.first is None:
            self.first, self.start = done, now
            if done < self.total:
                return
        if not self.due(done):
            return
        self.last = now
        speed = (done - self.first) / (now - self.start) if now > self.start else 0
        parts = [
            f"{self.label}: {int(done * 10) / 10:g}/{self.total} {self.unit}",
            note,
            f"{speed * self.rate[1]:,.0f} {self.rate[0]}/s" if self.rate and speed else "",
            f"{clock((self.total - done) / speed)} left" if speed and done < self.total else "",
        ]
        print(", ".join(part for part in parts if part), file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Seconds as 12 s, 3 min 20 s or 5 h 7 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def seconds_left(line: str) -> float | None:
    """The time left that a line of `Progress` tells, in seconds; None if it tells none."""
    found = re.search(r", (?:(\d+) h )?(?:(\d+) min ?)?(?:(\d+) s )?left$", line)
    if found is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds
