"""Where the files of plug-ins lie. It says little: figures rest on it, and on every word of what they import."""

from collections.abc import Iterable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def paths(listed: Iterable[str]) -> list[Path]:
    """The files that the config or a job names as plug-ins.

    A relative path is one in the working directory or, where no such file is, in the checkout: so a preset can name
    workflow/norms/skipinit.py wherever it runs.
    """
    found = []
    for name in listed:
        shipped = CHECKOUT / name
        found.append(shipped if not Path(name).exists() and shipped.is_file() else Path(name))
    return found
