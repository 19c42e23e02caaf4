"""Norms and initialisations by name: the package's own, and those of the user's files that the config calls plug-ins.

In a plug-in, a function `norm_NAME(channels)`, `norm_NAME(channels, place)` or `init_NAME(model, generator)` is one
choice of `norm` or `init`, as functions in models.norms and models.initializations are. Imports no torch, and runs no
plug-in to learn its names, because the Snakefile asks for them on every start.
"""

import ast
import functools
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from understanding_bn import files
from understanding_bn.errors import Stopped, UserError
from understanding_bn.norm_names import group_size

PACKAGE = Path(__file__).resolve().parent
TAG = "_plugged"  # the attribute that holds a module's tag
GHOST = "ghost-M"  # what lists of names have for `ghost-1`, `ghost-2`, …
MODULES = {"norm": "models.norms", "init": "models.initializations"}


def names(kind: str, plugged: Sequence[Path] = ()) -> list[str]:
    """The config's names for all norms (with hyphens) or initialisations (kind "norm" or "init"), plug-ins' last."""
    return [*_built_in(kind), *(name for path in plugged for name in offers(path)[kind])]


def is_among(name: str, known: Iterable[str]) -> bool:
    """Whether a name is one of those that `names` lists, where `ghost-M` stands for every M."""
    return name != GHOST and (GHOST if group_size(name) else name) in known


def offers(path: Path) -> dict[str, list[str]]:
    """The names that a plug-in adds, by kind.

    Raises:
        UserError: it can't be read, has nothing, or a name that the package has or that is no name.
    """
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # text that is not UTF-8 is a ValueError
        raise UserError(f"{path}: can't be read ({files.first_line(error)}); expected a Python file") from None
    return _offers(path, source)


@functools.cache  # asked for every job of a grid
def _offers(path: Path, source: str) -> dict[str, list[str]]:
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise UserError(f"{path}: line {error.lineno}: {error.msg}; expected a Python file") from None
    except ValueError as error:  # null bytes
        raise UserError(f"{path}: can't be read ({files.first_line(error)}); expected a Python file") from None
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    added = {kind: [f.removeprefix(f"{kind}_") for f in functions if f.startswith(f"{kind}_")] for kind in MODULES}
    if not any(added.values()):
        raise UserError(f"{path}: has no function norm_NAME(channels) or init_NAME(model, generator); write one")
    for kind, functions in added.items():
        for name in functions:
            if not re.fullmatch("[a-z][a-z0-9_]{0,49}", name):
                raise UserError(f"{path}: {kind}_{name[:60]}: expected small letters, digits and '_' after {kind}_")
            if is_among(_named(kind, name), _built_in(kind)):
                raise UserError(f"{path}: {kind}_{name}: there is a {kind} {_named(kind, name)!r} already; rename it")
    return {kind: [_named(kind, name) for name in functions] for kind, functions in added.items()}


def sources(plugged: Sequence[Path], norm: str, inits: Iterable[str]) -> list[Path]:
    """Those plug-ins that a norm and initialisations come from, each once: none for the package's own.

    Raises:
        UserError: there is no such norm or initialisation.
    """
    needed = [source("norm", norm, plugged), *(source("init", init, plugged) for init in inits)]
    return list(dict.fromkeys(path for path in needed if path is not None))


def make(kind: str, name: str, plugged: Sequence[Path] = ()) -> Callable[..., Any]:
    """The function behind a norm or an initialisation.

    Raises:
        UserError: there is none, or the plug-in fails; so does the function that is returned.
    """
    path, function = source(kind, name, plugged), name.replace("-", "_")
    if path is None and (images := group_size(name)) is not None:
        norms = importlib.import_module(f"understanding_bn.{MODULES[kind]}")
        return functools.partial(norms.ghost, images=images)
    if path is None:
        return getattr(importlib.import_module(f"understanding_bn.{MODULES[kind]}"), function)
    with blamed(path, "the file"):
        own = getattr(_loaded(path), f"{kind}_{function}")
    guards = importlib.import_module("understanding_bn.models.guards")  # needs torch, which this module does without
    return getattr(guards, kind)(own, name, path)


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"understanding_bn_plugin_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look there for their module
    spec.loader.exec_module(module)
    return module


@contextmanager
def blamed(path: Path, what: str, function: Callable[..., Any] | None = None) -> Iterator[None]:
    """Whatever fails in the block is that plug-in's mistake: a UserError of one line.

    `what` the plug-in defines fails; `function` does it, as far as the traceback does not lead into the file.
    """
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise failure(path, what, error, function) from error


@contextmanager
def watched(plugged: Sequence[Path]) -> Iterator[None]:
    """What fails in the block where one of these plug-ins has a part is a UserError of one line; all else stays."""
    try:
        yield
    except (UserError, Stopped):
        raise
    except (Exception, SystemExit) as error:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        for frame in reversed(frames):
            if (path := _file(frame.f_code.co_filename, plugged)) is not None:
                raise failure(path, "the plug-in", error) from error
            if isinstance(tag := getattr(frame.f_locals.get("self"), TAG, None), Tag):  # such as a layer of torch's own
                raise failure(tag.path, f"norm {tag.name!r}", error, tag.function) from error
        raise


def failure(path: Path, what: str, error: BaseException, function: Callable[..., Any] | None = None) -> UserError:
    """The line for an error in a plug-in: the file, the line that raised it, and the exception's first line."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if _file(each.filename, [path]) is not None]
    inside = f", line {frames[-1].lineno}, in {frames[-1].name}" if frames else _defined(function)
    return UserError(f"{path}{inside}: {what} fails: {type(error).__name__}: {files.first_line(error)}")


def mistake(path: Path, function: Callable[..., Any], text: str) -> UserError:
    """The line for a plug-in that does not fail and yet does not do what is expected of it."""
    return UserError(f"{path}{_defined(function)}: {text}")


@dataclass(frozen=True)
class Tag:
    """Marks a module that a norm of a plug-in has made, so that its failures can be told."""

    path: Path
    name: str
    function: Callable[..., Any]


def _file(name: str, plugged: Sequence[Path]) -> Path | None:
    """The plug-in that has this file name, if one has."""
    return next((path for path in plugged if Path(name).resolve() == path.resolve()), None)


def _defined(function: Callable[..., Any] | None) -> str:
    """Where a function stands, for a message."""
    code = getattr(inspect.unwrap(function), "__code__", None) if function else None
    return f", line {code.co_firstlineno}, in {code.co_name}" if code else ""


def source(kind: str, name: str, plugged: Sequence[Path]) -> Path | None:
    """The plug-in that a norm or an initialisation comes from; None for the package's own.

    Raises:
        UserError: there is none of that name.
    """
    if is_among(name, _built_in(kind)):
        return None
    for path in plugged:
        if name in offers(path)[kind]:
            return path
    raise UserError(f"{kind} {name!r} is unknown; expected one of {', '.join(names(kind, plugged))}")


@functools.cache
def _built_in(kind: str) -> list[str]:
    """The package's own names, read without importing torch."""
    path = PACKAGE.joinpath(*MODULES[kind].split(".")).with_suffix(".py")
    functions = [
        node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    ]
    named = [_named(kind, name) for name in functions if name[0] != "_"]
    return [GHOST if kind == "norm" and name == "ghost" else name for name in named]


def _named(kind: str, function: str) -> str:
    """The config writes hyphens in the names of norms."""
    return function.replace("_", "-") if kind == "norm" else function
