"""Dry runs of any config: a valid one plans, and one with a mistake is one line that names the key."""

import itertools
import re

import pytest
import yaml
from checkouts import only_line
from hypothesis import HealthCheck, Phase, given, settings
from mistakes import one_of_each_kind
from planner import planned
from strategies import valid_configs

from understanding_bn.experiment import load
from understanding_bn.experiment.checks import measurements
from understanding_bn.experiment.plan import cells, readings, seed_blocks, times

# The same configs on every run, and no search for a smaller one: each plan costs.
REPEATABLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
REPEATABLE["phases"] = [Phase.generate]


def drawn(strategy, count):
    """As many distinct values of a strategy, the same on every run."""
    values = {}

    @settings(max_examples=2 * count, **REPEATABLE)
    @given(strategy)
    def collect(value):
        values.setdefault(repr(value), value)

    collect()
    assert len(values) >= count
    return list(values.values())[-count:]  # the first ones are the plainest


@pytest.fixture
def folder_of_images(tmp_path):
    """A folder that is taken for a data set of one's own, as long as none of its images is read."""
    folder = tmp_path / "images of mine"
    folder.mkdir()
    for name in ("train.parquet", "test.parquet"):
        (folder / name).write_bytes(b"any")
    for split, name in itertools.product(("train", "test"), ("a class", "another")):
        (folder / split / name).mkdir(parents=True)
        (folder / split / name / "image.png").write_bytes(b"any")
    return folder


def placed(config, folder):
    """A drawn config whose data set lies in a folder."""
    return config | {"data_dir": str(folder)} if config["dataset"] in ("parquet", "folder") else config


def jobs_expected(raw):
    """The number of jobs that the rules for data, training and measurements must plan."""
    config = load.resolve(raw)
    start = config.initialization
    grid, blocks = cells(config), len(seed_blocks(config))
    measured = {
        (name, norm, *network)
        for name, options in measurements(start.measurements).items()
        for norm in start.norms
        for network in options.made_on(start.arch, start.init, norm)
    }
    compared = {"channel_moments", "gradient_sums", "logit_gradients"} & set(measurements(start.measurements))
    measured |= {(name, norm, *reading) for name in compared for norm in start.norms for reading in readings(config)}
    on_trained = measurements(config.trained.measurements).values()
    counts = {
        "data": int(bool(measured or grid)),
        "train": len(grid) * blocks,
        "initialization": len(measured),
        "trained": blocks * sum(len(times(grid, options)) for options in on_trained),
    }
    counts |= {"random_matrices": 1, "claims": 1, "report": 1, "all": 1}
    return {rule: count for rule, count in counts.items() if count}


def saved(folder, config):
    """The config as a file that nothing else is merged with: it takes the place of config.yaml."""
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def test_every_valid_config_plans(checkout, folder_of_images):
    drawn_configs = [placed(config, folder_of_images) for config in drawn(valid_configs(small=True), 60)]
    drawn_configs[::6] = [config | {"grid": []} for config in drawn_configs[::6]]
    trained = 0
    for config in drawn_configs:
        saved(checkout.folder, config)
        jobs, expected = checkout.rules_planned(tiny=False), jobs_expected(config)
        assert {rule: jobs.get(rule) for rule in expected} == expected, config
        trained += "train" in jobs
    assert trained == 50
    assert not (checkout.folder / "results").exists()


@pytest.mark.slow
def test_valid_configs_plan_on_the_command_line(checkout, folder_of_images):
    for config in [placed(config, folder_of_images) for config in drawn(valid_configs(small=True), 3)]:
        saved(checkout.folder, config)
        done = checkout.run("--dry-run", "--quiet", "host", tiny=False)
        assert done.returncode == 0, (done.stdout + done.stderr, config)
        jobs, expected = planned(done.stdout + done.stderr), jobs_expected(config)
        assert {rule: jobs.get(rule) for rule in expected} == expected, config


def files_of(checkout):
    """Every file of a checkout, without what Snakemake and Python keep for themselves."""
    own = {".snakemake", "__pycache__"}
    return {path for path in checkout.folder.rglob("*") if not own & set(path.parts)}


def wrong_configs(count):
    """Mistakes of all kinds in drawn configs, and these configs with them."""
    for number, raw in enumerate(drawn(valid_configs(small=True), count)):
        config = load.resolve(raw).model_dump(mode="json")
        possible = one_of_each_kind(config)
        mistake = possible[number % len(possible)]
        yield mistake, mistake.made(config)


def must_name(mistake, line):
    """The line must name the key of a mistake, and say what is wrong with it."""
    assert re.match(rf"error: config key {re.escape(mistake.where)}(\[0\])?: ", line), (mistake, line)
    assert mistake.says in line


def test_mistakes_start_no_job_and_leave_nothing(checkout):
    kinds = set()
    before = None
    for mistake, config in wrong_configs(20):
        saved(checkout.folder, config)
        before = before or files_of(checkout)
        answer = checkout.plan(tiny=False)
        assert answer["status"] != 0
        must_name(mistake, only_line(answer["said"]))
        assert files_of(checkout) == before
        kinds.add(mistake.kind)
    assert len(kinds) >= 6


@pytest.mark.slow
def test_mistakes_on_the_command_line_start_no_job(checkout):
    for mistake, config in wrong_configs(3):
        saved(checkout.folder, config)
        before = files_of(checkout)
        done = checkout.run(tiny=False)
        assert done.returncode != 0
        must_name(mistake, only_line(done.stdout + done.stderr))
        assert files_of(checkout) == before
