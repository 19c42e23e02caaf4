"""The verdicts of a run compared with those of its record."""

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understanding_bn import files
from understanding_bn.messages import plain
from understanding_bn.report.verify.nearness import RELATIVE, Near, relative_difference

JUDGED = ("claims.json", "followups.json")


@dataclass(frozen=True)
class Verdicts:
    """The claims of a run compared with those of its record.

    Attributes:
        total: how many claims there are on both sides together.
        changed: what changed of those that differ, in words.
        near: of the values of their checks, how many are how near.
    """

    total: int
    changed: dict[str, str]
    near: Counter[Near]


def compare_verdicts(ran: Path, kept: Path, chance: bool = True) -> Verdicts:
    """The claims and predictions of a run and its record; `chance`: as in `nearness.compare`."""
    changed: dict[str, str] = {}
    near: Counter[Near] = Counter()
    total = 0
    for name in JUDGED:
        theirs, ours = ({str(each["id"]): each for each in files.read_json(folder / name)} for folder in (kept, ran))
        for claim in dict.fromkeys([*theirs, *ours]):
            total += 1
            if claim not in theirs or claim not in ours:
                changed[claim] = f"only in the {'run' if claim in ours else 'record'}"
                continue
            words, nearness = _claim(theirs[claim], ours[claim], chance)
            near.update(nearness)
            if words:
                changed[claim] = "; ".join(words)
    return Verdicts(total, changed, near)


def _claim(before: dict[str, Any], now: dict[str, Any], chance: bool) -> tuple[list[str], list[Near]]:
    """What changed of a claim in words, and how near each of its checks' values is."""
    words = [
        f"{name} {before[name] or 'none'} → {now[name] or 'none'}"
        for name in ("verdict", "direction")
        if before[name] != now[name]
    ]
    checks = [(check["name"], check["relation"], check["bound"]) for check in before["checks"]]
    if checks != [(check["name"], check["relation"], check["bound"]) for check in now["checks"]]:
        return [*words, "what is checked is not the same"], []
    near = []
    for theirs, ours in zip(before["checks"], now["checks"], strict=True):
        near.append(_nearness(theirs, ours, chance))
        if near[-1] == Near.DIFFERENT:
            words.append(f"{theirs['name']}: {_value(theirs)} → {_value(ours)}")
    return words, near


def _nearness(before: dict[str, Any], now: dict[str, Any], chance: bool) -> Near:
    """How near a check's value and interval are; within the spread if the value lies in the record's interval."""
    ends = [(check["measured"], *(check["interval"] or (None, None))) for check in (before, now)]
    numbers = [np.array([math.nan if end is None else end for end in each], dtype=float) for each in ends]
    largest = relative_difference(*numbers).max()
    if largest <= RELATIVE:
        return Near.ROUNDING if largest else Near.IDENTICAL
    (_, low, high), (value, *_) = numbers
    return Near.SPREAD if chance and low <= value <= high else Near.DIFFERENT


def _value(check: dict[str, Any]) -> str:
    """A check's value with its interval."""
    value = "not finite" if check["measured"] is None else plain(check["measured"])
    return value + (f" [{plain(check['interval'][0])}, {plain(check['interval'][1])}]" if check["interval"] else "")
