"""Progress: how much is done, how fast, how long it will take; for a terminal and a log file alike."""

import pytest

from understanding_bn import progress


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_tells_epochs_speed_and_time_left(clock, capsys):
    shown = progress.Progress("batch α=0.1", 10, "epochs", ("images", 50_000))
    shown.show(0)
    clock[0] += 20
    shown.show(2.5, "seed 0")
    assert capsys.readouterr().err == "batch α=0.1: 2.5/10 epochs, seed 0, 6,250 images/s, 1 min 0 s left\n"


def test_what_an_earlier_process_did_does_not_count_as_speed(clock, capsys):
    shown = progress.Progress("x", 10, "epochs", ("images", 100))
    shown.show(8)
    clock[0] += 10
    shown.show(9)
    assert capsys.readouterr().err == "x: 9/10 epochs, 10 images/s, 10 s left\n"


def test_lines_come_no_more_often_than_asked_and_the_last_always(clock, capsys):
    shown = progress.Progress("x", 3, "seeds", interval=10)
    shown.show(0)
    clock[0] += 1
    assert not shown.due(1)
    shown.show(1)
    assert capsys.readouterr().err == ""
    assert shown.due(3)
    shown.show(3)
    assert capsys.readouterr().err == "x: 3/3 seeds\n"


def test_a_job_with_nothing_left_says_so(clock, capsys):
    progress.Progress("x", 3, "seeds").show(3)
    assert capsys.readouterr().err == "x: 3/3 seeds\n"
