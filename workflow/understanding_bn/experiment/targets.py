"""Targets of a run, checked before the run begins."""

import difflib
from collections.abc import Callable, Sequence

from understanding_bn.messages import choice, shown


def mistake(
    target: str,
    preset: str,
    drawn: Sequence[str],
    undrawn: Sequence[str],
    others: Sequence[str],
    files: Sequence[str],
    is_made: Callable[[str], bool],
) -> str | None:
    """What is wrong with a target, in one line; None if it can be made.

    Args:
        target: a rule's name or a file.
        preset: the preset that is run.
        drawn: the figures and tables that it draws, by their shortest names.
        undrawn: names of those that it has nothing to draw from.
        others: the other rules that can be named.
        files: the files that people ask for.
        is_made: whether some rule makes a file of this path.
    """
    if target in undrawn:
        return f"preset {preset} has nothing to draw {target} from; it draws {', '.join(drawn)}"
    if target in (*drawn, *others) or is_made(target):
        return None
    if "/" in target:
        near = difflib.get_close_matches(target, files, n=1)
        return f"preset {preset} makes no file {shown(target)}" + (f"; did you mean {near[0]}?" if near else "")
    return f"preset {preset} has no target {shown(target)}; expected {choice(target, [*drawn, *others])}"
