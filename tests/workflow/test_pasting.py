"""Commands that Snakemake printed, pasted into a shell that finds the package: the same results, bit for bit."""

import re
import shutil
import subprocess

import pandas as pd
import pytest
from checkouts import environment, must_equal


def printed(finished, words):
    """The command with these words that the run printed."""
    lines = re.findall(r"Shell command: (.*)", finished[1].stdout + finished[1].stderr)
    return next(line for line in lines if words in line)


def paste(command, folder):
    """Run a command as a user would: in a shell, with nothing but PYTHONPATH set."""
    env = environment() | {"PYTHONPATH": "workflow"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "error" not in done.stdout + done.stderr


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished checkout, to change."""
    return shutil.copytree(finished[0].folder, tmp_path / "copy", symlinks=True)


def test_training_with_a_plug_in(finished, copy):
    command = printed(finished, '"norm":"half"')
    assert command.startswith("python -m understanding_bn train --spec ")
    out = re.search(r"--out (\S+)", command)[1]
    shutil.rmtree(copy / out)
    paste(command, copy)
    must_equal(copy / out, finished[0].folder / out)


@pytest.mark.parametrize("words", ['"measurement":"logit_gradients"', "--weights"])
def test_measuring(finished, copy, words):
    command = printed(finished, words)
    assert command.startswith("python -m understanding_bn measure --spec ")
    values = re.search(r"--out (\S+)", command)[1] + "/values.parquet"
    (copy / values).unlink()
    paste(command, copy)
    ours, theirs = (pd.read_parquet(folder / values) for folder in (copy, finished[0].folder))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def test_drawing(finished, copy):
    table = copy / "results/tiny/figures/fig8_singular_values.csv"
    before = table.read_bytes()
    table.unlink()
    paste(printed(finished, "understanding_bn figure fig8_singular_values"), copy)
    assert table.read_bytes() == before
