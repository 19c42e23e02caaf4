"""Requests to stop: by Ctrl-C, by `kill`, or by a scheduler before a time limit, a cancellation or a preemption."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from understanding_bn.errors import Stopped

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Stop:
    """Whether the process was asked to stop: the signal's number, or None."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def check(self, where: str = "before it began") -> None:
        """If the process was asked to stop, raise Stopped with a text that says how far the job is."""
        if self.signal is not None:
            raise Stopped(self.signal, f"{where}; the next start goes on from there")


@contextmanager
def listening() -> Iterator[Stop]:
    """While the block runs, signals do not end the process but are noted.

    The job checks the note between two mini-batches: in the middle of an update, weights and momentum do not agree.
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


def end_with_a_line() -> None:
    """From now on, a scheduler's signal ends the process with a line that says so, unless the process is listening.

    That is so while Python loads, and throughout jobs that keep no checkpoint.
    """

    def end(number: int, frame: object) -> None:
        os.write(2, f"stopped by {signal.Signals(number).name} with nothing new to save\n".encode())
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, end)
