"""Results that a job has finished while no Snakemake was there to record it: the next start of that job takes them.

Snakemake deletes the files of such a job and starts it again. So a job leaves a second name of each of its files (a
hard link, which takes no room) in a hidden folder next to its own. Once a Snakemake has recorded the job, it
removes that folder: from then on a job that is started again, because someone asks for it, computes again.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from understanding_bn import files, locks, record
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Matrices, Measure, Train

VARIABLE = "UNDERSTANDING_BN_SNAKEMAKE"  # set for jobs of Snakemake's; a command run by hand computes each time


def aside(out: Path) -> Path:
    """Where the job that writes to this folder leaves the second names of its files, and its lock."""
    return out.parent / f".{out.name}.finished"


@contextmanager
def once(
    out: Path,
    job: Train | Measure | Matrices,
    facts: dict[str, Any],
    tick: Callable[[], None] = lambda: None,
) -> Iterator[bool]:
    """Do a job, unless another process is at it or has done it. One that is at it is waited for.

    Yields whether its results are in `out`. If they are not, the block makes them, run.json included.

    Args:
        facts: what the results rest on besides the job; see `Record.rests_on`.
        tick: called while waiting; it may raise.
    """
    of_snakemake = VARIABLE in os.environ
    kept = aside(out)
    with locks.claim(kept, tick) as waited:
        try:
            done = _take(out, job, facts) if of_snakemake else waited and _sound(out, job, facts)
            if done:
                print(f"{out}: another start of this job has finished it: its results are taken", file=sys.stderr)
            yield done
            if of_snakemake and not done:
                for name in _names(job):
                    with suppress(OSError):  # a file system without hard links
                        _link(out / name, kept / name)
        finally:
            if not (kept / "run.json").exists():  # only the lock is in it
                shutil.rmtree(kept, ignore_errors=True)


def has_results(out: Path, job: Train | Measure | Matrices, facts: dict[str, Any]) -> bool:
    """Whether the results of this job are there, recorded or left aside."""
    return _sound(out, job, facts) or _sound(aside(out), job, facts)


def leave(out: Path, job: Train | Measure | Matrices) -> None:
    """Let results stand aside only, for Snakemake's own job to take.

    Files in that job's folder it would take for complete, without knowing what they rest on.
    """
    if (aside(out) / "run.json").is_file():
        for name in _names(job):
            (out / name).unlink(missing_ok=True)
        with suppress(OSError):
            out.rmdir()


def forget(out: Path) -> None:
    """Remove what a job has left aside: it is recorded, or is to be done anew."""
    if aside(out).is_dir():
        shutil.rmtree(aside(out), ignore_errors=True)


def _names(job: Train | Measure | Matrices) -> tuple[str, ...]:
    """The names of a job's files, in the order in which it writes them."""
    return (*job.OUTPUTS, "run.json")


def _take(out: Path, job: Train | Measure | Matrices, facts: dict[str, Any]) -> bool:
    """Put results that an earlier start of the same job has left aside into `out`. Returns whether there were any."""
    kept = aside(out)
    found = _sound(kept, job, facts)
    for name in _names(job):
        if found:
            _link(kept / name, out / name)
            os.utime(out / name)  # newer than what it was made from, which may have been made again just like it
        else:
            (kept / name).unlink(missing_ok=True)
    return found


def _sound(folder: Path, job: Train | Measure | Matrices, facts: dict[str, Any]) -> bool:
    """Whether a folder holds whole results of this job that rest on these facts."""
    try:
        run = record.read(folder / "run.json")
        whole = all(files.sha256(folder / name) == run.outputs[name] for name in job.OUTPUTS)
    except (UserError, OSError, KeyError):
        return False
    return whole and run.rests_on(job, **facts)


def _link(source: Path, path: Path) -> None:
    """Give a file a second name, atomically, in the place of whatever has that name."""
    with files.atomic(path) as temporary:
        os.link(source, temporary)
