"""What `make PRESET=mine.yaml` does with a file of one's own before Snakemake starts."""

import os
import shutil
import subprocess
import sys

import pytest
from checkouts import ROOT

# It stands for uv and notes what it is asked to run. Only our check is carried out.
UV = f"""#!/bin/sh
echo "$@" >> asked.txt
shift
case "$*" in *check*) shift; exec {sys.executable} "$@";; esac
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Runs make in a folder that is set up; returns its exit status, our lines and what uv was asked to run."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/ready").write_text(f"{tmp_path}\n")
    (tmp_path / "uv").write_text(UV)
    (tmp_path / "uv").chmod(0o755)
    # Where make runs these tests, it would hand its own options on.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "workflow")}

    def run(*arguments):
        asked = tmp_path / "asked.txt"
        asked.unlink(missing_ok=True)
        done = subprocess.run(["make", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("make")]
        return done.returncode, lines, asked.read_text().splitlines() if asked.is_file() else []

    run.folder = tmp_path
    return run


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"preset: caf\xe9\n", "mine.yaml: line 1 is not UTF-8; save the file as UTF-8"),
        (b"- a\n", "mine.yaml: expected a block of keys, found a list"),
        (b"seeds: 1\npathvars: 5\n", "mine.yaml: config key (top level): key 'pathvars' is unknown; expected one of "),
        (b"__use_yte__: true\nseeds: ?1/0\n", "mine.yaml: config key (top level): key '__use_yte__' is unknown; "),
    ],
)
def test_what_snakemake_cannot_read_is_one_line_of_ours_before_it_starts(make, content, line):
    (make.folder / "mine.yaml").write_bytes(content)
    for target in ([], ["fig3"]):
        status, lines, asked = make(*target, "PRESET=mine.yaml")
        assert status == 2
        assert len(lines) == 1
        assert lines[0].startswith(f"error: {line}")
        assert asked == ["run python -m understanding_bn check --syntax mine.yaml"]


def test_what_can_be_read_goes_to_snakemake_and_a_preset_of_ours_at_once(make):
    (make.folder / "mine.yaml").write_text("preset: mine\n")
    status, lines, asked = make("PRESET=mine.yaml")
    assert (status, lines) == (0, [])
    assert [" ".join(words.split()[:2]) for words in asked] == ["run python", "run snakemake", "run python"]
    assert make("fig3")[2] == ["run snakemake --logger brief --cores all -- fig3"]
    assert make("PRESET=no.yaml")[0] == 2
