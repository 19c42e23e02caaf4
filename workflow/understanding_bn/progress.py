"""Progress of long jobs, in lines that read well in a terminal and in a log file."""

import sys
import time


class Progress:
    """Prints `label: done/total unit, rate, time left` on stderr, at most once every `interval` seconds."""

    def __init__(self, label: str, total: int, unit: str, interval: float = 10.0):
        self.label, self.total, self.unit, self.interval = label, total, unit, interval
        self.start = self.last = time.monotonic()
        self.first: int | None = None

    def show(self, done: int, note: str = "") -> None:
        """Report that `done` of `total` units are done; the first call sets where this process began."""
        now = time.monotonic()
        if self.first is None:
            self.first, self.start = done, now
        if done < self.total and now - self.last < self.interval:
            return
        self.last = now
        fresh = done - self.first
        left = (now - self.start) / fresh * (self.total - done) if fresh else None
        parts = [
            f"{self.label}: {done}/{self.total} {self.unit}",
            note,
            f"{_clock(left)} left" if left else "",
        ]
        print(", ".join(part for part in parts if part), file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    """Seconds as 12 s, 3 min 20 s or 5 h 7 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
