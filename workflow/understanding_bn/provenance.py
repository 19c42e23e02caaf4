"""What produced a result: code, versions, machine, time and memory."""

import ast
import functools
import hashlib
import importlib.metadata
import platform
import resource
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent
REPORTED = ("torch", "torchvision", "numpy", "scipy", "pandas", "scikit-learn", "snakemake")


def fingerprint(module: str, others: Sequence[Path] = ()) -> str:
    """Twelve hex digits that change when the code behind a module of this package does.

    Covers the module (dotted, relative to the package), every module of the package that it imports, directly or not,
    and `others`, files outside the package. Blank lines and lines that hold only a comment do not count in the
    package's own. Snakemake takes it as a rule's parameter, so that changed code reruns just what depends on it.
    """
    digest = hashlib.sha256()
    for path in sorted(_closure(_file(module))):
        lines = (line.rstrip() for line in path.read_text(encoding="utf-8").splitlines())
        code = "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))
        digest.update(f"{path.relative_to(PACKAGE)}\n{code}\n".encode())
    for path in others:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def public_functions(module: str) -> list[str]:
    """The names of a module's public functions, read without importing it.

    The config may name any of them, and checking a config must not cost an import of torch.
    """
    tree = ast.parse(_file(module).read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"]


class Stopwatch:
    """Measures a job from its creation: wall seconds and peak memory."""

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self._start = time.monotonic()

    def record(self, module: str, device: str, threads: int, plugins: Sequence[Path] = ()) -> dict[str, Any]:
        """What every run.json holds about code, machine and cost, beside the job's own facts.

        `plugins`: the files outside the package that the job's norm and initialisation come from.
        """
        outside = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in plugins}
        return ({"plugins": outside} if outside else {}) | {
            "code_fingerprint": fingerprint(module, plugins),
            "commit": commit(),
            "versions": versions(),
            "device": device,
            "processor": _processor(),
            "threads": threads,
            "dtype": "float32",
            "flags": {"tf32": False, "flush_denormal": True},
            "started": self.started.isoformat(timespec="seconds"),
            "wall_seconds": round(time.monotonic() - self._start, 2),
            "peak_memory_mib": round(peak_memory_mib()),
        }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a number; those not installed are left out."""
    found = {"python": platform.python_version()}
    for name in REPORTED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


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

    Linux hands `ru_maxrss` on from a parent to the process that it starts, so that a small job of a large parent would
    report its parent's size; the kernel's high-water mark begins anew. Other systems have only `ru_maxrss`.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**10
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _processor() -> str:
    """The processor's name, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _file(module: str) -> Path:
    """The source file of a dotted module of this package, or its folder's __init__.py."""
    path = PACKAGE.joinpath(*module.split("."))
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"


@functools.cache
def _imports(path: Path) -> frozenset[Path]:
    """The files of this package that one of its files imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE.name:
            parent = ".".join(node.module.split(".")[1:])
            found.add(_file(parent) if parent else PACKAGE / "__init__.py")
            found |= {_file(f"{parent}.{alias.name}".lstrip(".")) for alias in node.names}
    return frozenset(path for path in found if path.is_file())


def _closure(path: Path) -> set[Path]:
    """A file and all files of the package that it needs."""
    seen, open_ = set(), [path]
    while open_:
        file = open_.pop()
        if file not in seen:
            seen.add(file)
            open_ += _imports(file)
    return seen
