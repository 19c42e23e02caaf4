"""The workflow used from elsewhere: `-s PATH/Snakefile --directory DIR`, and as a module of another workflow."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from checkouts import Checkout, environment, only_line
from planner import planned

# Ten small matrices, and nothing else that takes time.
MINE = {"preset": "mine", "random_matrices": {"size": 50, "factors": [1, 2], "draws": 3}}
FIG8 = "results/mine/figures/fig8_singular_values.png"

SNAKEFILE = """
module ubn:
    snakefile: "{path}/Snakefile"
    config: {config}

use rule * from ubn as ubn_*

rule mine:
    input: "{fig8}"
    output: "mine.png"
    shell: "cp {{input}} {{output}}"
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A checkout that nothing may be written to."""
    return Checkout(tmp_path_factory.mktemp("elsewhere") / "checkout")


def snakemake(folder, *arguments):
    """`snakemake ARGUMENTS` in a folder that is no checkout."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)


def use_as_module(folder, checkout, **changes):
    """Write a Snakefile that uses the checkout as a module."""
    text = SNAKEFILE.format(path=checkout.folder, config=json.dumps(MINE | changes), fig8=FIG8)
    folder.mkdir()
    (folder / "Snakefile").write_text(text)
    return folder


def code_of(folder):
    """Which code made the random matrices, as their job's run.json says."""
    return json.loads((folder / "results/mine/random_matrices/run.json").read_text())["code_fingerprint"]


def untouched(checkout):
    """Whether nothing was written to a checkout."""
    return not any((checkout.folder / name).exists() for name in ("results", "logs", ".snakemake"))


@pytest.mark.slow
def test_from_an_empty_folder(elsewhere, tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(MINE))
    there = ("-s", elsewhere.folder / "Snakefile", "--directory", tmp_path / "out", "--configfile", "mine.yaml")
    done = snakemake(tmp_path, *there, "--", "fig8")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out" / FIG8).is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"mine.yaml", "out"}
    assert untouched(elsewhere)
    done = snakemake(tmp_path, *there, "--dry-run")
    assert planned(done.stdout + done.stderr)["all"] == 1


@pytest.mark.slow
def test_as_a_module(elsewhere, tmp_path):
    # A line that changes numbers: jobs must use this code, and not that of another checkout that is installed.
    with (elsewhere.folder / "workflow/understanding_bn/stages/matrices.py").open("a") as module:
        module.write("\nCHANGED = True\n")
    folder = use_as_module(tmp_path / "user", elsewhere)
    done = snakemake(folder, "mine")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "mine.png").read_bytes() == (folder / FIG8).read_bytes()
    params = elsewhere.package("random-matrices", "--spec", '{"size": 50, "factors": [1], "draws": 1}', "--out", "own")
    assert params.returncode == 0
    own = json.loads((elsewhere.folder / "own/run.json").read_text())
    assert code_of(folder) == own["code_fingerprint"]
    assert untouched(elsewhere)
    assert "Nothing to be done" in (again := snakemake(folder, "mine")).stdout + again.stderr

    plan = snakemake(folder, "ubn_all", "--dry-run", "--quiet", "host")
    jobs = planned(plan.stdout + plan.stderr)
    assert jobs["ubn_train"] == 6, "what the config leaves out is as in the quick preset"
    assert jobs["ubn_report"] == jobs["ubn_claims"] == jobs["ubn_all"] == 1
    assert "ubn_random_matrices" not in jobs

    assert snakemake(folder, "mine", "--report", "report.html").returncode == 0
    assert "the mass moves towards zero" in (folder / "report.html").read_text(), "captions are found"

    # What conda would be asked for, from a stand-in.
    (tmp_path / "conda").write_text(CONDA)
    (tmp_path / "conda").chmod(0o755)
    asked = subprocess.run(
        [sys.executable, "-m", "snakemake", "mine", "--sdm", "conda", "--list-conda-envs"],
        cwd=folder,
        env=environment() | {"PATH": f"{tmp_path}{os.pathsep}{environment()['PATH']}"},
        capture_output=True,
        text=True,
    )
    environments = [line.split("\t")[0] for line in asked.stdout.splitlines() if "analysis.yaml" in line]
    assert environments, asked.stdout + asked.stderr
    assert all((folder / path).resolve() == elsewhere.folder / "envs/analysis.yaml" for path in environments)


CONDA = """#!/bin/sh
case "$1" in
  --version) echo "conda 25.1.0" ;;
  info) echo '{"conda_prefix": "/nowhere", "platform": "linux-64"}' ;;
  config) echo '{"get": {"channel_priority": "strict"}}' ;;
esac
"""


@pytest.mark.evidence
def test_a_users_own_rule_and_handler_come_first(elsewhere, tmp_path):
    folder = use_as_module(tmp_path / "user", elsewhere)
    first = 'rule first:\n    output: "first.txt"\n    shell: "touch {output}"\n'
    handler = 'onstart:\n    ubn.onstart()\n    open("began", "w").close()\n'
    (folder / "Snakefile").write_text(first + (folder / "Snakefile").read_text() + handler)
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "first.txt").is_file()
    assert (folder / "began").is_file()
    assert json.loads((folder / "results/mine/inputs/fig8_singular_values.json").read_text())


def test_a_mistake_in_a_modules_config_is_one_line(elsewhere, tmp_path):
    folder = use_as_module(tmp_path / "user", elsewhere, sedes=3)
    done = snakemake(folder, "mine")
    assert done.returncode != 0
    line = only_line(done.stdout + done.stderr)
    assert line.startswith("error: config key (top level): key 'sedes' is unknown")
    assert [path.name for path in folder.iterdir() if path.name != ".snakemake"] == ["Snakefile"]


@pytest.mark.evidence
def test_two_presets_in_one_workflow(elsewhere, tmp_path):
    folder = use_as_module(tmp_path / "user", elsewhere)
    other = SNAKEFILE.replace("ubn", "other").split("rule mine")[0]
    with (folder / "Snakefile").open("a") as snakefile:
        snakefile.write(other.format(path=elsewhere.folder, config=json.dumps(MINE | {"preset": "other"})))
    both = [FIG8, FIG8.replace("/mine/", "/other/")]
    done = snakemake(folder, *both)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all((folder / path).is_file() for path in both)
