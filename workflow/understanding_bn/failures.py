"""What fails while the rest goes on: told in one line, in the log of its job and on the report's page.

Such a line of a log begins with `error: `. Light: the Snakefile imports this on every start.
"""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from understanding_bn import files
from understanding_bn.errors import Stopped, UserError

PACKAGE = Path(__file__).resolve().parent
PROJECT = PACKAGE.parents[1]
MARK = "error: "
LONGEST = 300  # characters of a reason
SILENT = "its job ended without a reason, as one does that is killed or lacks memory"


def reason(error: BaseException) -> str:
    """An exception in one line, with the line of this package that it came through last."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if PACKAGE in Path(frame.filename).parents]
    # A syntax error names its own place.
    where = "" if isinstance(error, SyntaxError) or not frames else _place(frames[-1])
    said = files.first_line(error) if str(error).strip() else ""
    return f"{type(error).__name__}{': ' if said else ''}{said[:LONGEST]}{where}"


def _place(frame: traceback.FrameSummary) -> str:
    return f" ({Path(frame.filename).relative_to(PROJECT).as_posix()}, line {frame.lineno})"


def tell(what: str, error: BaseException) -> str:
    """Print the traceback of what failed and then its line. Returns the reason alone."""
    traceback.print_exception(error)
    why = reason(error)
    print(f"{MARK}{what}: {why}", file=sys.stderr)
    return why


@contextmanager
def told(what: str) -> Iterator[None]:
    """Whatever fails in the block ends the command with one line, after its traceback.

    Raises:
        UserError: that line; what has a line of its own passes as it is.
    """
    try:
        yield
    except (UserError, Stopped):
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and files.trouble(error):
            raise
        traceback.print_exception(error)
        raise UserError(f"{what}: {reason(error)}") from None


def said_in(log: Path) -> list[str]:
    """The lines of a log that say what failed, without their mark; none where there is no log."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]


def why(log: Path) -> str:
    """Why a job failed, as the last such line of its log says."""
    return next(reversed(said_in(log)), SILENT)
