"""Tables and numbers as the pages show them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from understanding_bn.messages import plain

DASH = "–"


def table(frame: pd.DataFrame, note: str = "") -> str:
    """A Markdown table of texts between blank lines, and a note in italics below it; the head is the columns' names."""
    frame = frame.map(_escaped).rename(columns=_escaped)
    head, _, *rows = frame.to_markdown(index=False, disable_numparse=True, stralign=None).splitlines()
    # pandas draws the separator as wide as the cells, so that one longer cell would change it too.
    separator = "|---" * len(frame.columns) + "|"
    return "\n".join(["", head, separator, *rows, "", *([f"*{note}*", ""] if note else [])])


def number(value: float | None, interval: Sequence[float | None] | None, form: str) -> str:
    """A number with its interval, `1.5 [1, 2]`; without one where that is missing, and a dash where both are."""
    if value is None or np.isnan(value):
        return DASH
    if interval is None or any(end is None or np.isnan(end) for end in interval):
        return plain(value, form)
    low, high = (plain(end, form) for end in interval if end is not None)
    return f"{plain(value, form)} [{low}, {high}]"


def ends(interval: Sequence[float] | None, missing: str = DASH) -> str:
    """An interval as `1 to 2`."""
    return " to ".join(plain(end) for end in interval) if interval else missing


def spread(values: pd.Series, form: str = ".2f") -> str:
    """Mean and standard deviation over seeds."""
    return f"{values.mean():{form}} ± {values.std():{form}}"


def median(values: pd.Series) -> str:
    """Median, smallest and largest; what is missing, such as the step at which a curve passes a value, is infinite."""
    ordered = values.fillna(np.inf).sort_values()
    shown = [
        plain(value, ".2g") if np.isfinite(value) else "never" for value in (ordered.median(), *ordered.iloc[[0, -1]])
    ]
    return shown[0] if len(set(shown)) == 1 else f"{shown[0]} ({shown[1]} to {shown[2]})"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
