"""The config: checked against its schema, and completed with defaults; what it asks for is in `grid`.

Imports neither torch nor Snakemake, because the Snakefile runs this on every start.
"""

import functools
import math
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from understanding_bn import architecture, plugins
from understanding_bn.complaints import choice, explain, path_of, shown, type_of
from understanding_bn.errors import UserError
from understanding_bn.files import first_line
from understanding_bn.grid import IMAGES, cells, images, readings, seed_blocks

PRESETS = Path(__file__).resolve().parent.parent / "presets"
SCHEMA = PRESETS.parent / "schemas" / "config.schema.yaml"
DEFAULT = PRESETS.parent.parent / "config.yaml"
LONGEST_SEEDS = 200  # characters in the name of a job's folder


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
            raise UserError(f"config key extends: {shown(name)} is no preset; expected {choice(name, known)}")
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
    schema = _schema()
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(config))
    if errors:
        first = min(errors, key=lambda e: (len(e.absolute_path), str(e.absolute_path)))
        raise UserError(explain(first, schema["$defs"]))
    config = _with_defaults(config, schema, schema["$defs"])
    for path, value in _leaves(config, ()):
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"config key {path_of(path)}: {value} is not a finite number, expected one")
    for check in (
        _check_names,
        _check_layers,
        _check_batch_sizes,
        _check_images,
        _check_order,
        _check_moments,
        _check_search,
        _check_seeds,
    ):
        check(config)
    return config


@functools.cache
def _schema() -> dict[str, Any]:
    """The schema of the config. Every caller gets the same, so none may change it."""
    return yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


def _read(path: Path) -> dict[str, Any]:
    """The top-level block of a YAML file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a preset such as {PRESETS.name}/paper.yaml") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({first_line(error)})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a block of keys, found {type_of(content)}")
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
            raise UserError(
                f"config key seeds: {shown(seeds)} is too few; give at least 1, or a list such as [0, 1, 2]"
            )
        if seeds > 1000:
            raise UserError(
                f"config key seeds: {shown(seeds)} is too many; give at most 1000, or a list such as [0, 1, 2]"
            )
        config["seeds"] = list(range(seeds))
    elif isinstance(seeds, list):  # on Snakemake's command line, lists come as text
        config["seeds"] = [int(s) if isinstance(s, str) and re.fullmatch("[0-9]{1,20}", s) else s for s in seeds]
    if isinstance(config.get("plugins"), str):
        config["plugins"] = [config["plugins"]]
    grid = config.get("grid")
    for entry in grid if isinstance(grid, list) else []:
        if isinstance(entry, dict):
            for key in ("arch", "init", "norm", "alpha", "batch_size"):
                if key in entry and not isinstance(entry[key], list):
                    entry[key] = [entry[key]]
    return config


def _with_defaults(value: Any, schema: dict[str, Any], shared: dict[str, Any]) -> Any:
    """A copy of `value` with its schema's default for every missing key, and whole numbers written as such."""
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
    # JSON Schema counts 64.0 as whole. In a path, or on a job's command line, it would not be one.
    return int(value) if schema.get("type") == "integer" else value


