"""From files to a checked config: presets that build on one another, defaults, and mistakes in one line.

Imports neither torch nor Snakemake, because the Snakefile runs this on every start.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from understanding_bn.errors import UserError
from understanding_bn.experiment.checks import check
from understanding_bn.experiment.config import Config, InitialMeasurements, TrainedMeasurements, as_block
from understanding_bn.experiment.explain import explain
from understanding_bn.files import first_line
from understanding_bn.messages import choice, kind_of, shown

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
    return complete(_read(preset) if preset else {})


def complete(own: dict[str, Any]) -> dict[str, Any]:
    """The keys that a preset or a command line sets, merged over the presets that it builds on and config.yaml.

    Raises:
        UserError: a preset is missing, builds on itself or is not YAML.
    """
    merged: dict[str, Any] = {}
    known: dict[str, Any] = {}  # the last options that each measurement had
    for layer in (_read(DEFAULT), *map(_read, bases(own)), own):
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
        name = _read(path).get("extends")
    return paths


def _read(path: Path) -> dict[str, Any]:
    """The top-level block of a YAML file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; give a preset such as {PRESETS.name}/paper.yaml") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({first_line(error)})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a block of keys, found {kind_of(content)}")
    return content


def _merged(base: Any, change: Any) -> Any:
    """`change` over `base`: blocks key by key, as Snakemake does with several config files; all else replaces."""
    if not (isinstance(base, dict) and isinstance(change, dict)):
        return change
    return base | {key: _merged(base.get(key), value) for key, value in change.items()}
