"""Single mistakes that make a valid config invalid: in type, range, spelling, and in what values mean together."""

import math
import random
import re
import unicodedata
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from strategies import FEW_NAMES, HOSTILE, NORMS, RESERVED

from understanding_bn.experiment.checks import LONGEST_SEEDS
from understanding_bn.experiment.config import IMAGES
from understanding_bn.experiment.schema import schema
from understanding_bn.settings import canonical

Config = dict[str, Any]  # a resolved one, as JSON: `config.model_dump(mode="json")`


@dataclass(frozen=True)
class Mistake:
    """One change to a valid config that makes it invalid.

    Attributes:
        kind: what sort of mistake it is.
        path: the place that is changed.
        value: what is put there; MISSING takes the key away.
        says: what the message must hold beside the path of `path`, or of what holds it.
    """

    kind: str
    path: tuple[Any, ...]
    value: Any
    says: str

    def made(self, config: dict[str, Any]) -> dict[str, Any]:
        """A copy of a config with this mistake."""
        config = deepcopy(config)
        *above, last = self.path
        place = config
        for part in above:
            place = place[part]
        if self.value is MISSING:
            del place[last]
        else:
            place[last] = self.value
        return config

    @property
    def where(self) -> str:
        """The place that the message must name."""
        path = self.path[:-1] if self.kind in ("unknown key", "missing key") else self.path
        return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".") or "(top level)"


MISSING = object()


def mistakes(config: Config) -> list[Mistake]:
    """Every mistake that can be made in a resolved config, by its schema and by what its values mean together."""
    return [*_by_schema(config, [schema()], ()), *_by_meaning(config)]


def one_of_each_kind(config: Config) -> list[Mistake]:
    """A mistake of every kind that can be made in a resolved config, at places that depend on the config alone."""
    chance = random.Random(repr(config))
    by_kind: dict[str, list[Mistake]] = {}
    for mistake in mistakes(config):
        by_kind.setdefault(mistake.kind, []).append(mistake)
    return [chance.choice(alike) for alike in by_kind.values()]


def _shown(value: Any) -> str:
    """How a message begins to show a value."""
    return repr(value)[:50]


