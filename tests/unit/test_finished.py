"""Results that a job has finished while no Snakemake was there to record it."""

import os

import pytest
from damage import flip_a_bit
from training_runs import job as training_job

from understanding_bn import files, finished, locks, record
from understanding_bn.errors import Stopped
from understanding_bn.experiment.jobs import Matrices
from understanding_bn.stages import matrices
from understanding_bn.stages import train as training

JOB = Matrices(size=3, factors=(1, 2), draws=2)


@pytest.fixture(autouse=True)
def under_snakemake(monkeypatch):
    monkeypatch.setenv(finished.VARIABLE, "1")


@pytest.fixture
def left(tmp_path):
    """The folder of a job that has ended, as a Snakemake that starts it again leaves it: gone."""
    matrices.run(JOB, tmp_path / "products", 1)
    first = {path.name: path.read_bytes() for path in (tmp_path / "products").iterdir()}
    assert set(first) == {"values.parquet", "run.json"}
    for path in (tmp_path / "products").iterdir():
        path.unlink()
    (tmp_path / "products").rmdir()
    return tmp_path / "products", first


def never(*arguments):
    pytest.fail("it computed again")


def contents(out):
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_the_next_start_takes_them_and_computes_nothing(left, monkeypatch, capsys):
    out, first = left
    os.utime(finished.aside(out) / "values.parquet", (1, 1))
    monkeypatch.setattr(matrices, "singular_values", never)
    matrices.run(JOB, out, 1)
    assert contents(out) == first
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"{out}: another start of this job has finished it: its results are taken"
    )
    assert (out / "values.parquet").stat().st_mtime > 1  # newer than what it was made from
    matrices.run(JOB, out, 1)  # and again, as long as none has recorded it
    assert contents(out) == first


def test_once_recorded_it_is_computed_again(left):
    out, first = left
    finished.forget(out)
    finished.forget(out.with_name("another"))
    assert list(out.parent.iterdir()) == []
    matrices.run(JOB, out, 1)
    assert contents(out)["values.parquet"] == first["values.parquet"]


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("name", "damage"), [("values.parquet", flip_a_bit), ("values.parquet", cut), ("run.json", cut)]
)
def test_what_is_damaged_is_computed_again(left, name, damage, capsys):
    out, first = left
    damage(finished.aside(out) / name)
    capsys.readouterr()
    matrices.run(JOB, out, 1)
    assert "are taken" not in capsys.readouterr().err
    assert contents(out)["values.parquet"] == first["values.parquet"]


@pytest.mark.parametrize(
    ("job", "threads"), [(JOB.model_copy(update={"draws": 3}), 1), (JOB, 2)], ids=["other spec", "other threads"]
)
def test_what_rests_on_something_else_is_computed_again(left, job, threads, capsys):
    out, _ = left
    matrices.run(job, out, threads)
    assert "are taken" not in capsys.readouterr().err
    again = record.read(out / "run.json")
    assert (again.job, again.threads) == (job, threads)
    assert record.read(finished.aside(out) / "run.json") == again  # the newest are left aside


def test_other_code_computes_again(left, monkeypatch, capsys):
    out, _ = left
    monkeypatch.setattr(Matrices, "code", "0123456789ab")
    matrices.run(JOB, out, 1)
    assert "are taken" not in capsys.readouterr().err


def test_by_hand_a_job_is_computed_each_time_and_leaves_nothing_aside(left, monkeypatch, tmp_path):
    out, _ = left
    monkeypatch.delenv(finished.VARIABLE)
    finished.forget(out)
    for _ in range(2):
        matrices.run(JOB, out, 1)
        assert [path.name for path in tmp_path.iterdir()] == ["products"]
    monkeypatch.setattr(matrices, "singular_values", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        matrices.run(JOB, out, 1)


def test_a_job_that_fails_leaves_nothing_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(matrices, "singular_values", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        matrices.run(JOB, tmp_path / "products", 1)
    assert not finished.aside(tmp_path / "products").exists()


def test_without_hard_links_it_computes_again(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    for _ in range(2):
        matrices.run(JOB, tmp_path / "products", 1)
        assert [path.name for path in tmp_path.iterdir()] == ["products"]


def test_training_that_has_ended_is_taken_whole(digits_path, tmp_path, monkeypatch, capsys):
    out, arguments = tmp_path / "out", (digits_path, tmp_path / "out", tmp_path / "state", 1, "cpu")
    training.run(training_job([0, 1], epochs=1), *arguments)
    first = {path.name: files.sha256(path) for path in out.iterdir()}
    for path in out.iterdir():
        path.unlink()
    training.run(training_job([0, 1], epochs=1), *arguments, tick=never)
    assert {path.name: files.sha256(path) for path in out.iterdir()} == first
    assert not any((tmp_path / "state").iterdir())
    assert "are taken" in capsys.readouterr().err
    training.run(training_job([0], epochs=1), digits_path, tmp_path / "other", *arguments[2:])  # a folder of its own
    assert "are taken" not in capsys.readouterr().err


def test_told_to_stop_while_it_waits_for_another(tmp_path):
    def stop():
        raise Stopped(15, "before it began")

    out = tmp_path / "products"
    with (
        locks.claim(finished.aside(out)),
        pytest.raises(Stopped),
        finished.once(out, JOB, {"data": None, "device": "cpu", "threads": 1}, stop),
    ):
        pytest.fail("it had the job")
    assert not finished.aside(out).joinpath("run.json").exists()
