"""What training writes for TensorBoard, read back by TensorBoard's own reader."""

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_runs import LOOKS, cell, interrupted, results, run

from understanding_bn.training import event_log
from understanding_bn.training.event_log import SCALARS, EventLog


def scalars(folder):
    """{chart: {epoch: value}} of one run; an epoch that stands there twice is a mistake."""
    events = EventAccumulator(str(folder)).Reload()
    found = {}
    for name in events.Tags()["scalars"]:
        steps = [event.step for event in events.Scalars(name)]
        assert len(steps) == len(set(steps)), f"{name} has an epoch twice"
        found[name] = {event.step: event.value for event in events.Scalars(name)}
    return found


@pytest.fixture
def logs(tmp_path, monkeypatch):
    monkeypatch.setenv(event_log.VARIABLE, str(tmp_path / "logs"))
    return tmp_path / "logs"


def agrees(folder, history):
    shown = scalars(folder)
    assert shown.keys() == set(SCALARS.values())
    for column, name in SCALARS.items():
        measured = history.set_index("epoch")[column].dropna()
        assert shown[name] == pytest.approx(measured.to_dict(), rel=1e-6), column  # TensorBoard keeps float32


def test_a_resumed_run_shows_its_history_once(digits_path, tmp_path, logs):
    arguments = (digits_path, tmp_path / "out", tmp_path / "state", [0, 1])
    interrupted(LOOKS + 2, *arguments, epochs=2)  # in the second epoch of seed 0
    first = logs / cell(epochs=2).path / "seed-0"
    assert set(scalars(first)["loss/train"]) == {1}
    run(*arguments, epochs=2)
    history, _, record = results(tmp_path / "out")
    assert record.training.resumed_seeds == (0,)
    for seed, rows in history.groupby("seed"):
        agrees(first.with_name(f"seed-{seed}"), rows)


def test_a_run_that_diverged_shows_no_infinities(digits_path, tmp_path, logs):
    run(digits_path, tmp_path / "out", tmp_path / "state", [0], norm="none", alpha=1000.0)
    history = results(tmp_path / "out")[0]
    assert history["first_bad_step"].notna().all()
    assert scalars(logs / cell(norm="none", alpha=1000.0).path / "seed-0").keys() == {"schedule/learning_rate"}


def test_results_do_not_depend_on_the_log(digits_path, tmp_path, logs, monkeypatch):
    run(digits_path, tmp_path / "watched", tmp_path / "state", [0])
    monkeypatch.delenv(event_log.VARIABLE)
    run(digits_path, tmp_path / "alone", tmp_path / "state", [0])
    watched, alone = results(tmp_path / "watched"), results(tmp_path / "alone")
    pd.testing.assert_frame_equal(watched[0], alone[0], check_exact=True)
    assert watched[2].training.state_keys == alone[2].training.state_keys, (
        "a watched run goes on as one that isn't, and back"
    )


def test_nothing_is_written_unless_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(event_log.VARIABLE, "")
    log = EventLog("run")
    log.add([{"epoch": 1}])
    log.close()
    assert not list(tmp_path.iterdir())
