"""The JSON schema of the config: for editors and other programs, for messages, and for the reference of its keys."""

import functools
from typing import Any

from understanding_bn.experiment.config import Config

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# What pydantic calls a bound where a function checks the value too, and the schema's word for it.
BOUNDS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}
# The order in which a reader wants the keywords; all others follow.
ORDER: tuple[str, ...] = (
    "$schema",
    "description",
    "$ref",
    "type",
    "anyOf",
    "items",
    "enum",
    "minimum",
    "exclusiveMinimum",
    "maximum",
)
ORDER += ("exclusiveMaximum", "minLength", "maxLength", "pattern", "minItems", "uniqueItems", "not", "default")
ORDER += ("additionalProperties", "minProperties", "required", "properties")


@functools.cache
def schema() -> dict[str, Any]:
    """What a config may be, as JSON Schema 2020-12. Every caller gets the same, so none may change it.

    It knows neither the names of norms and initialisations, which plug-ins add to, nor what must fit together.
    """
    return _standard({"$schema": DIALECT} | Config.model_json_schema())


def _standard(part: dict[str, Any]) -> dict[str, Any]:
    """A schema in standard keywords only, in order, and without titles, which repeat the keys."""
    standard: dict[str, Any] = {}
    for keyword, value in part.items():
        match keyword:
            case "title":
                continue
            case "properties" | "$defs":
                value = {name: _standard(below) for name, below in value.items()}
            case "anyOf":
                value = [_standard(choice) for choice in value]
            case "items" | "additionalProperties" if isinstance(value, dict):
                value = _standard(value)
            case "minLength" if part.get("type") == "array":
                keyword = "minItems"
            case "default" if any("$ref" in choice for choice in (part, *part.get("anyOf", ()))) and value:
                value = {}  # a block's keys have their defaults where the block is described
        standard[BOUNDS.get(keyword, keyword)] = value
    return dict(sorted(standard.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER)))


def alternatives(part: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas of which a value must fit one, without references."""
    if "$ref" in part:
        part = part | schema()["$defs"][part["$ref"].rsplit("/", 1)[1]]
    return [deeper for below in part["anyOf"] for deeper in alternatives(below)] if "anyOf" in part else [part]


def below(block: dict[str, Any], part: str | int) -> Any:
    """The schema of a key of a block, or of a list's values; false or nothing where there is none."""
    if isinstance(part, int):
        return block.get("items")
    return block.get("properties", {}).get(part, block.get("additionalProperties"))
