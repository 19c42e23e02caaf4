"""Training ahead of Snakemake: many jobs in one process, whose results its own jobs take."""

import json

import pytest
from training_runs import LOOKS, job, results, signal_at

from understanding_bn import finished
from understanding_bn.errors import Stopped, UserError
from understanding_bn.stages import ahead
from understanding_bn.stages import train as stage


@pytest.fixture(autouse=True)
def under_snakemake(monkeypatch):
    monkeypatch.setenv(finished.VARIABLE, "1")


@pytest.fixture
def jobs():
    return [job([seed], norm=norm, epochs=1) for seed in (0, 1) for norm in ("batch", "none")]


@pytest.fixture
def listed(jobs, tmp_path):
    entries = [{"spec": each.spec, "out": str(tmp_path / "results" / each.folder)} for each in jobs]
    (tmp_path / "ahead.json").write_text(json.dumps(entries))
    return tmp_path / "ahead.json"


def never():
    pytest.fail("it trained again")


def test_snakemakes_own_jobs_take_what_was_trained_ahead(jobs, listed, digits_path, tmp_path, capsys):
    ahead.run(ahead.read(listed), digits_path, tmp_path / "state", 1, "cpu", 3)
    assert "4 of 4 training jobs are left" in capsys.readouterr().out
    for each in jobs:
        out = tmp_path / "results" / each.folder
        assert not out.exists()  # Snakemake would take it for complete without knowing what it rests on
        stage.run(each, digits_path, out, tmp_path / "state", 1, "cpu", tick=never)
        alone = tmp_path / "alone" / each.folder
        stage.run(each, digits_path, alone, tmp_path / "s", 1, "cpu")
        assert results(out)[2].outputs == results(alone)[2].outputs
    ahead.run(ahead.read(listed), digits_path, tmp_path / "state", 1, "cpu", 3)
    assert "0 of 4 training jobs are left" in capsys.readouterr().out


def test_stopped_and_started_again_it_trains_what_is_left(jobs, listed, digits_path, tmp_path, capsys, monkeypatch):
    """In the order of the list: what was stopped in its third job has two finished."""
    together = stage.together

    def stopped(*arguments, **options):
        together(*arguments, **options, tick=signal_at(2 * LOOKS + 3))

    with monkeypatch.context() as patch, pytest.raises(Stopped, match="in seed 1 after 0 epochs and 3 mini-batches"):
        patch.setattr(stage, "together", stopped)
        ahead.run(ahead.read(listed), digits_path, tmp_path / "state", 1, "cpu")
    there = [(finished.aside(tmp_path / "results" / each.folder) / "run.json").is_file() for each in jobs]
    assert there == [True, True, False, False]
    capsys.readouterr()
    ahead.run(ahead.read(listed), digits_path, tmp_path / "state", 1, "cpu")
    said = capsys.readouterr()
    assert "2 of 4 training jobs are left" in said.out
    assert "seed 1: going on after 0 epochs and 3 mini-batches" in said.err


@pytest.mark.parametrize("text", ["{", "[1]", '[{"spec": "{}", "out": "x"}]', '[{"out": "x"}]', '{"a": 1}'])
def test_a_list_that_is_none_is_one_line(text, tmp_path):
    (tmp_path / "ahead.json").write_text(text)
    with pytest.raises(UserError) as caught:
        ahead.read(tmp_path / "ahead.json")
    assert "\n" not in str(caught.value)
    assert "ahead.json: not" in str(caught.value)
