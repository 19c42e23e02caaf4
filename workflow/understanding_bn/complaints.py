"""What is said about a value in the config that is not allowed: one line with its key, itself and what is."""

import difflib
import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import jsonschema

TYPES = {"string": "text", "integer": "a whole number", "number": "a number", "array": "a list"}
TYPES |= {"object": "a block of keys", "boolean": "true or false", "null": "nothing"}
LONGEST = 60  # characters of a value that are shown


def shown(value: Any) -> str:
    """A value as Python writes it, on one line and cut where it gets long."""
    try:
        text = repr(value)
    except ValueError:  # whole numbers of more than 4300 digits are not written
        text = "a number of thousands of digits"
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def choice(given: Any, known: Iterable[str]) -> str:
    """The allowed names, with a guess at what was meant."""
    known = list(known)
    near = difflib.get_close_matches(str(given)[:LONGEST], known, n=1)
    return f"one of {', '.join(known)}" + (f" (did you mean {near[0]!r}?)" if near else "")


def type_of(value: Any) -> str:
    """What kind of value this is, in words."""
    if value is None:
        return "empty"
    kinds = {bool: "true or false", str: "text", int: "a whole number", float: "a number", list: "a list"}
    kinds |= {dict: "a block of keys"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def path_of(parts: Iterable[str | int]) -> str:
    """A place in the config as messages name it: grid[0].alpha[1]."""
    return "".join(f".{part}" if _is_plain(part) else f"[{shown(part)}]" for part in parts).lstrip(".")


def _is_plain(part: str | int) -> bool:
    """Whether this is a key that can be shown as it is: not the place in a list, nor a name with line breaks."""
    return isinstance(part, str) and re.fullmatch(rf"[\w-]{{1,{LONGEST}}}", part) is not None


def explain(error: jsonschema.ValidationError, shared: dict[str, Any]) -> str:
    """One line for one schema error: key, value, what is allowed. `shared` are the schema's definitions."""
    where = f"config key {path_of(error.absolute_path) or '(top level)'}"
    value, rule, schema = shown(error.instance), error.validator_value, error.schema
    match error.validator:
        case "additionalProperties":
            known = sorted(schema.get("properties", {}))
            unknown = next(key for key in error.instance if key not in known)
            expected = choice(unknown, known) if known else "no keys"
            return f"{where}: key {shown(unknown)} is unknown; expected {expected}"
        case "required":
            missing = next(key for key in rule if key not in error.instance)
            below = schema.get("properties", {}).get(missing) or schema["additionalProperties"]
            below = shared[below["$ref"].rsplit("/", 1)[1]] if "$ref" in below else below
            expected = _wanted(below["type"]) if "type" in below else choice(missing, below["enum"])
            return f"{where}: key {missing!r} is missing; expected {expected}"
        case "minProperties":
            return f"{where}: the block is empty; expected {' or '.join(schema['properties'])} in it"
        case "type":
            wanted = schema.get("allowed") if rule == "array" else None
            wanted = wanted or _wanted(rule)
            return f"{where}: {value} is {type_of(error.instance)}, expected {wanted}{_hint(error.instance, wanted)}"
        case "enum":
            return f"{where}: {value} is unknown; expected {choice(error.instance, map(str, rule))}"
        case "not":
            return f"{where}: {value} is reserved; choose another name, expected none of {', '.join(rule['enum'])}"
        case "pattern":
            return f"{where}: {value} is not allowed; expected {schema['allowed']}"
        case "minLength":
            return f"{where}: {value} is too short; expected at least {rule} character"
        case "maxLength":
            return f"{where}: {value} is too long; expected at most {rule} characters"
        case "exclusiveMinimum":
            return f"{where}: {value} is too small; expected more than {rule}"
        case "minimum":
            return f"{where}: {value} is too small; expected at least {rule}"
        case "exclusiveMaximum":
            return f"{where}: {value} is too large; expected less than {rule}"
        case "maximum":
            return f"{where}: {value} is too large; expected at most {rule}"
        case "minItems":
            few = "the list is empty" if not error.instance else f"{value} is too short"
            return f"{where}: {few}; expected at least {rule} value{'s' if rule > 1 else ''}"
        case "uniqueItems":
            return f"{where}: {value} names a value twice; expected each once"
    raise NotImplementedError(f"no words for the schema's keyword {error.validator!r}")


def canonical(alpha: float) -> str:
    """A learning rate as the decimal that names it in paths: 0.1, 0.0001, 3; never with an exponent."""
    text = f"{Decimal(repr(float(alpha))):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _wanted(types: str | list[str]) -> str:
    """A schema's type or types, in words."""
    return " or ".join(TYPES[name] for name in ([types] if isinstance(types, str) else types))


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
