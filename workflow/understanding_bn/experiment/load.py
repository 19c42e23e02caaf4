"""From files to a checked config: presets that build on one another, defaults, and mistakes in one line.

Imports neither torch nor Snakemake, because the Snakefile runs this on every start.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from understanding_bn.errors import UserError
from understanding_bn.experiment.checks import check
from understanding_bn.experiment.command_line import typed
from understanding_bn.experiment.config import Config, InitialMeasurements, TrainedMeasurements, as_block
from understanding_bn.experiment.explain import explain
from understanding_bn.experiment.yaml_files import read
from understanding_bn.messages import choice, shown

PRESETS = Path(__file__).resolve().parent.parent.parent / "presets"
DEFAULT = PRESETS.parent.parent / "config.yaml"
# The names of the measurements that a block can have.
MEASUREMENTS = {"initialization": [*InitialMeasurements.model_fields], "trained": [*TrainedMeasurements.model_fields]}


def resolve(raw: dict[str, Any]) -> Config:
    """A complete config: single values become lists where lists are expected, defaults are filled in, all is checked.

    Raises:
        UserError: one line that names the key, its value and what is allowed.
    """
    config = _typed(raw)
    check(config)
    return config


def named(preset: str) -> Config:
    """The config of a preset: quick, one of workflow/presets, or a file of one's own, whose name ends in .yaml.

    Raises:
        UserError: there is no such preset, or it has a mistake.
    """
    if preset.endswith(".yaml"):
        return resolve(load(Path(preset)))
    known = ["quick", *sorted(path.stem for path in PRESETS.glob("*.yaml"))]
    if preset not in known:
        raise UserError(f"{shown(preset)} is no preset; expected {choice(preset, known)}, or a file that ends in .yaml")
    return resolve(load(None if preset == "quick" else PRESETS / f"{preset}.yaml"))


def restored(resolved: dict[str, Any]) -> Config:
    """A config that was resolved when its run started, as results/PRESET/config.json keeps it.

    It is without its plug-ins: their files may be gone, and what they added is in the results.

    Raises:
        UserError: it is none of this version; one line that names the key.
    """
    return _typed(resolved | {"plugins": []})


def _typed(raw: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise UserError(explain(error)) from None


def load(preset: Path | None) -> dict[str, Any]:
    """A preset file merged over the presets that it builds on and over config.yaml, not yet resolved.

    Raises:
        UserError: the file is missing or is not YAML.
    """
    return complete(read(preset) if preset else {})


def own(files: Sequence[Path], given: dict[str, Any]) -> list[dict[str, Any]]:
    """The blocks of keys that a run of Snakemake sets, each over those before it.

    Snakemake merges them too, but drops what its merging can't hold, such as {} in place of a number.

    Args:
        files: what its option --configfile names.
        given: what its option --config sets, with text for numbers that are not at the top.

    Raises:
        UserError: see `yaml_files.read`.
    """
    return [*map(read, files), typed(given)]


def complete(*own: dict[str, Any]) -> dict[str, Any]:
    """Blocks of keys, each over those before it, merged over the presets that they build on and config.yaml.

    Raises:
        UserError: a preset is missing, builds on itself or is not YAML.
    """
    merged: dict[str, Any] = {}
    known: dict[str, Any] = {}  # the last options that each measurement had
    extending = [layer for layer in own if "extends" in layer]
    for layer in (read(DEFAULT), *map(read, bases(extending[-1] if extending else {})), *own):
        layer = {block: _replacing(block, value, known) for block, value in layer.items()}
        merged = _merged(merged, layer)
        known = _merged(known, {block: _options(value) for block, value in layer.items()})
    return merged


def _replacing(block: str, value: Any, known: dict[str, Any]) -> Any:
    """A block whose list of measurements, where it has one, becomes a block that removes all others with null.

    Options that the list does not give are those that the measurement had last.
    """
    measured = value.get("measurements") if isinstance(value, dict) else None
    if block not in MEASUREMENTS or not (isinstance(measured, list | tuple) or measured == {}):
        return value
    try:
        listed = as_block(measured)
    except PydanticCustomError:  # resolving says what is wrong
        return value
    kept = {name: _merged(known.get(block, {}).get(name, {}), options) for name, options in listed.items()}
    return value | {"measurements": dict.fromkeys(MEASUREMENTS[block]) | kept}


def _options(block: Any) -> dict[str, Any]:
    """The measurements of a block, without those that it removes."""
    measured = block.get("measurements") if isinstance(block, dict) else None
    return {name: options for name, options in measured.items() if options} if isinstance(measured, dict) else {}


def bases(config: dict[str, Any]) -> list[Path]:
    """The preset files that a config builds on by its key `extends`; each changes those before it.

    Raises:
        UserError: there is no such preset, or it builds on itself.
    """
    paths: list[Path] = []
    known = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    name = config.get("extends")
    while name is not None:
        if name not in known:
            raise UserError(f"config key extends: {shown(name)} is no preset; expected {choice(name, known)}")
        path = PRESETS / f"{name}.yaml"
        if path in paths:
            raise UserError(f"config key extends: {name!r} builds on itself")
        paths.insert(0, path)
        name = read(path).get("extends")
    return paths


def _merged(base: Any, change: Any) -> Any:
    """`change` over `base`: blocks key by key, as Snakemake does with several config files; all else replaces."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    return base | {key: _merged(base.get(key), value) for key, value in change.items()}
