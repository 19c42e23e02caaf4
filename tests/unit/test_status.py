"""Where a run stands, from made-up results and heartbeats."""

import os

import pandas as pd
import pytest
from clock import Clock
from records import finished, job, training

from understanding_bn import cli, files, progress, status
from understanding_bn.errors import UserError
from understanding_bn.experiment import load
from understanding_bn.experiment.jobs import Train
from understanding_bn.experiment.plan import jobs

NOW = 1_800_000_000


@pytest.fixture
def config():
    return load.resolve(load.load(None))


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results" / "quick"


def finish(results, made, seconds, failures=None):
    """What a job leaves that took so long."""
    more = {"training": training(made.seeds, failures)} if isinstance(made, Train) else {}
    finished(results, made, pd.DataFrame({"seed": [0]}), wall_seconds=seconds, **more)


def beat(results, made, line, seconds_left, age):
    """The heartbeat of a job that was heard of so many seconds ago."""
    path = progress.beat_of(results / made.folder)
    files.write_json(path, {"line": line, "seconds_left": seconds_left, "process": 1, "host": "here"})
    os.utime(path, (NOW - age, NOW - age))


def test_jobs_are_done_running_stopped_or_left(config, results):
    train = [made for made in jobs(config) if isinstance(made, Train)]
    seeds = len(train[0].seeds)
    finish(results, train[0], 60, (None, "overflow", *(None,) * seeds)[:seeds])
    beat(results, train[1], "none α=0.1 B=128: 3/10 epochs, seed 0, 1,000 images/s, 1 min 30 s left", 90.5, 5)
    beat(results, train[2], "none α=0.1 B=128: 3/10 epochs, seed 0, 9 s left", 9, 600)
    states = {state.folder: state for state in status.states(config, results, NOW)}
    found = [states[made.folder] for made in train]
    assert [state.state for state in found[:4]] == [status.DONE, status.RUNNING, status.STOPPED, status.LEFT]
    work = [state.work for state in found]
    seconds, unknown = status.time_left(found)
    assert seconds == pytest.approx(90.5 + 60 * sum(work[2:]) / work[0])
    assert unknown == []
    text = status.text(list(states.values()), "quick", results)
    assert f"runs trained: {seeds}, of which failed: 1 overflow" in text
    assert f"{train[1].folder}\n    none α=0.1" in text
    assert "with 1 at a time" in text
    assert "not counted" in text and "initialization relative_loss" in text
    rows = {line.split("  ")[0].strip(): line.split()[-5:] for line in text.splitlines() if "  " in line}
    assert rows["train"] == ["1", "1", "1", str(len(train) - 3), str(len(train))]


def test_the_heartbeat_that_a_job_writes_is_read(config, results):
    made, clock = jobs(config)[0], Clock()

    def state():
        return next(state for state in status.states(config, results, now=0) if state.folder == made.folder)

    assert state().state == status.LEFT
    with pytest.raises(ZeroDivisionError), progress.heartbeat(results / made.folder):
        assert (state().state, state().line, state().seconds_left) == (status.RUNNING, "starting", None)
        shown = progress.Progress("x", 4, "epochs", now=clock)
        shown.show(0)
        clock.advance(20)
        shown.show(1)
        assert (state().line, state().seconds_left) == ("x: 1/4 epochs, 1 min 0 s left", 60)
        raise ZeroDivisionError
    assert state().line == "x: 1/4 epochs, 1 min 0 s left"
    finish(results, made, 60)
    assert (state().state, state().line) == (status.DONE, "")


def test_when_all_is_done_it_says_what_comes_next(config, results):
    for made in jobs(config):
        finish(results, made, 1)
    states = status.states(config, results, NOW)
    assert {state.state for state in states} == {status.DONE}
    assert status.text(states, "quick", results).endswith("figures, claims and report come next")
    (results / "report.html").touch()
    assert status.text(states, "quick", results).endswith(f"see {results / 'report.html'}")


def test_work_is_in_proportion_to_epochs_seeds_and_network():
    small = {"arch": "resnet-20", "norm": "none", "batch_size": 128, "epochs": 5}
    assert status.work(job((0, 1), **small | {"epochs": 10})) == 4 * status.work(job((3,), **small))
    assert status.work(job((3,), **small | {"arch": "plain-110"})) > 5 * status.work(job((3,), **small))


def test_a_preset_that_was_never_started_is_one_line(tmp_path, capsys):
    with pytest.raises(UserError, match="start that preset first"):
        status.run("quick", tmp_path)
    with pytest.raises(SystemExit):
        cli.main(["status", "quick", "--results", str(tmp_path)])
    assert capsys.readouterr().err.startswith("error: ")


def test_the_command_reads_the_config_that_snakemake_wrote(config, results, capsys):
    files.write_text(results / "config.json", config.model_dump_json(indent=2) + "\n")
    status.run("quick", results.parent)
    assert "time left: not known yet" in capsys.readouterr().out
    finish(results, jobs(config)[0], 60)
    status.run("quick", results.parent)
    assert "one after the other; nothing runs now" in capsys.readouterr().out
