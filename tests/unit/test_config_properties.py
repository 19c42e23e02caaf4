"""Any config: valid ones are accepted and name their cells, invalid ones are refused with one line that helps."""

import re
from collections import Counter

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from mistakes import mistakes, one_of_each_kind
from strategies import HOSTILE, valid_configs

from understanding_bn import architecture
from understanding_bn.cell import Cell
from understanding_bn.errors import UserError
from understanding_bn.experiment import explain, load, plan
from understanding_bn.experiment.checks import measurements
from understanding_bn.experiment.config import IMAGES
from understanding_bn.experiment.load import resolve
from understanding_bn.experiment.schema import schema
from understanding_bn.measurements import max_learning_rate
from understanding_bn.settings import canonical

ROOT = load.DEFAULT.parent
# The same configs on every run: a test that fails today must fail tomorrow.
REPEATABLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
REPEATABLE["phases"] = [Phase.generate]  # a failure says enough as it is, and to shrink one takes minutes
ALLOWED = re.compile(r"\b(expected|write|give|set it)\b")


def wildcards():
    """What Snakemake lets each wildcard be, from the rules."""
    text = (ROOT / "workflow/rules/common.smk").read_text()
    return dict(re.findall(r'^    (\w+)="(.+)",$', text.split("wildcard_constraints:")[1], re.M))


def cell_pattern():
    """The paths of cells that Snakemake recognises, with a group for each wildcard."""
    patterns = {name: f"(?P<{name}>{pattern})" for name, pattern in wildcards().items()}
    return re.compile(re.sub(r"\\?\{(\w+)\\?\}", lambda m: patterns[m[1]], re.escape(Cell.PATTERN)))


def assert_one_helpful_line(message):
    assert message.isprintable()  # so on one line, and without anything that a terminal would take as a command
    assert ALLOWED.search(message), message
    assert len(message) < 600


def test_every_valid_config_is_accepted_and_names_its_cells():
    pattern, limits = cell_pattern(), wildcards()
    seen, jobs = set(), Counter()

    @settings(max_examples=150, **REPEATABLE)
    @given(valid_configs())
    def check(config):
        resolved = resolve(config)
        assert resolve(resolved.model_dump(mode="json")) == resolved
        cells = plan.cells(resolved)
        paths = [cell.path for cell in cells]
        assert len(set(paths)) == len(cells)
        for cell, path in zip(cells, paths, strict=True):
            match = pattern.fullmatch(path)
            assert match
            factors = cell.factors | {"alpha": canonical(cell.alpha)}
            assert match.groupdict() == {key: str(value) for key, value in factors.items()}
            assert float(match["alpha"]) == cell.alpha
            assert all(len(part.encode()) < 200 for part in path.split("/"))
        for block in plan.seed_blocks(resolved):
            name = "-".join(map(str, block))
            assert re.fullmatch(limits["seeds"], name)
            assert not cells or len(f"seeds-{name}.benchmark.tsv") < 255
        for name in measurements(resolved.initialization.measurements):
            assert re.fullmatch(limits["measurement"], name)
        jobs["cells"] += len(cells)
        seen.add(repr(config))

    check()
    assert len(seen) >= 120
    assert jobs["cells"] >= 200


def test_every_mistake_is_refused_with_one_line_that_helps():
    seen, kinds = set(), Counter()

    @settings(max_examples=80, **REPEATABLE)
    @given(valid_configs())
    def check(config):
        config = resolve(config).model_dump(mode="json")
        for mistake in one_of_each_kind(config):
            wrong = mistake.made(config)
            with pytest.raises(UserError) as caught:
                resolve(wrong)
            message = str(caught.value)
            assert_one_helpful_line(message)
            assert re.match(rf"config key {re.escape(mistake.where)}(\[0\])?: ", message), (mistake, message)
            assert mistake.says in message, (mistake, message)
            assert "write 0.0001" in message or mistake.value != "1e-4" or "number" not in message
            seen.add(repr(wrong))
            kinds[mistake.kind] += 1

    check()
    print(f"{len(seen)} distinct invalid configs: {dict(kinds)}")
    assert len(seen) >= 300
    expected = {"type", "range", "not finite", "empty list", "twice", "name", "unknown key", "missing key", "reserved"}
    expected |= {"empty block", "count", "order", "long name", "flip", "depth", "layer", "batch size", "images"}
    assert set(kinds) == expected, kinds


