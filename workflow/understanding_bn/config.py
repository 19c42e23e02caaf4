"""The config: checked against its schema, completed with defaults, and turned into cells.

Imports neither torch nor Snakemake, because the Snakefile runs this on every start.
"""

import difflib
import itertools
import math
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from understanding_bn import architecture
from understanding_bn.cell import Cell
from understanding_bn.errors import UserError
from understanding_bn.files import first_line
from understanding_bn.provenance import public_functions

PRESETS = Path(__file__).resolve().parent.parent / "presets"
SCHEMA = PRESETS.parent / "schemas" / "config.schema.yaml"
DEFAULT = PRESETS.parent.parent / "config.yaml"
TYPES = {"string": "text", "integer": "a whole number", "number": "a number", "array": "a list"}
TYPES |= {"object": "a block of keys", "boolean": "true or false", "null": "nothing"}


def bases(config: dict[str, Any]) -> list[Path]:
    """The preset files that a config builds on by its key `extends`, the one that all others change first.

    Raises:
        UserError: there is no such preset, or it builds on itself.
    """
    found: list[Path] = []
    known = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    name = config.get("extends")
    while name is not None:
        if name not in known:
            raise UserError(f"config key extends: {name!r} is no preset; expected {_choice(str(name), known)}")
        path = PRESETS / f"{name}.yaml"
        if path in found:
            raise UserError(f"config key extends: {name!r} builds on itself")
        found.insert(0, path)
        name = _read(path).get("extends")
    return found


def load(preset: Path | None) -> dict[str, Any]:
    """A preset file as Snakemake reads it: over config.yaml and over the presets that it builds on, not yet resolved.

    Raises:
        UserError: the file is missing or is not YAML.
    """
    own = _read(preset) if preset else {}
    complete: dict[str, Any] = {}
    for layer in (_read(DEFAULT), *map(_read, bases(own)), own):
        _merge(complete, layer)
    return complete


def resolve(config: dict[str, Any]) -> dict[str, Any]:
    """A complete config: one value where lists are meant becomes a list, defaults are filled in, all is checked.

    Raises:
        UserError: one line that names the key, its value and what is allowed.
    """
    config = _with_lists(deepcopy(config))
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(config))
    if errors:
        raise UserError(_explain(min(errors, key=lambda e: (len(e.absolute_path), str(e.absolute_path)))))
    config = _with_defaults(config, schema, schema["$defs"])
    for path, value in _leaves(config, ""):
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"config key {path}: {value} is not a finite number")
    _check_names(config)
    _check_layers(config)
    return config


def canonical(alpha: float) -> str:
    """A learning rate as the decimal that names it in paths: 0.1, 0.0001, 3; never with an exponent."""
    text = f"{Decimal(repr(float(alpha))):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def names(module: str) -> list[str]:
    """The config's names for a module's public functions; the names of norms have hyphens."""
    found = public_functions(module)
    if module == "models.norms":
        found = [name.replace("_", "-") for name in found if name != "final"]
    return found


def cells(config: dict[str, Any]) -> list[Cell]:
    """The cells of a resolved config's grid, in order, each once."""
    found: dict[Cell, None] = {}
    for entry in config["grid"]:
        factors = (entry[key] for key in ("arch", "init", "norm", "alpha", "batch_size"))
        for arch, init, norm, alpha, batch_size in itertools.product(*factors):
            epochs = max(1, round(entry["epochs"] * config["epochs_fraction"]))
            found[Cell(arch, init, norm, canonical(alpha), batch_size, epochs)] = None
    return list(found)


def seed_blocks(config: dict[str, Any]) -> list[list[int]]:
    """The seeds of a resolved config, in blocks of one job each."""
    size = config["seeds_per_job"]
    return [config["seeds"][i : i + size] for i in range(0, len(config["seeds"]), size)]


def networks(config: dict[str, Any], probe: str, norm: str) -> list[tuple[str, str]]:
    """The (arch, init) that a measurement is made on: the preset's own, and those that it varies, one at a time.

    Initialisations are varied only without normalisation: the claim about them is made there.
    """
    start = config["initialization"]
    own = (start["arch"], start["init"])
    options = start["probes"][probe]
    varied = [(arch, own[1]) for arch in options.get("archs", [])]
    varied += [(own[0], init) for init in options.get("inits", []) if norm == "none"]
    return list(dict.fromkeys([own, *varied]))