def _leaves(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every scalar in a nested config, with its path."""
    if isinstance(value, dict | list):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(below, (*path, key))
    else:
        yield path, value


def _named(config: dict[str, Any], kind: str) -> Iterator[tuple[str, str]]:
    """Every place in a config that names an `arch`, `init` or `norm`, and the name there."""
    keys = (kind, f"{kind}s")
    for path, value in _leaves({key: config[key] for key in ("initialization", "grid", "trained")}, ()):
        if path[-1] in keys or (isinstance(path[-1], int) and path[-2] in keys):
            yield path_of(path), value


def _check_names(config: dict[str, Any]) -> None:
    """Norms, initialisations and architectures must exist; a digit must not be mirrored."""
    plugged = [Path(name) for name in config["plugins"]]
    for position, path in enumerate(plugged):
        try:
            plugins.found(path)
        except UserError as error:
            raise UserError(f"config key plugins[{position}]: {error}") from None
    known = {kind: plugins.names(kind, plugged) for kind in plugins.MODULES}
    for kind, allowed in known.items():
        if twice := next((name for name in allowed if allowed.count(name) > 1), None):
            raise UserError(f"config key plugins: {kind} {twice!r} is in two of them; rename one")
    for kind, allowed in known.items():
        for where, name in _named(config, kind):
            if name not in allowed:
                raise UserError(f"config key {where}: {shown(name)} is unknown; expected {choice(name, allowed)}")
    for where, name in _named(config, "arch"):
        try:
            architecture.parse(name)
        except UserError as error:
            raise UserError(f"config key {where}: {str(error).removeprefix('arch: ')}") from None
    rates = config["initialization"]["probes"].get("relative_loss", {"alpha": {}})["alpha"]
    for norm in rates:
        if norm not in (allowed := ["default", *known["norm"]]):
            where = "initialization.probes.relative_loss.alpha"
            raise UserError(f"config key {where}: key {shown(norm)} is unknown; expected {choice(norm, allowed)}")
    if config["dataset"] == "digits" and config["augmentation"]["flip"]:
        raise UserError("config key augmentation.flip: true, but a mirrored digit is another sign; set it to false")


def _check_layers(config: dict[str, Any]) -> None:
    """Layers must lie in every network that they are measured in, and where a kernel is meant be convolutions."""
    trained = config["trained"]["probes"].items()
    shallowest = min((cell.arch for cell in cells(config)), key=architecture.depth, default=None)
    for probe, options in trained if shallowest else ():
        top = architecture.depth(shallowest)
        for position, layer in enumerate(options.get("layers", [])):
            if layer > top:
                raise UserError(
                    f"config key trained.probes.{probe}.layers[{position}]: layer {layer} is too deep; expected 1 to "
                    f"{top} in {shown(shallowest)[1:-1]}, the grid's shallowest"
                )
    start = config["initialization"]
    for probe, options in start["probes"].items():
        read = [arch for arch, _ in readings(config)] if probe in ("channel_moments", "gradient_sums") else []
        shallowest = min([start["arch"], *read], key=architecture.depth)
        top = architecture.depth(shallowest) - (probe != "channel_moments")
        for path, layer in _leaves({key: options[key] for key in ("layer", "layers") if key in options}, ()):
            if layer > top:
                where = path_of(("initialization", "probes", probe, *path))
                raise UserError(
                    f"config key {where}: layer {layer} is too deep; expected 1 to {top} in {shown(shallowest)[1:-1]}"
                )


def _check_batch_sizes(config: dict[str, Any]) -> None:
    """What is drawn from the images cannot be more than there are, where that is known beforehand."""
    for split, there in IMAGES.get(config["dataset"], {}).items():
        if images(config, split) > there:
            raise UserError(
                f"config key subset.{split}: {images(config, split)} is more than the {there} images that "
                f"{config['dataset']} has; expected at most {there}"
            )
    most = images(config, "train")
    for path, size in _leaves({key: config[key] for key in ("initialization", "grid")}, ()):
        key = next(part for part in reversed(path) if isinstance(part, str))
        if key in ("batch_size", "batch_sizes") and size > most:
            raise UserError(
                f"config key {path_of(path)}: {size} is more than the {most} training images of {config['dataset']}; "
                f"expected at most {most}"
            )
    noise = config["initialization"]["probes"].get("gradient_noise")
    if noise and sorted(noise["batch_sizes"])[1] * noise["minibatches"] > most:
        raise UserError(
            f"config key initialization.probes.gradient_noise.minibatches: {noise['minibatches']} of two batch sizes "
            f"must come from one epoch of {most} images; expected at most {most // sorted(noise['batch_sizes'])[1]}"
        )


def _check_images(config: dict[str, Any]) -> None:
    """Images to be measured must be in the mini-batch that they are taken from."""
    jacobians = config["initialization"]["probes"].get("jacobian_conditioning")
    if jacobians and jacobians["images"] > jacobians["batch_size"]:
        raise UserError(
            f"config key initialization.probes.jacobian_conditioning.images: {jacobians['images']} is more than "
            f"batch_size, expected at most {jacobians['batch_size']}"
        )


def _check_order(config: dict[str, Any]) -> None:
    """What ascends by its meaning must do so."""
    for probe, what in (("relative_loss", "step"), ("max_learning_rate", "alpha")):
        sweep = config["initialization"]["probes"].get(probe)
        if sweep and sweep[f"smallest_{what}"] >= sweep[f"largest_{what}"]:
            raise UserError(
                f"config key initialization.probes.{probe}.smallest_{what}: {sweep[f'smallest_{what}']} is not below "
                f"largest_{what}, expected less than {sweep[f'largest_{what}']}"
            )
    milestones = config["schedule"]["milestones"]
    if milestones != sorted(milestones):
        raise UserError(f"config key schedule.milestones: {shown(milestones)} do not ascend; write them in order")
    roles = config["claims"]
    for smaller, larger in (("small", "middle"), ("middle", "large")):
        if roles[f"{smaller}_alpha"] > roles[f"{larger}_alpha"]:
            raise UserError(
                f"config key claims.{smaller}_alpha: {roles[f'{smaller}_alpha']} is more than {larger}_alpha; "
                f"expected at most {roles[f'{larger}_alpha']}"
            )


def _check_moments(config: dict[str, Any]) -> None:
    """Networks can be measured only at moments at which their weights were kept."""
    kept = sorted({0, 1, *config["snapshots"]})
    for probe, options in config["trained"]["probes"].items():
        for position, share in enumerate(options["at"]):
            if share not in kept:
                raise UserError(
                    f"config key trained.probes.{probe}.at[{position}]: {share} is no snapshot; expected one of "
                    f"{kept}, or add it to snapshots"
                )


def _check_search(config: dict[str, Any]) -> None:
    """The search for the largest learning rate needs one to try: see `analysis.max_learning_rate.grid`."""
    search = config["initialization"]["probes"].get("max_learning_rate")
    if not search:
        return
    first, last = (search["steps_per_decade"] * math.log10(search[f"{end}_alpha"]) for end in ("smallest", "largest"))
    if math.ceil(first - 1e-9) > math.floor(last + 1e-9):
        raise UserError(
            f"config key initialization.probes.max_learning_rate.steps_per_decade: {search['steps_per_decade']} puts "
            f"no learning rate between {search['smallest_alpha']} and {search['largest_alpha']}; expected more steps"
        )


def _check_seeds(config: dict[str, Any]) -> None:
    """The seeds of one job name its folder and its log, and a file system takes names of 255 bytes."""
    longest = max(len("-".join(map(str, block))) for block in seed_blocks(config))
    if config["grid"] and longest > LONGEST_SEEDS:
        raise UserError(
            f"config key seeds_per_job: {config['seeds_per_job']} makes names of {longest} digits for these seeds, "
            f"which files cannot have; expected fewer seeds in a job, for at most {LONGEST_SEEDS} digits"
        )
