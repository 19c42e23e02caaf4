"""Being told to stop: by Ctrl-C, by `kill`, or by a scheduler before a time limit, a cancellation or a preemption."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from understanding_bn.errors import Stopped

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Stop:
    """Whether the process has been told to stop: the signal's number, or None."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def check(self, where: str = "before it began") -> None:
        """Raise Stopped, with a text that says where the job stands, if it has been told to stop."""
        if self.signal is not None:
            raise Stopped(self.signal, f"{where}; the next start goes on from there")


@contextmanager
def listening() -> Iterator[Stop]:
    """Take note of signals instead of being ended by them, as long as the block runs.

    The note is acted on between two mini-batches: in the midst of an update, weights and momentum do not agree.
    """
    stop = Stop()

    def note(number: int, frame: object) -> None:
        stop.signal = number

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