def alternatives(part: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas of which a value must fit one, without references."""
    if "$ref" in part:
        return [schema()["$defs"][part["$ref"].rsplit("/", 1)[1]]]
    return [deeper for below in part["anyOf"] for deeper in alternatives(below)] if "anyOf" in part else [part]


def _by_schema(value: Any, allowed: list[dict[str, Any]], path: tuple[Any, ...]) -> Iterator[Mistake]:
    """The mistakes that break the schema, at this place and below; a value here must fit one that is `allowed`."""
    types = {part["type"] for part in allowed}
    for wrong in _of_another_type(types, few_names="enum" in allowed[0]):
        if path:
            yield Mistake("type", path, wrong, _shown(wrong))
    if value is None:
        return
    kind = {dict: "object", list: "array", str: "string", bool: "boolean"}.get(type(value), "number")
    fits = next(part for part in allowed if part["type"] in {kind, *(["integer"] if kind == "number" else [])})
    if isinstance(value, dict):
        yield from _of_keys(value, fits, path)
        for key, below in value.items():
            deeper = fits.get("properties", {}).get(key, fits.get("additionalProperties"))
            yield from _by_schema(below, alternatives(deeper), (*path, key))
        if fits.get("minProperties"):
            yield Mistake("empty block", path, {}, "the block is empty")
    elif isinstance(value, list):
        if fits.get("minItems"):
            yield Mistake("empty list", path, [], "empty")
        if fits.get("minItems", 0) > 1:
            yield Mistake("empty list", path, value[:1], "too short")
        if fits.get("uniqueItems") and value:
            yield Mistake("twice", path, [*value, value[0]], "twice")
        for index, below in enumerate(value):
            yield from _by_schema(below, alternatives(fits["items"]), (*path, index))
    elif isinstance(value, str):
        names = [name for name in HOSTILE if not _is_allowed(name, path)]
        for name in [*names, value[:-1] + "\n", value + "\n"] + ([value[:-1]] if path[-1] in FEW_NAMES else []):
            yield Mistake("name", path, name, _shown(name))
    elif not isinstance(value, bool):
        for wrong in _out_of_range(fits):
            yield Mistake("range", path, wrong, _shown(wrong))
        for wrong in (math.nan, math.inf, -math.inf):
            yield Mistake("not finite", path, wrong, _shown(wrong))


def _is_allowed(name: str, path: tuple[Any, ...]) -> bool:
    """Whether this name, hostile as it looks, is fine here."""
    if path == ("data_dir",):
        return name != "" and not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} or c in "{}" for c in name)
    return path in {("preset",), ("extends",)} and re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) is not None


def _of_another_type(types: set[str], few_names: bool) -> list[Any]:
    """Values of types that are not allowed where values of these are."""
    nothing = [] if "null" in types else [None]
    if types == {"array", "object"}:
        return [*nothing, "text", 3, True]
    if "array" in types:
        return [*nothing, {}, True, {"a": 1}]
    if "integer" in types:
        return [*nothing, "1e-4", "many", "7", True, [], {}, 2.5]
    if "number" in types:
        return [*nothing, "1e-4", "fast", "0.1", "1_0", True, [], {}]
    if "boolean" in types:
        return [*nothing, 0, 1, "yes", "true", []]
    if "object" in types:
        return [*nothing, [], "text", 3, [{}], False]
    return [*nothing, 3, [], {}, *([] if few_names else [2.5, True])]


def _of_keys(value: dict[str, Any], schema: dict[str, Any], path: tuple[Any, ...]) -> Iterator[Mistake]:
    """Keys that are unknown or missing."""
    known = schema.get("properties", {})
    near = [key[1:] for key in known] + [key + "s" for key in known] + [key.upper() for key in known]
    others = schema.get("additionalProperties")  # those of a norm: a number, or a list of them
    norms = NORMS if isinstance(others, dict) else []
    rate = [0.1] if isinstance(others, dict) and others["type"] == "array" else 0.1
    for key in ["nosuch", *near, *(norm[:-1] for norm in norms), *HOSTILE, 5, None, True]:
        if key not in known and key not in norms and key != "default":
            content = rate if norms else {}
            yield Mistake("unknown key", (*path, key), content, f"key {_shown(key)}")
    for key in schema.get("required", []):
        yield Mistake("missing key", (*path, key), MISSING, f"key {key!r} is missing")


def _out_of_range(schema: dict[str, Any]) -> Iterator[float]:
    """Numbers beyond the bounds of a schema."""
    if "enum" in schema:
        yield from (0, 3, 101)
    if "minimum" in schema and "exclusiveMinimum" not in schema:
        yield from (schema["minimum"] - 1, -(10**12))
    if "exclusiveMinimum" in schema:
        yield from (schema["exclusiveMinimum"], -1, -0.1, 1e-31 if "minimum" in schema else -1e-31)
    if "maximum" in schema:
        yield from (schema["maximum"] + 1, 10**30, 10**400)
    if "exclusiveMaximum" in schema:
        yield from (schema["exclusiveMaximum"], 2, 1e300)


def _by_meaning(config: dict[str, Any]) -> Iterator[Mistake]:
    """Values that are fine by themselves, and wrong beside the others or in this project."""
    yield from (Mistake("reserved", ("preset",), name, _shown(name)) for name in RESERVED)
    yield from (Mistake("count", ("seeds",), count, _shown(count)) for count in (0, -1, 1001, 10**9))
    yield Mistake("order", ("schedule", "milestones"), [0.75, 0.5], "[0.75, 0.5]")
    for name, options in made(config["trained"]):
        if options["at"]:
            path = ("trained", "measurements", name, "at", 0)
            yield Mistake("order", path, 0.123456789, "0.123456789 is no snapshot")
    if config["grid"] and len("-".join(map(str, config["seeds"]))) > LONGEST_SEEDS:
        yield Mistake("long name", ("seeds_per_job",), 1000, "1000 makes names of")
    if config["dataset"] == "digits":
        yield Mistake("range", ("subset", "train"), 1438, "1438 is more than the 1437 images that digits has")
        yield Mistake("range", ("subset", "test"), 361, "361 is more than the 360 images that digits has")
        yield Mistake("flip", ("augmentation", "flip"), True, "true")
    yield from _of_networks(config)
    jacobians = config["initialization"]["measurements"]["jacobian_conditioning"]
    if jacobians and min(jacobians["batch_size"]) < 1_000_000:
        path = ("initialization", "measurements", "jacobian_conditioning", "images")
        many = min(jacobians["batch_size"]) + 1
        yield Mistake("images", path, many, f"{many} is more than batch_size")
    yield from _of_sweeps(config["initialization"]["measurements"])


def made(block: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The measurements that a block names, with their options."""
    return [(name, options) for name, options in block["measurements"].items() if options is not None]


def _of_networks(config: dict[str, Any]) -> Iterator[Mistake]:
    """Depths that are no network's, layers beyond the last one, mini-batches larger than the data set."""
    start = config["initialization"]
    places = [("initialization", "arch")]
    places += [("grid", i, "arch", j) for i, entry in enumerate(config["grid"]) for j in range(len(entry["arch"]))]
    readings = [i for i, reading in enumerate(start["readings"]) if reading["arch"]]
    places += [("initialization", "readings", i, "arch") for i in readings]
    for path in places:
        for arch in ("resnet-9", "resnet-2", "resnet-08", "resnet-0", "resnet-110000", "vgg-16", "resnet", "resnet-"):
            yield Mistake("depth", path, arch, _shown(arch))
    depth = int(start["arch"].rsplit("-", 1)[1])
    for name, options in made(start):
        beyond = depth + (name == "channel_moments")
        path = ("initialization", "measurements", name)
        if "layer" in options:
            yield Mistake("layer", (*path, "layer"), beyond, f"layer {beyond} is too deep")
        for index in range(len(options.get("layers", []))):
            changed = (*path, "layers", index)
            yield Mistake("layer", changed, beyond + 1000, f"layer {beyond + 1000} is too deep")
    most = config["subset"]["train"] or IMAGES.get(config["dataset"], {}).get("train", math.inf)
    if most < math.inf:
        yield Mistake("batch size", ("initialization", "batch_size"), most + 1, f"{most + 1} is more than the {most}")
        for i, entry in enumerate(config["grid"]):
            for j in range(len(entry["batch_size"])):
                yield Mistake("batch size", ("grid", i, "batch_size", j), most + 1, f"{most + 1} is more than")


def _of_sweeps(options: dict[str, Any]) -> Iterator[Mistake]:
    """Sweeps that end before they begin, or have nothing in them."""
    for name, what in (("relative_loss", "step"), ("max_learning_rate", "alpha")):
        if options[name]:
            end = options[name][f"largest_{what}"]
            path = ("initialization", "measurements", name, f"smallest_{what}")
            yield Mistake("order", path, end, f"{canonical(end)} is not below largest_{what}")
