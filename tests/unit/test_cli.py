"""The command line: lists of files, and what it takes from the environment."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from understanding_bn import cli, files

CAPTIONS = "--claims c --followups f --items i --captions @captions --out o"


def runs(*arguments):
    """What the stage `report` would be given as its runs."""
    return cli.parser().parse_args(["report", "--preset", "p", *CAPTIONS.split(), "--runs", *map(str, arguments)]).runs


def test_a_list_file_stands_for_the_paths_on_its_lines(tmp_path):
    names = ["plain.json", "with a space.json", "@leading/at.json"]
    files.write_list(tmp_path / "a list.txt", names)
    assert runs(f"@{tmp_path / 'a list.txt'}") == [Path(name) for name in names]
    mixed = runs("first", f"@{tmp_path / 'a list.txt'}", "./@last")
    assert mixed == [Path("first"), *map(Path, names), Path("@last")]


def test_other_options_take_an_at_sign_literally():
    args = cli.parser().parse_args(["report", "--preset", "p", *CAPTIONS.split(), "--runs", "r"])
    assert args.captions == Path("@captions")


def refused(capsys, *arguments):
    """The one line that a command says before it ends with status 2."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    return said.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize(("content", "reason"), [(None, "no such list of files"), ("", "an empty list")])
def test_a_list_file_that_is_missing_or_empty_is_one_line(tmp_path, capsys, content, reason):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_text(content)
    arguments = ["report", "--preset", "p", *CAPTIONS.split(), "--runs", f"@{path}"]
    assert refused(capsys, *arguments).startswith(f"{path}: {reason}")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        ("{", "not valid JSON"),
        ("[]", "expected lists of files by table"),
        ("{}", "expected lists of files by table"),
        ('{"histories": []}', "expected lists of files by table"),
        ('{"histories": "a.parquet"}', "expected lists of files by table"),
        ('{"histories": [1]}', "expected lists of files by table"),
    ],
)
def test_inputs_that_are_missing_or_of_another_kind_are_one_line(tmp_path, capsys, content, reason):
    path = tmp_path / "inputs.json"
    if content is not None:
        path.write_text(content)
    assert refused(capsys, "figure", "fig1_accuracy", "--inputs", path, "--out", tmp_path).startswith(
        f"{path}: {reason}"
    )


@pytest.mark.parametrize(
    ("stage", "spec", "message"),
    [
        ("data", "{", "Invalid JSON"),
        ("data", '{"dataset": "letters"}', "dataset: Input should be 'digits'"),
        ("data", '{"dataset": "digits", "more": 1}', "more: Extra inputs are not permitted"),
        ("random-matrices", '{"size": 2, "factors": [1]}', "draws: Field required"),
    ],
)
def test_a_spec_that_describes_no_job_is_one_line(tmp_path, capsys, stage, spec, message):
    assert refused(capsys, stage, "--spec", spec, "--out", tmp_path).startswith(f"--spec: {message}")
    assert not list(tmp_path.iterdir())


def test_a_notebooks_backend_decides_nothing(tmp_path):
    """Started from Jupyter, MPLBACKEND names a package that need not be installed here; then matplotlib refuses it."""
    stage = "from understanding_bn import cli\ntry:\n    cli.main(['verdicts', 'none'])\nexcept SystemExit:\n    pass\n"
    drawing = "import os, understanding_bn.figures.style\nassert os.environ['MPLBACKEND'] == 'Agg'\n"
    environment = os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    command = [sys.executable, "-c", stage + drawing]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_told_to_stop_before_there_is_anything_to_save(tmp_path, number):
    """A scheduler's signal while a command reads its arguments: one line, and it ends as others do."""
    os.mkfifo(tmp_path / "list")
    command = [sys.executable, "-m", "understanding_bn", "report", "--runs", f"@{tmp_path / 'list'}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with (tmp_path / "list").open("w"):  # returns once the command reads it
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert said == f"stopped by {number.name} with nothing new to save\n"
    assert process.returncode == -number
