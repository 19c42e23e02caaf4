"""Files written whole or not at all, and hashes. Light: the Snakefile imports this on every start."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from understanding_bn.errors import UserError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path` (same suffix); rename it to `path` if the block succeeds.

    The temporary file is removed on any error, so that nothing half-written is ever found under the real name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        with named(path):
            yield temporary
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Add this file's name to the system's errors in the block, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write `content` to `path`, atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def copy(source: Path, path: Path) -> None:
    """Copy a file's content to `path`, atomically."""
    with atomic(path) as temporary:
        shutil.copyfile(source, temporary)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. Infinities and NaN are refused: they are not JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_list(path: Path, lines: Iterable[str]) -> None:
    """Write a list, one item per line, atomically; `read_list` reads it."""
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_list(path: Path) -> list[str]:
    """The lines of a list that Snakemake wrote when its run started.

    Raises:
        UserError: the file is missing or empty.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: no such list of files; snakemake writes it when a run starts") from None
    if not lines:
        raise UserError(f"{path}: an empty list; expected one file name per line")
    return lines


def read_inputs(path: Path) -> dict[str, list[Path]]:
    """Files by table, from the JSON file that Snakemake wrote when its run started.

    Raises:
        UserError: the file is missing, lists no files, or is something else.
    """
    value = read_json(path)
    if (
        not isinstance(value, dict)
        or not all(isinstance(names, list) and names for names in value.values())
        or not all(isinstance(name, str) for names in value.values() for name in names)
        or not value
    ):
        raise UserError(f'{path}: expected lists of files by table, such as {{"histories": ["a/history.parquet"]}}')
    return {table: [Path(name) for name in names] for table, names in value.items()}


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the job that makes it first") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run again") from None


def sha256(path: Path) -> str:
    """The hex SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def trouble(error: OSError) -> str | None:
    """One line for a problem with a disk that users can fix: full, over quota, read-only, not theirs; else None."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = "no room left on the disk"
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        what = f"cannot be written ({os.strerror(error.errno).lower()})"
    else:
        return None
    return f"{error.filename or 'output'}: {what}; nothing half-written is left, mend that and run again"


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, for one of our own messages."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
