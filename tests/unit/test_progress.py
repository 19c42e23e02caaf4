"""Progress: how much is done, how fast, how long it will take; for a terminal and a log file alike."""

import json
import os
from pathlib import Path

import pytest
from clock import Clock

from understanding_bn import progress


@pytest.fixture
def clock():
    return Clock()


def test_a_line_tells_epochs_speed_and_time_left(clock, capsys):
    shown = progress.Progress("batch α=0.1", 10, "epochs", ("images", 50_000), now=clock)
    shown.show(0)
    clock.advance(20)
    shown.show(2.5, "seed 0")
    assert capsys.readouterr().err == "batch α=0.1: 2.5/10 epochs, seed 0, 6,250 images/s, 1 min 0 s left\n"


def test_what_an_earlier_process_did_does_not_count_as_speed(clock, capsys):
    shown = progress.Progress("x", 10, "epochs", ("images", 100), now=clock)
    shown.show(8)
    clock.advance(10)
    shown.show(9)
    assert capsys.readouterr().err == "x: 9/10 epochs, 10 images/s, 10 s left\n"


def test_lines_come_no_more_often_than_asked_and_the_last_always(clock, capsys):
    shown = progress.Progress("x", 3, "seeds", interval=10, now=clock)
    shown.show(0)
    clock.advance(1)
    assert not shown.due(1)
    shown.show(1)
    assert capsys.readouterr().err == ""
    assert shown.due(3)
    shown.show(3)
    assert capsys.readouterr().err == "x: 3/3 seeds\n"


def test_a_job_with_nothing_left_says_so(capsys):
    progress.Progress("x", 3, "seeds").show(3)
    assert capsys.readouterr().err == "x: 3/3 seeds\n"


def beat(out):
    return json.loads(progress.beat_of(out).read_text())


def test_a_heartbeat_says_how_far_a_job_is_as_long_as_it_runs(clock, tmp_path):
    out = tmp_path / "train" / "seeds-0"
    with progress.heartbeat(out):
        begun = beat(out)
        assert (begun["line"], begun["seconds_left"], begun["process"]) == ("starting", None, os.getpid())
        shown = progress.Progress("x", 4, "epochs", now=clock)
        shown.show(0)
        clock.advance(20)
        shown.show(1)
        assert (beat(out)["line"], beat(out)["seconds_left"]) == ("x: 1/4 epochs, 1 min 0 s left", 60)
    assert not list(out.parent.iterdir())


def test_the_heartbeat_of_a_job_that_failed_stays_and_says_where(clock, tmp_path):
    with pytest.raises(ZeroDivisionError), progress.heartbeat(tmp_path / "out"):
        progress.Progress("x", 3, "epochs", now=clock).show(3)
        raise ZeroDivisionError
    assert beat(tmp_path / "out")["line"] == "x: 3/3 epochs"
    progress.Progress("y", 3, "epochs", now=clock).show(3)  # of no job
    assert beat(tmp_path / "out")["line"] == "x: 3/3 epochs"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_no_job(clock, tmp_path):
    path = progress.beat_of(tmp_path / "out")
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    part.symlink_to("/dev/full")
    with progress.heartbeat(tmp_path / "out"):
        assert not path.exists()
        part.symlink_to("/dev/full")
        progress.Progress("x", 3, "epochs", now=clock).show(3)
        assert not path.exists()


def test_a_folder_that_cannot_be_written_to_ends_no_job(clock, tmp_path, capsys):
    (tmp_path / "file").touch()
    with progress.heartbeat(tmp_path / "file" / "out"):
        progress.Progress("x", 3, "epochs", now=clock).show(3)
    assert capsys.readouterr().err == "x: 3/3 epochs\n"
