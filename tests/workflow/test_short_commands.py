"""The pages' commands that end within minutes and need no data, one after the other in one checkout."""

import shutil

import pytest
from checkouts import ROOT, commands

KEPT = ROOT / "results/reference"
LONG = ("--configfile", "seeds=5", "--profile slurm", "FOLDER")  # or need a cluster or data: test_plans plans them
PACKAGE = "python -m understanding_bn "
STAGES = [command.removeprefix(PACKAGE).split() for command in commands(PACKAGE.strip())]
SHORT = [command for command in commands() if not any(part in command for part in LONG)]


@pytest.mark.evidence
def test_the_readmes_short_commands_do_what_they_say(checkout):
    assert len(SHORT) >= 6
    shutil.copytree(KEPT, checkout.folder / "results/reference")
    # Those that name a target first: they must work from nothing.
    for command in sorted(SHORT, key=lambda line: line.endswith(("all", "rich", "True"))):
        done = checkout.run(*command.split()[1:], tiny=False)
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    done = checkout.package("status", "quick")
    assert done.returncode == 0, done.stderr
    left = [line.split()[4] for line in done.stdout.splitlines() if line.startswith("all ")]
    assert left == ["0"], done.stdout
    done = checkout.package("verify", "quick")  # another machine may round otherwise
    assert done.returncode in (0, 1) and "checks of claims" in done.stdout, done.stderr
    results = checkout.folder / "results"
    assert (results / "quick/report.html").stat().st_size < 15e6
    assert (results / "quick/ro-crate-metadata.json").is_file()
    rebuilt = {path.parent.name for path in results.glob("rebuilt/*/report.html")}
    assert rebuilt == {path.parent.name for path in KEPT.glob("*/raw")}


@pytest.mark.evidence
def test_the_pages_benchmarks_do_what_they_say(checkout):
    """All but `scale`, whose parts tests/workflow/test_scale.py runs."""
    measured = [command for command in STAGES if command[0] == "benchmark" and command[1] != "scale"]
    assert {command[1] for command in measured} == {"data", "train", "hvp", "plan", "start"}
    for command in sorted(measured, key=lambda words: words[1] == "plan"):  # it reads what `train` wrote
        done = checkout.package(*command)
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    names = {path.name for path in (checkout.folder / "results/benchmark").iterdir()}
    assert names == {"data.json", "train.json", "hvp.json", "plan-paper.json", "start.json"}
