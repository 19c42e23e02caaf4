"""What all benchmarks share: rounds that take turns, and spreads over rounds. Imports no torch."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from understanding_bn import fingerprint
from understanding_bn.errors import UserError
from understanding_bn.provenance import Stopwatch


def interleave(sides: dict[str, Callable[[int], Any]], rounds: int) -> Iterator[dict[str, Any]]:
    """Each side's result in every round, {side: result}, as the rounds are done.

    The sides take turns, and every other round runs in the opposite order, so that neither a neighbour's load nor
    a processor that warms up falls on one side alone. A side is called with the round's number, from 0.
    """
    for number in range(rounds):
        names = list(sides) if number % 2 == 0 else list(sides)[::-1]
        results = {name: sides[name](number) for name in names}
        yield {name: results[name] for name in sides}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def at_least(name: str, value: int, least: int) -> None:
    """Refuse an argument that is too small.

    Raises:
        UserError: names the argument as the command line does.
    """
    if value < least:
        raise UserError(f"--{name}: {value} is too small; expected at least {least}")


def shown(values: dict[str, float], digits: int = 0) -> str:
    """A spread as text: median (min–max)."""
    median, least, most = (f"{values[key]:,.{digits}f}" for key in ("median", "min", "max"))
    return f"{median} ({least}–{most})"


def facts(stopwatch: Stopwatch, module: str, device: str, threads: int) -> dict[str, Any]:
    """What every benchmark's record says about its code, machine and cost."""
    return {"code_fingerprint": fingerprint.whole([module]), "dtype": "float32"} | stopwatch.facts(device, threads)
