"""Twelve hex digits that change when the numbers that a piece of code makes may change, and at no other time.

They come from the syntax tree of each file, so that comments, docstrings, layout, type hints and the words of messages
do not count. Snakemake has them as a rule's parameter, and checkpoints in their names: when code changes, just the jobs
that rest on it run again.
"""

import ast
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent

# Modules that decide no number: they find, check, report, store and describe. Everything else that a numeric module
# imports counts for it.
SILENT = frozenset(
    {
        *(
            "cli",
            "errors",
            "failures",
            "files",
            "fingerprint",
            "finished",
            "locks",
            "messages",
            "norm_names",
            "paper",
            "plugins",
        ),
        *("progress", "provenance", "record", "runs", "settings", "status", "tables"),
        *("training.checkpoint", "training.event_log", "training.signals"),
    }
)
SILENT_ROOMS = ("experiment", "report", "docs_pages", "benchmark", "figures", "claims")
# Fields of a syntax tree that change nothing when the code runs.
SKIPPED = ("annotation", "returns", "type_comment", "kind", "ctx", "type_params", "type_ignores", "simple")
# Calls that only say something.
SPEAKING = frozenset({"print", "warn", "Mistake", "Progress", "show"})


def numeric(modules: Sequence[str], others: Iterable[Path] = (), package: Path = PACKAGE) -> str:
    """The fingerprint of what decides numbers in these modules and their imports, data files MODULE_*.csv among them.

    Args:
        modules: dotted, relative to the package.
        others: files outside the package, which count with every byte.
        package: the package's folder, wherever it lies.
    """
    return _digest(closure(modules, is_silent, package), others, package, words=False)


def whole(modules: Sequence[str], package: Path = PACKAGE) -> str:
    """The fingerprint of modules whose words belong to their result, as a figure's labels do, and of their imports.

    What measurements compute is no part of it: the types of a config are in their modules, which is why they are
    imported.
    """
    return _digest(closure(modules, _is_measurement, package), (), package, words=True)


def _digest(paths: Iterable[str], others: Iterable[Path], package: Path, words: bool) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path}\n{_meaning((package / path).read_text('utf-8'), words)}\n".encode())
        for data in sorted((package / path).parent.glob(f"{Path(path).stem}_*.csv")):
            digest.update(data.read_bytes())
    for file in others:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


@functools.cache
def _meaning(source: str, words: bool) -> str:
    """A file's syntax tree as text, without what changes no result; the same in every version of Python."""
    tree = _parsed(source)
    return source if tree is None else "\n".join(_lines(tree, words, 0))


def _parsed(source: str) -> ast.Module | None:
    """A file's syntax tree; None where it is not Python: then every edit counts, and the job that imports it fails."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):  # of null bytes
        return None


def _lines(node: ast.AST, words: bool, depth: int) -> Iterator[str]:
    indent = " " * depth
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        node = ast.Assign([node.target], node.value)
    if not words and isinstance(node, ast.Raise):  # what is raised counts, what it says does not
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        yield f"{indent}Raise {ast.unparse(raised) if raised is not None else ''}"
        return
    if not words and isinstance(node, ast.Call) and _name_of(node.func) in SPEAKING:
        yield f"{indent}Call {_name_of(node.func)}"
        return
    yield f"{indent}{type(node).__name__}"
    for name, value in ast.iter_fields(node):
        if name in SKIPPED:
            continue
        if name == "body" and isinstance(value, list):
            value = [statement for statement in value if not _is_text(statement)]
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, ast.AST):
                yield f"{indent}.{name}"
                yield from _lines(part, words, depth + 1)
            elif part is not None:
                yield f"{indent}.{name} {part!r}"


def _is_text(statement: ast.AST) -> bool:
    """Whether a statement is nothing but text: a docstring, or the description of a field."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _name_of(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def closure(modules: Sequence[str], left_out: Callable[[str], bool], package: Path = PACKAGE) -> set[str]:
    """The files of these modules and of all that they import, directly or not, as paths below the package.

    `left_out`: whether a file, and what only such files import, is left out.
    """
    seen: set[str] = set()
    waiting = [_file_of(module, package) for module in modules]
    while waiting:
        path = waiting.pop()
        if path is None or path in seen or left_out(path):
            continue
        seen.add(path)
        waiting += [_file_of(module, package) for module in _imports((package / path).read_text("utf-8"))]
    return seen


def is_silent(path: str) -> bool:
    """Whether a file of the package, by its path below it, decides no number."""
    parts = path.removesuffix(".py").split("/")
    return ".".join(parts) in SILENT or parts[0] in SILENT_ROOMS or parts[-1] == "__init__"


def _is_measurement(path: str) -> bool:
    return path.startswith("measurements/")


def _file_of(module: str, package: Path) -> str | None:
    """The file of a dotted module, or its folder's __init__.py, as a path below the package; None if there is none."""
    place = module.replace(".", "/")
    return next((path for path in (f"{place}.py", f"{place}/__init__.py") if (package / path).is_file()), None)


@functools.cache
def _imports(source: str) -> frozenset[str]:
    """What a file imports of this package when it runs, inside functions too: dotted names, some of them no modules."""
    names: set[str] = set()
    for node in _walk(_parsed(source) or ast.Module([], [])):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE.name:
            parent = node.module.split(".")[1:]
            names |= {".".join(parent), *(".".join([*parent, alias.name]) for alias in node.names)}
    return frozenset(names)


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below, but those of `if TYPE_CHECKING:`, which never run."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    yield node
    for below in ast.iter_child_nodes(node):
        yield from _walk(below)
