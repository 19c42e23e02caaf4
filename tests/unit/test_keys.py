"""The reference of keys: the committed files are what the models say, and other programs can use them."""

import json
import re

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from strategies import valid_configs

from understanding_bn import architecture, cli, plugins
from understanding_bn.docs_pages import keys
from understanding_bn.experiment import load
from understanding_bn.experiment.config import Config
from understanding_bn.experiment.schema import schema

ROOT = load.DEFAULT.parent
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
PAGE = ROOT / "docs/config.md"
COMMITTED = jsonschema.Draft202012Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))
REPEATABLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


def test_the_committed_files_are_what_the_models_say(tmp_path):
    cli.main(["keys", "--schema", str(tmp_path / "schema.yaml"), "--page", str(tmp_path / "page.md")])
    assert (tmp_path / "schema.yaml").read_text(encoding="utf-8") == SCHEMA.read_text(encoding="utf-8")
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")


def test_the_committed_schema_is_json_schema_and_says_what_the_config_is_checked_against():
    assert COMMITTED.schema == schema()
    jsonschema.Draft202012Validator.check_schema(COMMITTED.schema)
    assert json.loads(json.dumps(COMMITTED.schema)) == COMMITTED.schema


def every_part(part):
    """A schema and all those in it."""
    inner = [*part.get("properties", {}).values(), *part.get("$defs", {}).values(), *part.get("anyOf", [])]
    inner += [part[key] for key in ("items", "additionalProperties") if isinstance(part.get(key), dict)]
    return [part, *(deeper for below in inner for deeper in every_part(below))]


def test_every_keyword_is_one_of_the_standards():
    vocabularies = set(jsonschema.Draft202012Validator.VALIDATORS) | {"$schema", "$defs", "description", "default"}
    assert {keyword for part in every_part(schema()) for keyword in part} <= vocabularies
    for part in every_part(schema()):  # bounds do nothing where they do not fit the type
        fitting = {"minItems": "array", "minLength": "string", "minimum": ("integer", "number"), "required": "object"}
        assert all(part["type"] in kind for keyword, kind in fitting.items() if keyword in part), part


@pytest.mark.parametrize("path", [load.DEFAULT, *sorted(load.PRESETS.glob("*.yaml"))], ids=lambda path: path.stem)
def test_every_preset_fits_the_committed_schema(path):
    raw = load.load(path)
    COMMITTED.validate(raw)
    COMMITTED.validate(load.resolve(raw).model_dump(mode="json"))


def test_every_valid_config_fits_the_committed_schema():
    """Those that only hold with YAML's own numbers: seeds as text come from a command line, and no file."""

    @settings(max_examples=60, phases=[Phase.generate], **REPEATABLE)
    @given(valid_configs())
    def check(config):
        COMMITTED.validate(config)

    check()


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"sedes": 3}, []),
        ({"seeds": 0}, ["seeds"]),
        ({"seeds": [1, 1]}, ["seeds"]),
        ({"seeds_per_job": 0}, ["seeds_per_job"]),
        ({"dataset": "mnist"}, ["dataset"]),
        ({"preset": "a/b"}, ["preset"]),
        ({"preset": "reference"}, ["preset"]),
        ({"augmentation": {"pad": 65}}, ["augmentation", "pad"]),
        ({"optimiser": {"momentum": 1}}, ["optimiser", "momentum"]),
        ({"epochs_fraction": 0}, ["epochs_fraction"]),
        ({"grid": [{"norm": "batch", "epochs": 1}]}, ["grid", 0]),
        ({"grid": [{"norm": "batch", "alpha": "1e-4", "epochs": 1}]}, ["grid", 0, "alpha"]),
        ({"grid": [{"norm": "batch", "alpha": 1e-31, "epochs": 1}]}, ["grid", 0, "alpha"]),
        ({"grid": [{"norm": [], "alpha": 0.1, "epochs": 1}]}, ["grid", 0, "norm"]),
        ({"initialization": {}}, ["initialization"]),
        ({"initialization": {"readings": [{}], "measurements": {}}}, ["initialization", "readings", 0]),
        (
            {"initialization": {"measurements": {"logit_gradients": {"layer": 3}}}},
            ["initialization", "measurements"],  # a block or a list, and it fits neither
        ),
    ],
)
def test_the_committed_schema_finds_mistakes(change, place):
    (error,) = COMMITTED.iter_errors(load.load(None) | change)
    assert list(error.absolute_path) == place


