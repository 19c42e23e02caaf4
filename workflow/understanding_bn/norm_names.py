"""What the name of a norm says. It imports nothing: figures rest on it, and on every word of what they import."""

import re


def group_size(norm: str) -> int | None:
    """How many images the norm `ghost-M` takes its statistics from, M; None for all other norms."""
    found = re.fullmatch("ghost-([1-9][0-9]{0,6})", norm)
    return int(found[1]) if found else None
