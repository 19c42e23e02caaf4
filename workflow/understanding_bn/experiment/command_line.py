"""Values of Snakemake's option --config, which gives those within blocks and lists as text."""

import re
from typing import Any

import yaml

from understanding_bn.experiment.schema import alternatives, below, schema

WHOLE = r"[+-]?\d{1,300}"
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?"
WORDS = {"true": True, "false": False}


def typed(given: dict[str, Any]) -> dict[str, Any]:
    """The same with numbers, true, false, null, blocks and lists where the config has them at that place.

    Text that fits nothing stays as it is: resolving the config says what is wrong with it.
    """
    return _typed(given, [schema()])


def _typed(value: Any, allowed: list[dict[str, Any]]) -> Any:
    """A value for a place where one of some schemas is allowed."""
    if isinstance(value, dict):
        return {key: _typed(part, _deeper(allowed, key)) for key, part in value.items()}
    if isinstance(value, list):
        return [_typed(part, _deeper(allowed, position)) for position, part in enumerate(value)]
    types = {part.get("type") for part in allowed}
    if isinstance(value, str):
        return _read(value, types, allowed)
    if type(value) is int and "string" in types and not types & {"integer", "number"}:
        return str(value)  # such as preset=2024
    return value


def _deeper(allowed: list[dict[str, Any]], part: str | int) -> list[dict[str, Any]]:
    """What is allowed at a key, or at a position of a list."""
    return [deeper for place in allowed if (found := below(place, part)) for deeper in alternatives(found)]


def _read(text: str, types: set[Any], allowed: list[dict[str, Any]]) -> Any:
    """Text as what may stand there."""
    if "null" in types and (text in ("null", "None") or ("string" not in types and text in ("", "~"))):
        return None
    if "boolean" in types and text.lower() in WORDS:
        return WORDS[text.lower()]
    if types & {"integer", "number"} and re.fullmatch(NUMBER, text, re.IGNORECASE):
        return int(text) if re.fullmatch(WHOLE, text) else float(text)
    if "string" not in types and types & {"array", "object"}:
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            return text
        return _typed(value, allowed) if isinstance(value, dict | list) else text
    return text
