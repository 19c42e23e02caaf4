"""Atomic files, errors on the command line, and the facts of a record."""

import errno
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from clock import Clock

from understanding_bn import cli, files, provenance, tables
from understanding_bn.errors import UserError


def test_functions_are_listed_without_importing():
    code = "import sys; from understanding_bn import plugins; plugins.names('norm'); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_atomic_leaves_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"x": 1})
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"x": float("nan")})
    assert files.read_json(path) == {"x": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_inputs_are_one_line(tmp_path):
    bad = tmp_path / "x.parquet"
    bad.write_bytes(b"PAR1 nothing")
    with pytest.raises(UserError, match="not a readable Parquet file"):
        tables.read([bad])
    with pytest.raises(UserError, match="no such file"):
        tables.read([tmp_path / "y.parquet"])
    (tmp_path / "z.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        files.read_json(tmp_path / "z.json")


def run(*arguments):
    command = [sys.executable, "-m", "understanding_bn", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_users_mistake_is_one_line_and_status_2(tmp_path):
    files.write_json(tmp_path / "inputs.json", {"histories": ["x.parquet"]})
    done = run("figure", "fig9_nothing", "--inputs", tmp_path / "inputs.json", "--out", tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: fig9_nothing: no such figure or table; each is a module in workflow/understanding_bn/figures/"
    ]
    spec = json.dumps({"dataset": "parquet", "data_dir": str(tmp_path)})
    done = run("data", "--spec", spec, "--out", tmp_path / "s" / "store.npz")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("stage", ["data", "train", "measure", "random-matrices", "figure", "claims", "report"])
def test_every_stage_explains_itself_without_loading_torch(stage):
    code = f"""
import sys
from pathlib import Path
from understanding_bn import cli
try: cli.main(['{stage}', '--help'])
except SystemExit as end: print('torch' in sys.modules, end.code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False 0"
    assert "usage: python -m understanding_bn" in done.stdout


def test_a_full_disk_is_one_line(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/x.npz")

    monkeypatch.setattr("understanding_bn.data.store.prepare", full)
    with pytest.raises(SystemExit) as end:
        cli.main(["data", "--spec", '{"dataset": "digits"}', "--out", str(tmp_path / "s.npz")])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith("error: results/x.npz: no room left on the disk")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_really_full_device_leaves_nothing(tmp_path):
    # A file system of 64 KiB would need root; a link to /dev/full fails in the same way when written to.
    target = tmp_path / "page.html"
    (tmp_path / f".page.{os.getpid()}.part.html").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        files.write_text(target, "x" * 100_000)
    assert not list(tmp_path.iterdir())


def test_the_facts_of_a_record_are_those_of_this_machine_and_this_checkout():
    clock = Clock()
    stopwatch = provenance.Stopwatch(clock)
    clock.advance(7)
    facts = stopwatch.facts("a GPU", 3)
    assert (facts["wall_seconds"], facts["device"], facts["threads"]) == (7, "a GPU", 3)
    assert datetime.fromisoformat(facts["started"]).tzinfo == UTC
    assert facts["versions"]["torch"] == torch.__version__.split("+")[0]
    assert facts["peak_memory_mib"] > 100  # torch is loaded
    assert facts["commit"] is None or re.fullmatch("[0-9a-f]{40}([+]changes)?", facts["commit"])