def options(config: dict[str, Any], probe: str) -> dict[str, Any]:
    """What a measurement itself is told: its block of the config without the networks."""
    block = config["initialization"]["probes"][probe]
    return {key: value for key, value in block.items() if key not in ("archs", "inits")}


def readings(config: dict[str, Any]) -> list[tuple[str, str]]:
    """The (arch, init) of the preset's network and of every other reading of the paper that is set beside it."""
    start = config["initialization"]
    own = {"arch": start["arch"], "init": start["init"]}
    found = [own, *(own | reading for reading in start["readings"])]
    return list(dict.fromkeys((reading["arch"], reading["init"]) for reading in found))


def _read(path: Path) -> dict[str, Any]:
    """The top-level block of a YAML file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a preset such as {PRESETS.name}/paper.yaml") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({first_line(error)})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a block of keys, found {_type_of(content)}")
    return content


def _merge(base: dict[str, Any], change: dict[str, Any]) -> None:
    """Put `change` over `base`, block by block, as Snakemake does with several config files."""
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _with_lists(config: dict[str, Any]) -> dict[str, Any]:
    """Wrap single values where the schema wants lists, and count seeds out."""
    seeds = config.get("seeds")
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if seeds < 1:
            raise UserError(f"config key seeds: {seeds} is too few; give at least 1, or a list such as [0, 1, 2]")
        if seeds > 1000:
            raise UserError(f"config key seeds: {seeds} is too many; give at most 1000, or a list such as [0, 1, 2]")
        config["seeds"] = list(range(seeds))
    elif isinstance(seeds, list):  # on Snakemake's command line, lists come as text
        config["seeds"] = [int(s) if isinstance(s, str) and s.isdecimal() else s for s in seeds]
    for entry in config.get("grid") or []:
        if isinstance(entry, dict):
            for key in ("arch", "init", "norm", "alpha", "batch_size"):
                if key in entry and not isinstance(entry[key], list):
                    entry[key] = [entry[key]]
    return config


def _with_defaults(value: Any, schema: dict[str, Any], shared: dict[str, Any]) -> Any:
    """A copy of `value` in which every missing key has its schema's default."""
    if "$ref" in schema:
        schema = shared[schema["$ref"].rsplit("/", 1)[1]] | {k: v for k, v in schema.items() if k != "$ref"}
    if isinstance(value, dict) and "properties" in schema:
        complete = {}
        for key, below in schema["properties"].items():
            if key in value or "default" in below:
                complete[key] = _with_defaults(value.get(key, deepcopy(below.get("default"))), below, shared)
        return complete
    if isinstance(value, list) and "items" in schema:
        return [_with_defaults(item, schema["items"], shared) for item in value]
    return value


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every scalar in a nested config, with its path."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _leaves(below, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _leaves(below, f"{path}[{index}]")
    else:
        yield path, value


def _explain(error: jsonschema.ValidationError) -> str:
    """One line for one schema error: key, value, what is allowed."""
    path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path).lstrip(".")
    where, value, rule = f"config key {path or '(top level)'}", repr(error.instance), error.validator_value
    if len(value) > 60:
        value = value[:57] + "..."
    match error.validator:
        case "additionalProperties":
            known = sorted(error.schema.get("properties", {}))
            unknown = next(key for key in error.instance if key not in known)
            return f"{where}: key {unknown!r} is unknown; expected {_choice(str(unknown), known)}"
        case "required":
            missing = next(key for key in rule if key not in error.instance)
            return f"{where}: key {missing!r} is missing"
        case "type":
            wanted = " or ".join(TYPES[t] for t in ([rule] if isinstance(rule, str) else rule))
            hint = ""
            if isinstance(error.instance, str) and "number" in wanted and _is_number(error.instance):
                hint = f"; YAML takes {error.instance} as text, write {canonical(float(error.instance))}"
            return f"{where}: {value} is {_type_of(error.instance)}, expected {wanted}{hint}"
        case "enum":
            return f"{where}: {value} is unknown; expected {_choice(str(error.instance), [str(r) for r in rule])}"
        case "not":
            return f"{where}: {value} is reserved; choose another name"
        case "pattern":
            return f"{where}: {value} is not allowed; expected {error.schema.get('description')} matching {rule}"
        case "exclusiveMinimum":
            return f"{where}: {value} is too small; expected more than {rule}"
        case "minimum":
            return f"{where}: {value} is too small; expected at least {rule}"
        case "exclusiveMaximum":
            return f"{where}: {value} is too large; expected less than {rule}"
        case "maximum":
            return f"{where}: {value} is too large; expected at most {rule}"
        case "minItems":
            return f"{where}: the list is empty; expected at least {rule} value"
        case "uniqueItems":
            return f"{where}: {value} names a value twice; expected each once"
    return f"{where}: {error.message}"