def quick(**changes):
    return yaml.safe_load((ROOT / "config.yaml").read_text()) | changes


def start(**changes):
    """The default preset, with changes to what is measured at initialisation."""
    return quick(initialization=quick()["initialization"] | changes)


def search(**changes):
    options = {"batch_size": 8, "updates": 5, "smallest_alpha": 0.1, "largest_alpha": 1, "steps_per_decade": 1}
    return start(measurements={"max_learning_rate": options | changes})


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        (quick(grid=5), ["grid: 5 is a whole number, expected a list"]),
        (quick(grid=True), ["grid: True is true or false, expected a list"]),
        (quick(seeds="three"), ["seeds: 'three' is text, expected a list of whole numbers, or how many"]),
        (quick(seeds=10**5000), ["seeds: a number of thousands of digits is too many"]),
        (quick(seeds=["1" * 5000]), ["seeds[0]: '111", "expected a whole number"]),
        (quick(seeds=1000, seeds_per_job=1000), ["seeds_per_job: 1000 makes names of 3889 digits"]),
        (
            start(readings=[{"arch": "resnet-20"}], measurements={"channel_moments": {"layers": [6, 18, 30]}}),
            ["channel_moments.layers[2]: layer 30 is too deep", "1 to 20 in resnet-20"],
        ),
        (
            start(readings=[{"arch": "resnet-20"}], measurements={"gradient_sums": {"layers": [18, 20]}}),
            ["gradient_sums.layers[1]: layer 20 is too deep", "1 to 19 in resnet-20"],
        ),
        (
            search(smallest_alpha=0.2, largest_alpha=0.9),
            ["max_learning_rate.steps_per_decade: 1 puts no learning rate between 0.2 and 0.9"],
        ),
        (search(batch_size=1438), ["max_learning_rate.batch_size: 1438 is more than the 1437 training images"]),
        (
            start(measurements={"gradient_noise": {"batch_sizes": [8, 2000], "minibatches": 4, "alphas": [0.1, 1]}}),
            ["gradient_noise.batch_sizes[1]: 2000 is more than the 1437 training images of digits"],
        ),
    ],
)
def test_values_that_a_job_would_die_of_are_refused_before_it_starts(config, parts):
    with pytest.raises(UserError) as caught:
        resolve(config)
    assert_one_helpful_line(str(caught.value))
    for part in parts:
        assert part in str(caught.value)


def test_a_reading_that_only_logits_are_compared_in_may_be_shallow():
    measured = {"gradient_histogram": {"layer": 100, "minibatches": 2}, "logit_gradients": {}}
    assert resolve(start(readings=[{"arch": "resnet-8"}], measurements=measured))


@pytest.mark.parametrize(("smallest", "largest", "steps"), [(0.2, 0.9, 1), (0.1, 0.9, 1), (0.2, 1, 1), (0.2, 0.9, 2)])
def test_the_search_is_refused_just_where_its_grid_is_empty(smallest, largest, steps):
    config = search(smallest_alpha=smallest, largest_alpha=largest, steps_per_decade=steps)
    if max_learning_rate.grid(smallest, largest, steps):
        assert resolve(config)
    else:
        with pytest.raises(UserError, match="puts no learning rate"):
            resolve(config)


def test_training_images_are_counted_right(raw_digits):
    assert IMAGES["digits"] == {"train": len(raw_digits.train_labels), "test": len(raw_digits.test_labels)}


def test_whole_numbers_stay_whole_where_yaml_reads_64_point_0():
    entry = {"norm": "batch", "alpha": 1, "batch_size": 64.0, "epochs": 2.0, "arch": "resnet-8"}
    resolved = resolve(quick(grid=[entry], seeds=[0.0, 3.0]))
    assert plan.cells(resolved)[0].path == "resnet-8/xavier_uniform/norm-batch/alpha-1/batch-64/epochs-2"
    assert [str(seed) for seed in resolved.seeds] == ["0", "3"]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_of_bases_and_networks_are_one_line(name):
    with pytest.raises(UserError) as caught:
        load.bases({"extends": name})
    assert_one_helpful_line(str(caught.value))
    with pytest.raises(UserError) as caught:
        architecture.parse(name)
    assert_one_helpful_line(str(caught.value))


