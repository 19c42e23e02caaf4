"""Where a run stands, from made-up results and logs."""

import json
import os
from dataclasses import replace

import pytest

from understanding_bn import cli, grid, layout, progress, status
from understanding_bn import config as configs
from understanding_bn.cell import Cell
from understanding_bn.errors import UserError

NOW = 1_800_000_000


@pytest.fixture
def config():
    return configs.resolve(configs.load(None))


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "results" / "quick", tmp_path / "logs" / "quick"


def finish(results, folder, seconds, **facts):
    (results / folder).mkdir(parents=True, exist_ok=True)
    (results / folder / "run.json").write_text(json.dumps({"wall_seconds": seconds} | facts))


def say(logs, folder, line, age):
    path = logs / f"{folder}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"no GPU found\n{line}\n")
    os.utime(path, (NOW - age, NOW - age))


def test_jobs_are_done_running_stopped_or_left(config, folders):
    results, logs = folders
    blocks = grid.seed_blocks(config)
    train = [layout.train(cell, block) for cell in grid.cells(config) for block in blocks]
    finish(results, train[0], 60, failures=[None, "overflow"])
    say(logs, train[0], "its last words", 1)
    say(logs, train[1], "none α=0.1 B=128: 3/10 epochs, seed 0, 1,000 images/s, 1 min 30 s left", 5)
    say(logs, train[2], "none α=0.1 B=128: 3/10 epochs, seed 0, 9 s left", 600)
    found = {job.folder: job for job in status.jobs(config, results, logs, NOW)}
    states = [found[folder].state for folder in train[:4]]
    assert states == [status.DONE, status.RUNNING, status.STOPPED, status.LEFT]
    work = [found[folder].work for folder in train]
    only_training = [job for job in found.values() if job.stage == "train"]
    seconds, unknown = status.time_left(only_training)
    assert seconds == pytest.approx(90 + 60 * sum(work[2:]) / work[0])
    assert unknown == []
    text = status.text(list(found.values()), "quick", results)
    assert "runs trained: 2, of which failed: 1 overflow" in text
    assert f"{train[1]}\n    none α=0.1" in text
    assert "with 1 at a time" in text
    assert "not counted" in text and "initialization relative_loss" in text
    rows = {line.split("  ")[0].strip(): line.split()[-5:] for line in text.splitlines() if "  " in line}
    assert rows["train"] == ["1", "1", "1", str(len(train) - 3), str(len(train))]


def test_when_all_is_done_it_says_what_comes_next(config, folders):
    results, logs = folders
    for job in status.jobs(config, results, logs, NOW):
        finish(results, job.folder, 1)
    found = status.jobs(config, results, logs, NOW)
    assert {job.state for job in found} == {status.DONE}
    assert status.text(found, "quick", results).endswith("figures, claims and report come next")
    (results / "report.html").touch()
    assert status.text(found, "quick", results).endswith(f"see {results / 'report.html'}")


def test_work_is_in_proportion_to_epochs_seeds_and_network():
    cell = Cell("resnet-20", "kaiming", "none", "0.1", 128, 5)
    assert status.work(replace(cell, epochs=10), [0, 1]) == 4 * status.work(cell, [3])
    assert status.work(replace(cell, arch="plain-110"), [3]) > 5 * status.work(cell, [3])


@pytest.mark.parametrize("seconds", [0, 1, 59, 60, 61, 3599, 3600, 100_000])
def test_time_left_is_read_as_it_was_written(seconds):
    read = progress.seconds_left(f"train: 1/3 epochs, {progress.clock(seconds)} left")
    assert read == (seconds if seconds < 3600 else seconds // 60 * 60)
    assert progress.seconds_left("train: 3/3 epochs, 10 images/s") is None


def test_a_preset_that_was_never_started_is_one_line(tmp_path, capsys):
    with pytest.raises(UserError, match="start that preset first"):
        status.run("quick", tmp_path, tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["status", "quick", "--results", str(tmp_path)])
    assert capsys.readouterr().err.startswith("error: ")


def test_the_command_reads_the_config_that_snakemake_wrote(config, folders, capsys):
    results, logs = folders
    results.mkdir(parents=True)
    (results / "config.json").write_text(json.dumps(config))
    status.run("quick", results.parent, logs.parent)
    assert "time left: not known yet" in capsys.readouterr().out
    found = status.jobs(config, results, logs)
    finish(results, found[0].folder, 60)
    status.run("quick", results.parent, logs.parent)
    assert "one after the other; nothing runs now" in capsys.readouterr().out
