"""How a result came about: code, versions, machine, time and memory."""

import importlib.metadata
import platform
import resource
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent
REPORTED = ("torch", "torchvision", "numpy", "scipy", "pandas", "scikit-learn", "snakemake")


class Stopwatch:
    """Measures a job from its creation: wall seconds and peak memory."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now`: the time in seconds, from any moment on."""
        self.started = datetime.now(UTC)
        self._now, self._start = now, now()

    def facts(self, device: str, threads: int) -> dict[str, Any]:
        """The facts in every record that do not depend on the kind of job: commit, versions, machine and cost."""
        return {
            "commit": commit(),
            "versions": versions(),
            "device": device,
            "processor": processor(),
            "threads": threads,
            "flags": {"tf32": False, "flush_denormal": True},
            "started": self.started.isoformat(timespec="seconds"),
            "wall_seconds": round(self._now() - self._start, 2),
            "peak_memory_mib": round(peak_memory_mib()),
        }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a number; those not installed are left out."""
    installed = {"python": platform.python_version()}
    for name in REPORTED:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def commit() -> str | None:
    """The checkout's commit, with '+changes' if tracked files differ from it; None outside a git checkout."""
    git = ["git", "-C", str(PACKAGE)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        clean = subprocess.run([*git, "diff", "--quiet", "HEAD"], capture_output=True).returncode == 0
    except (OSError, subprocess.CalledProcessError):
        return None
    return head if clean else head + "+changes"


def peak_memory_mib() -> float:
    """The most memory, in MiB, that this process has had in RAM.

    On Linux a process inherits `ru_maxrss` from its parent, so that a small job of a large parent would report the
    parent's size; the kernel's high-water mark starts afresh. Other systems have only `ru_maxrss`.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**10
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def processor() -> str:
    """The processor's name, as Linux gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
