"""Fingerprints, atomic files and the command line's errors."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from understanding_bn import cli, files, provenance, tables
from understanding_bn.errors import UserError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package to change, as far as fingerprints are concerned."""
    copy = tmp_path / "understanding_bn"
    shutil.copytree(provenance.PACKAGE, copy)
    monkeypatch.setattr(provenance, "PACKAGE", copy)
    provenance._imports.cache_clear()
    yield copy
    provenance._imports.cache_clear()


def all_fingerprints():
    provenance._imports.cache_clear()
    modules = (
        "training.job",
        "analysis.relative_loss",
        "figures.fig3_relative_loss",
        "figures.fig1_accuracy",
    )
    return {module: provenance.fingerprint(module) for module in modules}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("figures/fig3_relative_loss.py", {"figures.fig3_relative_loss"}),
        ("figures/style.py", {"figures.fig3_relative_loss", "figures.fig1_accuracy"}),
        ("analysis/relative_loss.py", {"analysis.relative_loss"}),
        ("models/norms.py", {"training.job", "analysis.relative_loss"}),
        ("training/job.py", {"training.job"}),
        ("claims/training.py", set()),
    ],
)
def test_a_change_reaches_just_what_depends_on_it(package, changed, expected):
    before = all_fingerprints()
    file = package / changed
    file.write_text(file.read_text() + "\nEXTRA = 1\n")
    after = all_fingerprints()
    assert {module for module in before if before[module] != after[module]} == expected


def test_comments_and_blank_lines_do_not_count(package):
    before = all_fingerprints()
    file = package / "training" / "loop.py"
    file.write_text("# a remark\n\n" + file.read_text() + "\n    # another\n\n")
    assert all_fingerprints() == before


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
    done = run("figure", "fig9_nothing", "--inputs", tmp_path / "x.parquet", "--out", tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: fig9_nothing: no such figure or table; each is a module in workflow/understanding_bn/figures/"
    ]
    done = run("data", "--dataset", "parquet", "--data-dir", tmp_path, "--out", tmp_path / "s" / "store.npz")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("stage", ["data", "train", "initialization", "random-matrices", "figure", "claims", "report"])
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
        cli.main(["data", "--dataset", "digits", "--out", str(tmp_path / "s.npz")])
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
