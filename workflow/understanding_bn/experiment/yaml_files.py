"""Config files as blocks of keys. YAML keeps the last of two equal keys in silence; this does not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from understanding_bn.errors import UserError
from understanding_bn.files import first_line
from understanding_bn.messages import kind_of, shown

# Keys that Snakemake itself acts on when it reads a file, before the Snakefile; none is a key of ours.
OF_SNAKEMAKE = {"pathvars", "__use_yte__"}
# What reading a value raises: a number of thousands of digits, a date that there is not, a tag that does not fit.
UNREADABLE = (ValueError, OverflowError, LookupError, AttributeError, TypeError)
DEEPEST = 50  # blocks and lists in one another
MOST = 1_000_000  # values, counted again wherever an alias stands for them


def read(path: Path) -> dict[str, Any]:
    """The top-level block of a YAML file, or of a JSON file.

    Raises:
        UserError: it can't be read, is not YAML, holds something else, or has a key twice in one block.
    """
    text, node = _text(path), None
    try:
        loader = yaml.SafeLoader(text.replace("\t", " ") if _is_json(text) else text)
        node = loader.get_single_node()
        if node is None:
            raise UserError(f"{path}: an empty file; expected a block of keys, such as preset: mine")
        _check_keys(node, path)
        content = json.loads(text) if _is_json(text) else loader.construct_document(node)
        _check_size(content, path)
    except yaml.YAMLError as error:
        raise UserError(_not_yaml(path, error)) from None
    except RecursionError:
        raise UserError(_too_deep(path)) from None
    except UNREADABLE as error:
        raise UserError(f"{path}: {_unreadable(node, error)}; put it in quotes if it is text") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a block of keys, found {kind_of(content)}")
    return content


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a preset such as presets/paper.yaml") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}: line {line} is not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise UserError(f"{path}: can't be read ({error.strerror}); expected a YAML file") from None


def _is_json(text: str) -> bool:
    """Whether this is JSON, which YAML is not in all: it refuses tabs, and reads 1e-4 as text."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    """A node and all below it, each once."""
    seen, left = set(), [root]
    while left:
        node = left.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            below = node.value if isinstance(node, yaml.SequenceNode | yaml.MappingNode) else []
            left += [part for entry in below for part in (entry if isinstance(entry, tuple) else (entry,))]


def _check_keys(root: yaml.Node, path: Path) -> None:
    """Refuse a block that has a key twice."""
    for node in _nodes(root):
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else []:
            if isinstance(key, yaml.ScalarNode):
                line, name = key.start_mark.line + 1, (key.tag, key.value)
                if name in lines:
                    where = f"lines {lines[name]} and {line}" if line != lines[name] else f"line {line}"
                    raise UserError(f"{path}: key {shown(key.value)} stands twice, in {where}; expected it once")
                lines[name] = line


def _unreadable(root: yaml.Node | None, error: Exception) -> str:
    """The first value that can't be read, with its line, and why."""
    scalars = [node for node in _nodes(root) if isinstance(node, yaml.ScalarNode)] if root else []
    for node in sorted(scalars, key=lambda node: node.start_mark.index):
        try:
            yaml.SafeLoader("").construct_object(node)
        except UNREADABLE as own:
            kind = node.tag.rpartition(":")[2]
            reason = first_line(own).split(":")[0] if isinstance(own, ValueError) else f"not of the kind {kind}"
            return f"line {node.start_mark.line + 1}: {shown(node.value)} can't be read ({reason})"
    return f"a value can't be read ({first_line(error).split(':')[0]})"


def _check_size(content: Any, path: Path) -> None:
    """Refuse what is nested too deeply, or is too much: aliases can make a small file endless."""
    count, left = 0, [(content, 0)]
    while left:
        value, depth = left.pop()
        count += 1
        if depth > DEEPEST:
            raise UserError(_too_deep(path))
        if count > MOST:
            raise UserError(f"{path}: holds more than {MOST} values; expected a config")
        below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left += [(part, depth + 1) for part in below]


def _too_deep(path: Path) -> str:
    return f"{path}: blocks are nested too deeply; expected at most {DEEPEST} in one another"


def _not_yaml(path: Path, error: yaml.YAMLError) -> str:
    """What is wrong, and in which line."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or first_line(error)
    line = f" in line {mark.line + 1}" if mark else ""
    return f"{path}: not valid YAML{line} ({problem}); expected lines such as preset: mine"
