"""Single mistakes that make a valid config invalid: in type, range, spelling, and in what values mean together."""

import math
import random
import re
import unicodedata
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from strategies import FEW_NAMES, HOSTILE, NORMS, RESERVED, SCHEMA

from understanding_bn import config as configs
from understanding_bn import grid


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


def mistakes(config: dict[str, Any]) -> list[Mistake]:
    """Every mistake that can be made in a resolved config, by its schema and by what its values mean together."""
    return [*_by_schema(config, SCHEMA, ()), *_by_meaning(config)]


def one_of_each_kind(config: dict[str, Any]) -> list[Mistake]:
    """A mistake of every kind that can be made in a resolved config, at places that depend on the config alone."""
    chance = random.Random(repr(config))
    by_kind: dict[str, list[Mistake]] = {}
    for mistake in mistakes(config):
        by_kind.setdefault(mistake.kind, []).append(mistake)
    return [chance.choice(found) for found in by_kind.values()]


def _shown(value: Any) -> str:
    """How a message begins to show a value."""
    return repr(value)[:50]


def _by_schema(value: Any, schema: dict[str, Any], path: tuple[Any, ...]) -> Iterator[Mistake]:
    """The mistakes that break the schema, at this place and below."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]] | {k: v for k, v in schema.items() if k != "$ref"}
    for wrong in _of_another_type(schema):
        if path and (path[0], wrong) != ("seeds", "7"):  # on the command line, numbers in lists come as text
            yield Mistake("type", path, wrong, _shown(wrong))
    if isinstance(value, dict):
        yield from _of_keys(value, schema, path)
        for key, below in value.items():
            deeper = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            yield from _by_schema(below, deeper, (*path, key))
    elif isinstance(value, list):
        if schema.get("minItems"):
            yield Mistake("empty list", path, [], "empty")
        if schema.get("minItems", 0) > 1:
            yield Mistake("empty list", path, value[:1], "too short")
        if schema.get("uniqueItems") and value:
            yield Mistake("twice", path, [*value, value[0]], "twice")
        for index, below in enumerate(value):
            yield from _by_schema(below, schema["items"], (*path, index))
    elif isinstance(value, str):
        names = [name for name in HOSTILE if not _is_allowed(name, path)]
        for name in [*names, value[:-1] + "\n", value + "\n"] + ([value[:-1]] if path[-1] in FEW_NAMES else []):
            yield Mistake("name", path, name, _shown(name))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        for wrong in _out_of_range(schema):
            yield Mistake("range", path, wrong, _shown(wrong))
        for wrong in (math.nan, math.inf, -math.inf):
            yield Mistake("not finite", path, wrong, _shown(wrong))


def _is_allowed(name: str, path: tuple[Any, ...]) -> bool:
    """Whether this name, hostile as it looks, is fine here."""
    if path == ("data_dir",):
        return name != "" and not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} or c in "{}" for c in name)
    return path in {("preset",), ("extends",)} and re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) is not None


def _of_another_type(schema: dict[str, Any]) -> list[Any]:
    """Values of types that are not allowed here."""
    kind = schema.get("type")
    if kind == "integer":
        return ["1e-4", "many", "7", True, None, [], {}, 2.5]
    if kind == "number":
        return ["1e-4", "fast", "0.1", "1_0", True, None, [], {}]
    if kind == "boolean":
        return [0, 1, "yes", "true", None, []]
    if kind == "array":
        return [{}, None, True, {"a": 1}]
    if kind == "object":
        return [None, [], "text", 3, [{}], False]
    if kind == "string":
        return [3, 2.5, True, None, [], {}]
    if kind == ["string", "null"]:
        return [3, True, [], {}]
    return [3, None, [], {}]  # one of a few names


def _of_keys(value: dict[str, Any], schema: dict[str, Any], path: tuple[Any, ...]) -> Iterator[Mistake]:
    """Keys that are unknown or missing."""
    known = schema.get("properties", {})
    near = [key[1:] for key in known] + [key + "s" for key in known] + [key.upper() for key in known]
    norms = NORMS if isinstance(schema.get("additionalProperties"), dict) else []
    for key in ["nosuch", *near, *(norm[:-1] for norm in norms), *HOSTILE, 5, None, True]:
        if key not in known and key not in norms and key != "default":
            content = 0.1 if norms else {}
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
    for probe, options in config["trained"]["probes"].items():
        if options["at"]:
            yield Mistake("order", ("trained", "probes", probe, "at", 0), 0.123456789, "0.123456789 is no snapshot")
    if config["claims"]["middle_alpha"] < 1000:
        yield Mistake("order", ("claims", "small_alpha"), 1000, "1000 is more than middle_alpha")
    if config["grid"] and len("-".join(map(str, config["seeds"]))) > configs.LONGEST_SEEDS:
        yield Mistake("long name", ("seeds_per_job",), 1000, "1000 makes names of")
    if config["dataset"] == "digits":
        yield Mistake("range", ("subset", "train"), 1438, "1438 is more than the 1437 images that digits has")
        yield Mistake("range", ("subset", "test"), 361, "361 is more than the 360 images that digits has")
        yield Mistake("flip", ("augmentation", "flip"), True, "true")
    yield from _of_networks(config)
    jacobians = config["initialization"]["probes"].get("jacobian_conditioning")
    if jacobians and jacobians["batch_size"] < 1_000_000:
        path = ("initialization", "probes", "jacobian_conditioning", "images")
        many = jacobians["batch_size"] + 1
        yield Mistake("images", path, many, f"{many} is more than batch_size")
    yield from _of_sweeps(config["initialization"]["probes"])


def _of_networks(config: dict[str, Any]) -> Iterator[Mistake]:
    """Depths that are no network's, layers beyond the last one, mini-batches larger than the data set."""
    start = config["initialization"]
    places = [("initialization", "arch")]
    places += [("grid", i, "arch", j) for i, entry in enumerate(config["grid"]) for j in range(len(entry["arch"]))]
    places += [("initialization", "readings", i, "arch") for i in range(len(start["readings"]))]
    for path in places:
        for arch in ("resnet-9", "resnet-2", "resnet-08", "resnet-0", "resnet-110000", "vgg-16", "resnet", "resnet-"):
            yield Mistake("depth", path, arch, _shown(arch))
    depth = int(start["arch"].rsplit("-", 1)[1])
    for probe, options in start["probes"].items():
        beyond = depth + (probe == "channel_moments")
        path = ("initialization", "probes", probe)
        if "layer" in options:
            yield Mistake("layer", (*path, "layer"), beyond, f"layer {beyond} is too deep")
        for index in range(len(options.get("layers", []))):
            changed = (*path, "layers", index)
            yield Mistake("layer", changed, beyond + 1000, f"layer {beyond + 1000} is too deep")
    most = grid.images(config, "train")
    if most < math.inf:
        yield Mistake("batch size", ("initialization", "batch_size"), most + 1, f"{most + 1} is more than the {most}")
        for i, entry in enumerate(config["grid"]):
            for j in range(len(entry["batch_size"])):
                yield Mistake("batch size", ("grid", i, "batch_size", j), most + 1, f"{most + 1} is more than")


def _of_sweeps(probes: dict[str, Any]) -> Iterator[Mistake]:
    """Sweeps that end before they begin, or have nothing in them."""
    for probe, what in (("relative_loss", "step"), ("max_learning_rate", "alpha")):
        if probe in probes:
            end = probes[probe][f"largest_{what}"]
            yield Mistake("order", ("initialization", "probes", probe, f"smallest_{what}"), end, _shown(end))
