"""Norms and initialisations by name: the package's own, and those of the user's files that the config calls plug-ins.

In a plug-in, a function `norm_NAME(channels)` or `init_NAME(model, generator)` is one choice of `norm` or `init`, as
functions in models.norms and models.initializations are. Imports no torch, and runs no plug-in to learn its names,
because the Snakefile asks for them on every start.
"""

import ast
import functools
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from understanding_bn import files
from understanding_bn.errors import UserError

PACKAGE = Path(__file__).resolve().parent
MODULES = {"norm": "models.norms", "init": "models.initializations"}


def names(kind: str, plugged: Sequence[Path] = ()) -> list[str]:
    """The config's names for all norms (with hyphens) or initialisations (kind "norm" or "init"), plug-ins' last."""
    return [*_built_in(kind), *(name for path in plugged for name in offers(path)[kind])]


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
            if _named(kind, name) in _built_in(kind):
                raise UserError(f"{path}: {kind}_{name}: there is a {kind} {_named(kind, name)!r} already; rename it")
    return {kind: [_named(kind, name) for name in functions] for kind, functions in added.items()}


def sources(plugged: Sequence[Path], norm: str, inits: Iterable[str]) -> list[Path]:
    """Those plug-ins that a norm and initialisations come from, each once: none for the package's own.

    Raises:
        UserError: there is no such norm or initialisation.
    """
    needed = [_source("norm", norm, plugged), *(_source("init", init, plugged) for init in inits)]
    return list(dict.fromkeys(path for path in needed if path is not None))


def make(kind: str, name: str, plugged: Sequence[Path] = ()) -> Callable[..., Any]:
    """The function behind a norm or an initialisation.

    Raises:
        UserError: there is none, or the plug-in fails; so does the function that is returned.
    """
    path, function = _source(kind, name, plugged), name.replace("-", "_")
    if path is None:
        return getattr(importlib.import_module(f"understanding_bn.{MODULES[kind]}"), function)
    function = getattr(_loaded(path), f"{kind}_{function}")

    def guarded(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            raise _failed(path, f"{kind} {name!r}", error) from error

    return guarded


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"understanding_bn_plugin_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _failed(path, "the file", error) from error
    return module


def _failed(path: Path, what: str, error: Exception) -> UserError:
    return UserError(f"{path}: {what} fails: {type(error).__name__}: {files.first_line(error)}")


def _source(kind: str, name: str, plugged: Sequence[Path]) -> Path | None:
    if name in _built_in(kind):
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
    public = [name for name in functions if name[0] != "_" and (kind, name) != ("norm", "final")]
    return [_named(kind, name) for name in public]


def _named(kind: str, function: str) -> str:
    """The config writes hyphens in the names of norms."""
    return function.replace("_", "-") if kind == "norm" else function