def test_every_key_has_a_description():
    parts = {"Config": schema()} | schema()["$defs"]
    assert len(parts) > 25
    keys_of_blocks = [(name, key) for part in parts.values() for name, key in part["properties"].items()]
    itself = [(name, key) for name, key in keys_of_blocks if "$ref" not in json.dumps(key)]
    for name, part in [*parts.items(), *itself]:
        text = part.get("description", "")
        assert re.fullmatch(r"[A-Z`].{8,}\.", text) or text in {"Norms.", "Networks."}, (name, text)


def headings(page):
    """Where links to the page can lead, as GitHub makes them of its headings."""
    titles = re.findall("^#+ (.+)$", page, re.M)
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


def test_every_link_of_the_page_leads_somewhere():
    page = PAGE.read_text(encoding="utf-8")
    anchors = headings(page)
    assert len(set(anchors)) == len(anchors)
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert len(links) > 40
    for link in links:
        assert link[1:] in anchors if link.startswith("#") else (PAGE.parent / link).exists(), link


def test_the_page_describes_every_key_of_every_block():
    page = PAGE.read_text(encoding="utf-8")
    paths = []

    def visit(model, path):
        for name, field in model.model_fields.items():
            paths.append([*path, name])
            for part in [field.annotation, *getattr(field.annotation, "__args__", ())]:
                if hasattr(part, "model_fields"):
                    visit(part, [*path, name])

    visit(Config, [])
    assert len(paths) > 100
    for *block, name in paths:
        _, _, after = page.partition(f"### `{'.'.join(block)}`\n" if block else "## All keys\n")
        section = after.split("\n#")[0]
        assert re.search(rf"^\| \[?`{name}`", section, re.M), (block, name)


def test_the_page_names_every_network_norm_and_initialisation():
    names = PAGE.read_text(encoding="utf-8").split("## Names")[1].split("## All keys")[0]
    for name in [*(f"{family}-D" for family in architecture.SHORTCUTS), *plugins.names("norm"), *plugins.names("init")]:
        assert f"`{name}`" in names


def test_the_example_of_the_page_is_a_config():
    (example,) = re.findall("```yaml\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.S)
    config = load.resolve(load.complete(yaml.safe_load(example)))
    assert config.preset == "mine"
    assert config.initialization.measurements.gradient_noise is None


@pytest.mark.parametrize(
    ("part", "name", "words"),
    [
        ({"type": "integer", "minimum": 2, "maximum": 20_000}, "size", "whole number from 2 to 20,000"),
        ({"type": "integer", "minimum": 1}, "size", "whole number at least 1"),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "momentum", "number at least 0 and below 1"),
        (
            {"type": "number", "exclusiveMinimum": 0, "minimum": 1e-30, "maximum": 1},
            "alpha",
            "number above 0 and at most 1",
        ),
        ({"type": "boolean"}, "flip", "true or false"),
        ({"enum": ["a", "b", "c"]}, "site", "`a`, `b` or `c`"),
        ({"type": "string"}, "init", "[initialisation](#names)"),
        (
            {"type": "array", "minItems": 2, "uniqueItems": True, "items": {"type": "integer", "minimum": 1}},
            "sizes",
            "list of two or more different whole numbers at least 1",
        ),
        ({"type": "array", "items": {"type": "string"}}, "norms", "list of [norms](#names)"),
        (
            {"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}, {"type": "null"}]},
            "x",
            "number, or a list of them",
        ),
    ],
)
def test_kinds_of_values_in_words(part, name, words):
    assert keys.kind(part, name) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "`true`"), (None, ""), ({}, ""), ([0.5, 1], "`[0.5, 1]`"), (1.0, "`1`"), ("batch", "`batch`"), (0, "`0`")],
)
def test_defaults_as_yaml_has_them(value, text):
    assert keys.default(value) == text
    assert text == "" or yaml.safe_load(text.strip("`")) == value
