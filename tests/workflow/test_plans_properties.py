"""Dry runs of any config: a valid one plans, and one with a mistake is one line that names the key."""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from checkouts import Checkout, only_line
from hypothesis import HealthCheck, Phase, given, settings
from mistakes import one_of_each_kind
from strategies import valid_configs

from understanding_bn import config as configs
from understanding_bn import grid

# The same configs on every run, and no search for a smaller one: each plan costs.
REPEATABLE = {"derandomize": True, "deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
REPEATABLE["phases"] = [Phase.generate]


def drawn(strategy, count):
    """As many distinct values of a strategy, the same on every run."""
    found = {}

    @settings(max_examples=2 * count, **REPEATABLE)
    @given(strategy)
    def collect(value):
        found.setdefault(repr(value), value)

    collect()
    assert len(found) >= count
    return list(found.values())[-count:]  # the first ones are the plainest


@pytest.fixture
def folder_of_images(tmp_path):
    """A folder that is taken for a data set of one's own, as long as none of its images is read."""
    folder = tmp_path / "images of mine"
    folder.mkdir()
    for name in ("train.parquet", "test.parquet"):
        (folder / name).write_bytes(b"any")
    for split in ("train", "test"):
        (folder / split / "a class").mkdir(parents=True)
        (folder / split / "a class" / "image.png").write_bytes(b"any")
    return folder


def placed(config, folder):
    """A drawn config whose data set lies in a folder."""
    return config | {"data_dir": str(folder)} if config["dataset"] in ("parquet", "folder") else config


def jobs_expected(config):
    """The number of jobs that the rules for data, training and measurements must plan."""
    resolved = configs.resolve(config)
    start = resolved["initialization"]
    cells, readings = len(grid.cells(resolved)), grid.readings(resolved)
    measured = {
        (probe, norm, *network)
        for probe in start["probes"]
        for norm in start["norms"]
        for network in grid.networks(resolved, probe, norm)
    }
    compared = {"channel_moments", "gradient_sums", "logit_gradients"} & set(start["probes"])
    measured |= {(probe, norm, *reading) for probe in compared for norm in start["norms"] for reading in readings}
    blocks = len(grid.seed_blocks(resolved))
    trained = cells * blocks
    probed = blocks * sum(len(grid.moments(resolved, probe)) for probe in resolved["trained"]["probes"])
    counts = {
        "data": int(bool(measured or cells)),
        "train": trained,
        "initialization": len(measured),
        "trained": probed,
    }
    counts |= {"random_matrices": 1, "claims": 1, "report": 1, "all": 1}
    return {rule: count for rule, count in counts.items() if count}


def test_every_valid_config_plans(checkout, folder_of_images):
    """Many, in one process: what Snakemake costs to start is paid once."""
    chosen = [placed(config, folder_of_images) for config in drawn(valid_configs(small=True), 60)]
    chosen[::6] = [config | {"grid": []} for config in chosen[::6]]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("planner.py"), checkout.folder],
        input="".join(f"{json.dumps(config)}\n" for config in chosen),
        cwd=checkout.folder,
        capture_output=True,
        text=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(chosen), done.stderr[-3000:]
    for config, answer in zip(chosen, answers, strict=True):
        assert "error" not in answer, (answer, config)
        expected = jobs_expected(config)
        assert {rule: answer["jobs"].get(rule) for rule in expected} == expected, config
    print(f"{len(chosen)} configs planned, {sum(sum(answer['jobs'].values()) for answer in answers)} jobs")
    assert sum("train" in answer["jobs"] for answer in answers) == 50
    assert not (checkout.folder / "results").exists()


def side_by_side(count, folder, check, items):
    """Call `check` with a checkout and each item, in `count` threads that have a checkout each."""
    checkouts = [Checkout(folder / f"checkout-{number}") for number in range(count)]

    def one_side(number):
        for item in items[number::count]:
            check(checkouts[number], item)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(one_side, range(count)))


def test_valid_configs_plan_on_the_command_line(tmp_path, folder_of_images):
    def check(checkout, config):
        (checkout.folder / "config.yaml").write_text(yaml.safe_dump(config))
        jobs, expected = checkout.rules_planned(tiny=False), jobs_expected(config)
        assert {rule: jobs.get(rule) for rule in expected} == expected, config

    chosen = [placed(config, folder_of_images) for config in drawn(valid_configs(small=True), 6)]
    side_by_side(2, tmp_path, check, chosen)


def files_of(checkout):
    """Every file of a checkout, without what Snakemake and Python keep for themselves."""
    own = {".snakemake", "__pycache__"}
    return {path for path in checkout.folder.rglob("*") if not own & set(path.parts)}


def test_mistakes_start_no_job_and_leave_nothing(tmp_path):
    def check(checkout, drawn):
        mistake, config = drawn
        (checkout.folder / "config.yaml").write_text(yaml.safe_dump(config))
        before = files_of(checkout)
        line = only_line(checkout.run(tiny=False))
        assert re.match(rf"error: config key {re.escape(mistake.where)}(\[0\])?: ", line), (mistake, line)
        assert mistake.says in line
        assert files_of(checkout) == before

    chosen = []
    for number, config in enumerate(map(configs.resolve, drawn(valid_configs(small=True), 8))):
        possible = one_of_each_kind(config)
        mistake = possible[number % len(possible)]
        chosen.append((mistake, mistake.made(config)))
    assert len({mistake.kind for mistake, _ in chosen}) >= 6
    side_by_side(2, tmp_path, check, chosen)
