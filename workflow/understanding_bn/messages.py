"""Words for values: how a message shows one, what kind it is, which name was probably meant; columns of text."""

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LONGEST = 60  # characters of a value that are shown


def shown(value: Any) -> str:
    """A value as Python writes it, on one line and cut where it gets long."""
    try:
        text = repr(value)
    except ValueError:  # whole numbers of more than 4300 digits are not written
        text = "a number of thousands of digits"
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def plain(value: float, form: str = ".3g") -> str:
    """A number in this format as people write it: 1130 for 1.13e+03, and 3.2×10⁻⁵ for 3.2e-05."""
    text = f"{value:{form}}"
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return text
    power = int(exponent)
    return f"{float(text):.0f}" if 0 <= power < 4 else f"{mantissa}×10{str(power).translate(SUPERSCRIPTS)}"


def choice(given: Any, known: Iterable[str]) -> str:
    """The allowed names, with a guess at what was meant."""
    names = list(known)
    near = difflib.get_close_matches(str(given)[:LONGEST], names, n=1)
    return f"one of {', '.join(names)}" + (f" (did you mean {near[0]!r}?)" if near else "")


def kind_of(value: Any) -> str:
    """What kind of value this is, in words."""
    if value is None:
        return "empty"
    kinds = {bool: "true or false", str: "text", int: "a whole number", float: "a number", list: "a list"}
    kinds |= {dict: "a block of keys", tuple: "a list"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def place(parts: Iterable[str | int]) -> str:
    """A place in the config as messages name it: grid[0].alpha[1]."""
    return "".join(f".{part}" if _is_plain(part) else f"[{shown(part)}]" for part in parts).lstrip(".")


def _is_plain(part: str | int) -> bool:
    """Whether this is a key that can be shown as it is: not a position in a list, nor a name with line breaks."""
    return isinstance(part, str) and re.fullmatch(rf"[\w-]{{1,{LONGEST}}}", part) is not None


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text, aligned: the first to the left, the others to the right, two spaces between them."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
