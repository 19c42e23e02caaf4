"""From files to a checked config: presets that build on one another, defaults, and mistakes in one line.

Imports neither torch nor Snakemake, because the Snakefile runs this on every start.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from understanding_bn.errors import UserError
from understanding_bn.experiment.checks import check
from understanding_bn.experiment.config import Config
from understanding_bn.experiment.explain import explain
from understanding_bn.files import first_line
from understanding_bn.messages import choice, kind_of, shown

PRESETS = Path(__file__).resolve().parent.parent.parent / "presets"
DEFAULT = PRESETS.parent.parent / "config.yaml"


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
    for layer in (_read(DEFAULT), *map(_read, bases(own)), own):
        _merge(merged, layer)
    return merged


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


def _merge(base: dict[str, Any], change: dict[str, Any]) -> None:
    """Put `change` over `base`, block by block, as Snakemake does with several config files."""
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value
