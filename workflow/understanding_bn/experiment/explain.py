"""One line for a mistake in the config: the key, the value, and what is expected there."""

import functools
import math
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from understanding_bn.experiment.config import Config
from understanding_bn.messages import choice, kind_of, place, shown
from understanding_bn.settings import ALLOWED, canonical

TYPES = {"string": "text", "integer": "a whole number", "number": "a number", "array": "a list"}
TYPES |= {"object": "a block of keys", "boolean": "true or false", "null": "nothing"}
# What a value of the wrong type was expected to be, by pydantic's name of the error.
WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "a block of keys",
    "model_attributes_type": "a block of keys",
    "dict_type": "a block of keys",
}


def explain(error: ValidationError) -> str:
    """One line for the mistake that lies least deep in the config.

    Every keyword of the models has its words here; `test_every_kind_of_mistake_has_words` sees to it.
    """
    details = error.errors(include_url=False)
    first = min(details, key=lambda detail: (len(detail["loc"]), str(detail["loc"])))
    return _line(first)


def _line(error: ErrorDetails) -> str:
    kind, parts, context = error["type"], tuple(error["loc"]), error.get("ctx", {})
    if kind in ("extra_forbidden", "missing", "invalid_key"):
        where = f"config key {place(parts[:-1]) or '(top level)'}"
        return f"{where}: {_about_a_key(kind, parts, error['input'])}"
    where, value = f"config key {place(parts) or '(top level)'}", shown(error["input"])
    match kind:
        case "literal_error":
            names = [str(name) for name in _schema_at(parts).get("enum", [context.get("expected")])]
            return f"{where}: {value} is unknown; expected {choice(error['input'], names)}"
        case "reserved":
            return f"{where}: {value} is reserved; choose another name, expected {error['msg']}"
        case "string_pattern_mismatch":
            return f"{where}: {value} is not allowed; expected {ALLOWED[context['pattern']]}"
        case "string_unicode" | "not_allowed":
            return f"{where}: {value} is not allowed; expected {_allowed(parts, error['msg'])}"
        case "string_too_short":
            return f"{where}: {value} is too short; expected at least {context['min_length']} character"
        case "string_too_long":
            return f"{where}: {value} is too long; expected at most {context['max_length']} characters"
        case "greater_than":
            return f"{where}: {value} is too small; expected more than {context['gt']:g}"
        case "greater_than_equal":
            return f"{where}: {value} is too small; expected at least {_plain(context['ge'])}"
        case "too_small":
            return f"{where}: {value} is too small; expected {error['msg']}"
        case "less_than":
            return f"{where}: {value} is too large; expected less than {context['lt']:g}"
        case "less_than_equal":
            return f"{where}: {value} is too large; expected at most {_plain(context['le'])}"
        case "not_finite" | "finite_number":
            return f"{where}: {value} is not a finite number, expected one"
        case "too_short":
            few = "the list is empty" if not error["input"] else f"{value} is too short"
            least = context["min_length"]
            return f"{where}: {few}; expected at least {least} value{'s' if least > 1 else ''}"
        case "twice":
            return f"{where}: {value} names a value twice; expected each once"
        case "count":
            return f"{where}: {value} is too {error['msg']}"
        case "empty_block":
            return f"{where}: the block is empty; expected {error['msg']}"
        case "not_a_list":
            return f"{where}: {value} is {kind_of(error['input'])}, expected {error['msg']}"
    if kind == "float_type" and isinstance(error["input"], int) and not isinstance(error["input"], bool):
        bound = _schema_at(parts)["maximum"] if error["input"] > 0 else 0  # a whole number that no float can hold
        size = "large; expected at most" if error["input"] > 0 else "small; expected at least"
        return f"{where}: {value} is too {size} {bound:g}"
    if kind in WANTED:
        wanted = WANTED[kind] + (" or nothing" if _may_be_nothing(parts) else "")
        return f"{where}: {value} is {kind_of(error['input'])}, expected {wanted}{_hint(error['input'], wanted)}"
    raise NotImplementedError(f"no words for pydantic's error {kind!r}")


def _about_a_key(kind: str, parts: tuple[Any, ...], value: Any) -> str:
    """What is wrong with a key that is missing, or that there is not."""
    known = _schema_at(parts[:-1]).get("properties", {})
    if kind == "missing":
        schema = _resolved(known[parts[-1]])
        wanted = choice(parts[-1], schema["enum"]) if "enum" in schema else TYPES.get(schema.get("type", ""), "a value")
        return f"key {parts[-1]!r} is missing; expected {wanted}"
    expected = choice(parts[-1], sorted(known)) if known else "no keys"
    return f"key {shown(parts[-1])} is unknown; expected {expected}"


@functools.cache
def _schema() -> dict[str, Any]:
    """The JSON schema of the config. Every caller gets the same, so none may change it."""
    return Config.model_json_schema()


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without reference, and of one that also allows null the other half."""
    if "anyOf" in schema:
        schema = next(part for part in schema["anyOf"] if part.get("type") != "null") | {"nullable": True}
    if "$ref" in schema:
        schema = schema | _schema()["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def _schema_at(parts: tuple[Any, ...]) -> dict[str, Any]:
    """The schema of a place in the config; empty where there is none."""
    schema: dict[str, Any] = _schema()
    for part in parts:
        below = schema.get("items") if isinstance(part, int) else schema.get("properties", {}).get(part)
        schema = _resolved(below if isinstance(below, dict) else schema.get("additionalProperties") or {})
    return schema


def _may_be_nothing(parts: tuple[Any, ...]) -> bool:
    return bool(_schema_at(parts).get("nullable"))


def _allowed(parts: tuple[Any, ...], otherwise: str) -> str:
    """What may stand where a pattern is required, for text that could not be compared with it."""
    return ALLOWED.get(_schema_at(parts).get("pattern", ""), otherwise)


def _plain(bound: float) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _hint(value: Any, wanted: str) -> str:
    """How to write what was taken as text: a number such as 1e-4 in YAML, true after --config; else nothing."""
    if not isinstance(value, str):
        return ""
    if "true or false" in wanted and value.lower() in ("true", "false"):
        return f"; write {value.title()}, without quotes"
    if "number" not in wanted:
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    plain = canonical(number)
    return f"; YAML takes {shown(value)} as text, write {shown(plain)[1:-1]}" + (" unquoted" if plain == value else "")
