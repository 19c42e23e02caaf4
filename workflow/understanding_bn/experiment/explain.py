"""One line for a mistake in the config: the key, the value, and what is expected there."""

import math
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from understanding_bn.experiment.schema import alternatives, below, schema
from understanding_bn.messages import choice, kind_of, place, shown
from understanding_bn.settings import ALLOWED, canonical

TYPES = {"string": "text", "integer": "a whole number", "number": "a number", "array": "a list"}
TYPES |= {"object": "a block of keys", "boolean": "true or false", "null": "nothing"}
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "more than"}
BOUNDS |= {"maximum": "at most", "exclusiveMaximum": "less than"}
ABOUT_KEYS = ("missing", "extra_forbidden", "invalid_key")
# What a value of the wrong type was expected to be, by pydantic's name of the error.
WANTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "a block of keys",
}
# What is said of other errors: `said` is the message that a check of ours raises, other names are pydantic's.
WORDS = {
    "reserved": "{value} is reserved; choose another name, expected {said}",
    "not_allowed": "{value} is not allowed; expected {said}",
    "string_too_short": "{value} is too short; expected at least {min_length} character",
    "string_too_long": "{value} is too long; expected at most {max_length} characters",
    "greater_than": "{value} is too small; expected more than {gt}",
    "greater_than_equal": "{value} is too small; expected at least {ge}",
    "less_than": "{value} is too large; expected less than {lt}",
    "less_than_equal": "{value} is too large; expected at most {le}",
    "not_finite": "{value} is not a finite number, expected one",
    "twice": "{value} names a value twice; expected each once",
    "count": "{value} is too {said}",
    "empty_block": "the block is empty; expected {said}",
    "in_list": "{said}",
    "length": "{said}",
    "not_a_list": "{value} is {kind}, expected {said}",
}


def explain(error: ValidationError) -> str:
    """One line for the mistake that lies least deep in the config."""
    details = error.errors(include_url=False)
    first = min(details, key=lambda detail: (len(_place(detail)), str(_place(detail))))
    return f"config key {place(_place(first)) or '(top level)'}: {_words(first)}"


def _place(error: ErrorDetails) -> tuple[Any, ...]:
    """The place that a message names: of a key that is missing or unknown, the block around it."""
    parts = tuple(error["loc"])
    return parts[:-1] if error["type"] in ABOUT_KEYS else parts


def _words(error: ErrorDetails) -> str:
    """What is wrong at that place, and what is expected there."""
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    value, allowed = shown(given), _alternatives_at(tuple(error["loc"]))
    if kind in ABOUT_KEYS:
        return _about_a_key(error)
    if kind == "string_unicode" and "object" in _all(allowed, "type"):  # half of a surrogate pair as a key
        return f"key {value} is unknown; expected {_known_keys(allowed)}"
    if kind in WORDS:
        bounds = {name: _plain(bound) for name, bound in context.items()}
        return WORDS[kind].format(**{"value": value, "kind": kind_of(given), "said": error["msg"]} | bounds)
    if kind == "literal_error":
        return f"{value} is unknown; expected {choice(given, _all(allowed, 'enum'))}"
    if kind == "too_short":
        few, least = "the list is empty" if not given else f"{value} is too short", context["min_length"]
        return f"{few}; expected at least {least} value{'s' if least > 1 else ''}"
    if kind in ("string_pattern_mismatch", "string_unicode"):  # the latter is half of a surrogate pair
        patterns = [ALLOWED[part["pattern"]] for part in allowed if "pattern" in part]
        names = [choice(given, part["enum"]) for part in allowed if "enum" in part]
        return f"{value} is not allowed; expected {[*patterns, *names, 'text that UTF-8 can hold'][0]}"
    if kind == "float_type" and isinstance(given, int) and not isinstance(given, bool):  # no float can hold it
        return f"{value} is too {_bound(allowed, upper=given > 0)}"
    listed = ["a list"] if kind == "model_type" and "array" in _all(allowed, "type") else []
    wanted = " or ".join([WANTED[kind], *listed, *(["nothing"] if "null" in _all(allowed, "type") else [])])
    return f"{value} is {kind_of(given)}, expected {wanted}{_hint(given, wanted)}"


def _about_a_key(error: ErrorDetails) -> str:
    """What is wrong with a key that is missing, or that there is not."""
    *block, key = error["loc"]
    if error["type"] == "missing":
        missing = _alternatives_at(error["loc"])
        kinds = " or ".join(TYPES[name] for name in _all(missing, "type"))
        return f"key {key!r} is missing; expected {choice('', names) if (names := _all(missing, 'enum')) else kinds}"
    if error["type"] == "invalid_key":  # it is no text
        key = error["input"]
    return f"key {shown(key)} is unknown; expected {_known_keys(_alternatives_at(tuple(block)), key)}"


def _known_keys(blocks: list[dict[str, Any]], given: Any = "") -> str:
    """The keys that a block may have, with a guess at which was meant."""
    known = sorted(_all(blocks, "properties"))
    return choice(given, known) if known else "no keys"


def _alternatives_at(parts: tuple[Any, ...]) -> list[dict[str, Any]]:
    """Those of a place in the config; none where there is no such place."""
    places = [schema()]
    for part in parts:
        steps = [below(place, part) for place in places]
        places = [deeper for step in steps if step for deeper in alternatives(step)]
    return places


def _all(alternatives: list[dict[str, Any]], keyword: str) -> list[str]:
    """What all of them list or name by a keyword, as text."""
    values = [part[keyword] for part in alternatives if keyword in part]
    return [str(name) for value in values for name in ([value] if isinstance(value, str) else value)]


def _bound(alternatives: list[dict[str, Any]], upper: bool) -> str:
    """The bound that a number is beyond, in words."""
    size, names = ("large", ("maximum", "exclusiveMaximum")) if upper else ("small", ("exclusiveMinimum", "minimum"))
    name, bound = next((name, part[name]) for name in names for part in alternatives if name in part)
    return f"{size}; expected {BOUNDS[name]} {_plain(bound)}"


def _plain(bound: Any) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _hint(value: Any, wanted: str) -> str:
    """How to write what was taken as text: a number such as 1e-4 in YAML, true after --config; else nothing."""
    if wanted.startswith("text") and isinstance(value, int | float) and not isinstance(value, bool):
        return "; put it in quotes, in a config file"
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