PLAIN = resolve(quick()).model_dump(mode="json")


def test_every_mistake_that_the_default_preset_can_have_has_words():
    """All of them, not one of each kind: pydantic has an error for each kind of value at each kind of place."""
    several = 0
    for mistake in mistakes(PLAIN | {"extends": "paper", "data_dir": "images"}):
        with pytest.raises(UserError) as caught:
            resolve(mistake.made(PLAIN | {"extends": "paper", "data_dir": "images"}))
        assert_one_helpful_line(str(caught.value))
        several += 1
    assert several > 5000


ENTRY = {"norm": "batch", "alpha": 0.1, "epochs": 1}
# For every keyword of the schema a value that it forbids, and what is said of it.
FORBIDDEN = {
    "type": ({"tensorboard": 1}, "1 is a whole number, expected true or false"),
    "anyOf": ({"data_dir": 3}, "3 is a whole number, expected text or nothing"),
    "items": ({"grid": [3]}, "grid[0]: 3 is a whole number, expected a block of keys"),
    "enum": ({"dataset": "digit"}, "expected one of digits, cifar10, parquet, folder (did you mean 'digits'?)"),
    "minimum": ({"seeds_per_job": 0}, "0 is too small; expected at least 1"),
    "maximum": ({"epochs_fraction": 2}, "2 is too large; expected at most 1"),
    "exclusiveMinimum": ({"epochs_fraction": 0}, "0 is too small; expected more than 0"),
    "exclusiveMaximum": ({"snapshots": [1.0]}, "snapshots[0]: 1.0 is too large; expected less than 1"),
    "minLength": ({"plugins": [""]}, "plugins[0]: '' is too short; expected at least 1 character"),
    "maxLength": ({"preset": "p" * 101}, "is too long; expected at most 100 characters"),
    "pattern": ({"preset": "a/b"}, "'a/b' is not allowed; expected letters, digits, '.', '_' and '-'"),
    "minItems": ({"grid": [ENTRY | {"alpha": []}]}, "grid[0].alpha: the list is empty; expected at least 1 value"),
    "uniqueItems": ({"snapshots": [0.5, 0.5]}, "snapshots: [0.5, 0.5] names a value twice; expected each once"),
    "not": ({"preset": "data"}, "'data' is reserved; choose another name, expected none of data, reference"),
    "additionalProperties": (
        {"subset": {"tran": 1}},
        "subset: key 'tran' is unknown; expected one of test, train, validation (did",
    ),
    "minProperties": (start(readings=[{}]), "readings[0]: the block is empty; expected arch or init in it"),
    "required": ({"grid": [{"norm": "batch"}]}, "grid[0]: key 'alpha' is missing; expected a number or a list"),
}


def keywords(part):
    """Every keyword of a schema and of those in it."""
    inner = [*part.get("properties", {}).values(), *part.get("$defs", {}).values(), *part.get("anyOf", [])]
    inner += [part[key] for key in ("items", "additionalProperties") if isinstance(part.get(key), dict)]
    return set(part).union(*map(keywords, inner))


def test_every_keyword_of_the_schema_is_enforced_with_words():
    silent = {"$schema", "$defs", "$ref", "description", "default", "properties"}
    assert keywords(schema()) - silent == set(FORBIDDEN)


@pytest.mark.parametrize("keyword", FORBIDDEN)
def test_what_a_keyword_forbids_is_said(keyword):
    change, message = FORBIDDEN[keyword]
    with pytest.raises(UserError) as caught:
        resolve(quick() | change)
    assert message in str(caught.value)
    assert_one_helpful_line(str(caught.value))


def test_every_error_that_a_check_of_our_own_raises_has_words():
    rooms = [ROOT / "workflow/understanding_bn" / name for name in ("settings.py", "experiment", "measurements")]
    files = [path for room in rooms for path in ([room] if room.is_file() else sorted(room.glob("*.py")))]
    raised = {name for path in files for name in re.findall(r'Pydantic\w+Error\(\s*"(\w+)"', path.read_text())}
    assert len(raised) >= 8
    assert raised <= set(explain.WORDS) | set(explain.WANTED)
