"""Norms and initialisations by name: the package's own, and those of the user's files that the config calls plug-ins.

In a plug-in, a function `norm_NAME(channels)` or `init_NAME(model, generator)` is one choice of `norm` or `init`, as
functions in models.norms and models.initializations are. Imports no torch, and runs no plug-in to learn its names,
because the Snakefile asks for them on every start.
"""

import ast
import importlib
import importlib.util
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from understanding_bn import files
from understanding_bn.errors import UserError
from understanding_bn.provenance import public_functions

MODULES = {"norm": "models.norms", "init": "models.initializations"}
# Where jobs find the files, as a JSON list of paths. The Snakefile sets it from the config.
VARIABLE = "UNDERSTANDING_BN_PLUGINS"


def paths() -> list[Path]:
    """The plug-ins that this process was told of."""
    return [Path(name) for name in json.loads(os.environ.get(VARIABLE, "[]"))]


def names(kind: str, plugged: Sequence[Path] = ()) -> list[str]:
    """The config's names for all norms (with hyphens) or initialisations (kind "norm" or "init"), one's own last."""
    return [*_built_in(kind), *(name for path in plugged for name in found(path)[kind])]


def found(path: Path) -> dict[str, list[str]]:
    """What a plug-in has, by kind.

    Raises:
        UserError: it can't be read, has nothing, or a name that the package has or that is no name.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # text that is not UTF-8, and null bytes, are ValueErrors
        raise UserError(f"{path}: can't be read ({files.first_line(error)}); expected a Python file") from None
    except SyntaxError as error:
        raise UserError(f"{path}: line {error.lineno}: {error.msg}; expected a Python file") from None
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    own = {kind: [f.removeprefix(f"{kind}_") for f in functions if f.startswith(f"{kind}_")] for kind in MODULES}
    if not any(own.values()):
        raise UserError(f"{path}: has no function norm_NAME(channels) or init_NAME(model, generator); write one")
    for kind, called in own.items():
        for name in called:
            if not re.fullmatch("[a-z][a-z0-9_]{0,49}", name):
                raise UserError(f"{path}: {kind}_{name[:60]}: expected small letters, digits and '_' after {kind}_")
            if _named(kind, name) in _built_in(kind):
                raise UserError(f"{path}: {kind}_{name}: there is a {kind} {_named(kind, name)!r} already; rename it")
    return {kind: [_named(kind, name) for name in called] for kind, called in own.items()}


def sources(norm: str, *inits: str) -> list[Path]:
    """The plug-ins that a norm and initialisations come from, each once: none for the package's own.

    Raises:
        UserError: there is no such norm or initialisation.
    """
    found = [_source("norm", norm), *(_source("init", init) for init in inits)]
    return list(dict.fromkeys(path for path in found if path is not None))


def make(kind: str, name: str) -> Callable[..., Any]:
    """The function behind a norm or an initialisation.

    Raises:
        UserError: there is none, or the plug-in fails; so does the function that is returned.
    """
    path, function = _source(kind, name), name.replace("-", "_")
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
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise _failed(path, "the file", error) from error
    return module


def _failed(path: Path, what: str, error: Exception) -> UserError:
    return UserError(f"{path}: {what} fails: {type(error).__name__}: {files.first_line(error)}")


def _source(kind: str, name: str) -> Path | None:
    if name in _built_in(kind):
        return None
    for path in paths():
        if name in found(path)[kind]:
            return path
    raise UserError(f"{kind} {name!r} is unknown; expected one of {', '.join(names(kind, paths()))}")


def _built_in(kind: str) -> list[str]:
    own = [name for name in public_functions(MODULES[kind]) if (kind, name) != ("norm", "final")]
    return [_named(kind, name) for name in own]


def _named(kind: str, function: str) -> str:
    """The config writes hyphens in the names of norms."""
    return function.replace("_", "-") if kind == "norm" else function