def _check_names(config: dict[str, Any]) -> None:
    """Norms, initialisations and architectures must exist; a digit must not be mirrored."""
    start = config["initialization"]
    uses = [("initialization", start["norms"], [start["init"]], [start["arch"]])]
    search = start["probes"].get("max_learning_rate", {})
    where = "initialization.probes.max_learning_rate"
    uses += [(where, [], search.get("inits", []), search.get("archs", []))]
    for i, reading in enumerate(start["readings"]):
        where = f"initialization.readings[{i}]"
        given = ([reading[key]] if key in reading else [] for key in ("init", "arch"))
        uses += [(where, [], *given)]
    uses += [(f"grid[{i}]", e["norm"], e["init"], e["arch"]) for i, e in enumerate(config["grid"])]
    known_norms, known_inits = names("models.norms"), names("models.initializations")
    for where, norms, inits, archs in uses:
        for kind, given, known in (("norm", norms, known_norms), ("init", inits, known_inits)):
            for name in given:
                if name not in known:
                    raise UserError(f"config key {where}.{kind}: {name!r} is unknown; expected {_choice(name, known)}")
        for arch in archs:
            try:
                architecture.parse(arch)
            except UserError as error:
                raise UserError(f"config key {where}.{error}") from None
    if config["dataset"] == "digits" and config["augmentation"]["flip"]:
        raise UserError("config key augmentation.flip: true, but a mirrored digit is another sign; set it to false")


def _check_layers(config: dict[str, Any]) -> None:
    """Layers must lie in the network, and where a kernel is meant they must be convolutions."""
    start = config["initialization"]
    depth = architecture.depth(start["arch"])
    for probe, options in start["probes"].items():
        top = depth if probe == "channel_moments" else depth - 1
        for layer in options.get("layers", [options["layer"]] if "layer" in options else []):
            if layer > top:
                raise UserError(
                    f"config key initialization.probes.{probe}: layer {layer} is too deep; "
                    f"expected 1 to {top} in {start['arch']}"
                )
    for probe, what in (("relative_loss", "step"), ("max_learning_rate", "alpha")):
        sweep = start["probes"].get(probe)
        if sweep and sweep[f"smallest_{what}"] >= sweep[f"largest_{what}"]:
            raise UserError(
                f"config key initialization.probes.{probe}.smallest_{what}: {sweep[f'smallest_{what}']} is not below "
                f"largest_{what}, {sweep[f'largest_{what}']}"
            )
    milestones = config["schedule"]["milestones"]
    if milestones != sorted(milestones):
        raise UserError(f"config key schedule.milestones: {milestones} do not ascend; write them in order")


def _choice(given: str, known: list[str]) -> str:
    """The allowed names, with a guess at what was meant."""
    near = difflib.get_close_matches(given, known, n=1)
    return f"one of {', '.join(known)}" + (f" (did you mean {near[0]!r}?)" if near else "")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _type_of(value: Any) -> str:
    if value is None:
        return "empty"
    kinds = {bool: "true or false", str: "text", int: "a whole number", float: "a number", list: "a list"}
    return kinds.get(type(value), "a block of keys")
