"""Checkpoints: whatever ends a job and whenever, the next one goes on and ends bit for bit as if nothing had been."""

import fcntl
import itertools
import multiprocessing
import random
import signal
from dataclasses import fields

import pandas as pd
import pytest
import torch
from clock import Clock
from damage import flip_a_bit
from training_runs import (
    BATCHES,
    LOOKS,
    fresh,
    interrupted,
    job,
    lane,
    results,
    run,
    run_saving_always,
    signal_at,
    train,
)

from understanding_bn import locks
from understanding_bn.errors import Stopped
from understanding_bn.stages import train as stage
from understanding_bn.training import checkpoint, divergence, loop, signals
from understanding_bn.training.state import Run
from understanding_bn.training.update import step

FORK = multiprocessing.get_context("fork")
# Processes that train are forked from one that has torch loaded and has computed nothing: where gradients were taken in
# several threads before, as for Hessians, torch refuses to take any in a fork.
CLEAN = multiprocessing.get_context("forkserver")
CLEAN.set_forkserver_preload(["torch", "pandas"])


def same(left, right):
    """Whether two jobs left the same history and weights, bit for bit."""
    pd.testing.assert_frame_equal(left[0], right[0], check_exact=True)
    assert left[1].keys() == right[1].keys()
    for seed, epochs in left[1].items():
        assert epochs.keys() == right[1][seed].keys()
        for epoch, weights in epochs.items():
            assert all(torch.equal(value, right[1][seed][epoch][name]) for name, value in weights.items())


def state_folder(state):
    return next(folder for folder in state.iterdir() if folder.is_dir())


def stopped(digits_path, tmp_path, **changes):
    """A job that a signal ended in its second epoch, and its state folder."""
    state = tmp_path / "state"
    interrupted(LOOKS + 2, digits_path, tmp_path / "out", state, [0], **changes)
    return state_folder(state)


@pytest.fixture
def always_saving(monkeypatch):
    """Save after every mini-batch, whatever it costs."""
    monkeypatch.setattr(stage, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(stage, "SAVING_SHARE", 1e9)


def test_a_run_taken_up_anew_after_every_mini_batch_ends_the_same(digits, tmp_path):
    """Every moment at which `tick` is called: in an epoch, while testing, and between epochs."""
    whole = fresh(3)
    loop.train([lane(whole, digits, 3, keep=[1])])

    class Interruption(Exception):
        pass

    folder, starts = tmp_path / "run", 0
    while True:
        part = fresh(3)
        assert checkpoint.restore(part, folder) == bool(starts)
        starts += 1
        before = part.epoch, len(part.losses)

        def tick(lane, part=part, before=before):
            if (part.epoch, len(part.losses)) != before:
                checkpoint.save(part, folder)
                raise Interruption

        try:
            loop.train([lane(part, digits, 3, keep=[1])], tick)
            break
        except Interruption:
            continue
    assert starts == 2 * (BATCHES + 1) + 1
    assert part.rows == whole.rows
    assert list(part.snapshots) == list(whole.snapshots) == [1, 2]
    for epoch, weights in whole.snapshots.items():
        assert all(torch.equal(value, part.snapshots[epoch][name]) for name, value in weights.items())
    assert all(torch.equal(v, whole.snapshots[2][k]) for k, v in part.model.state_dict().items())


def kills(count):
    """Signals, and the look at which each is sent: the second or a later one, so that every start gets on."""
    choose = random.Random(0)
    numbers = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]
    return [(choose.randint(2, 9), choose.choice(numbers)) for _ in range(count)]


@pytest.mark.parametrize(("count", "lanes"), [(6, 1), (4, 2), pytest.param(30, 1, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("always_saving")
def test_killed_at_random_moments_it_ends_the_same(digits_path, tmp_path, count, lanes):
    out, state = tmp_path / "killed", tmp_path / "s2"
    epochs = 1 + sum(look for look, _ in kills(count)) // (2 * LOOKS)  # two seeds' epochs outlast all starts
    expected = train(digits_path, tmp_path / "whole", tmp_path / "s1", [0, 1], epochs=epochs)
    for look, number in kills(count):
        arguments = (digits_path, out, state, [0, 1], signal_at(look, number))
        process = CLEAN.Process(target=run_saving_always, args=arguments, kwargs={"epochs": epochs, "lanes": lanes})
        process.start()
        process.join()
        assert process.exitcode == (-number if number == signal.SIGKILL else 1)
        assert not (out / "run.json").exists()
    finished = train(digits_path, out, state, [0, 1], epochs=epochs, lanes=lanes)
    same(finished, expected)
    assert set(finished[2].training.resumed_seeds) >= {*range(lanes)}
    assert not any(state.iterdir())
    assert not list(out.glob(".*"))


@pytest.mark.usefixtures("always_saving")
def test_killed_while_saving_it_ends_the_same(digits_path, tmp_path):
    out, state, many = tmp_path / "killed", tmp_path / "s2", {"epochs": 5}
    for _ in range(3):
        process = CLEAN.Process(target=run_saving_always, args=(digits_path, out, state, [0]), kwargs=many)
        process.start()
        while process.is_alive() and not list(state.glob("*/.newest.*.part.checkpoint")):
            pass
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, "none of its many checkpoints was seen half-written"
    finished = train(digits_path, out, state, [0], **many)
    same(finished, train(digits_path, tmp_path / "whole", tmp_path / "s1", [0], **many))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_told_to_stop_it_saves_and_says_where_it_stands(digits_path, tmp_path, number):
    before = signal.getsignal(number)
    error = interrupted(LOOKS + 2, digits_path, tmp_path / "out", tmp_path / "state", [0, 1], number=number)
    assert error.number == number
    said = f"stopped by {signal.Signals(number).name} in seed 0 after 1 epochs and 2 mini-batches; "
    assert str(error) == said + "the next start goes on from there"
    assert signal.getsignal(number) == before
    assert not (tmp_path / "out").exists()
    again = train(digits_path, tmp_path / "out", tmp_path / "state", [0, 1])
    assert again[2].training.resumed_seeds == (0,)
    same(again, train(digits_path, tmp_path / "whole", tmp_path / "s", [0, 1]))


def test_training_seconds_count_every_start(digits_path, tmp_path):
    """The clock moves ten seconds before every look: one a mini-batch of training or testing, one after the epoch."""
    arguments = (digits_path, tmp_path / "out", tmp_path / "state")
    clock, stop = Clock(), signal_at(5)
    begun = clock.seconds

    def tick():
        clock.advance()
        stop()

    with pytest.raises(Stopped):
        stage.run(job(), *arguments, 1, "cpu", now=clock, tick=tick)
    assert clock.seconds == begun + 50
    stage.run(job(), *arguments, 1, "cpu", now=clock, tick=clock.advance)
    record = results(tmp_path / "out")[2]
    assert record.training.seconds == (10.0 * 2 * LOOKS,)
    assert record.wall_seconds == 10.0 * (2 * LOOKS - 5)


def test_saving_takes_a_hundredth_of_the_time_at_most(digits_path, tmp_path, monkeypatch):
    """With a slow disk the interval grows: the clock here moves only while saving and between mini-batches."""
    clock, saves = Clock(), []
    begun = clock.seconds

    def save(run, folder):
        saves.append(clock.seconds)
        clock.advance(2.0)

    monkeypatch.setattr(checkpoint, "save", save)
    stage.run(
        job(epochs=10), digits_path, tmp_path / "out", tmp_path / "state", 1, "cpu", now=clock, tick=clock.advance
    )
    gaps = [later - earlier for earlier, later in itertools.pairwise(saves[:-1])]
    assert len(gaps) > 3
    assert all(200 <= gap <= 220 for gap in gaps)
    assert saves[0] <= begun + stage.CHECKPOINT_SECONDS + 10


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip_a_bit, cut, empty])
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_used(
    digits_path, tmp_path, capsys, always_saving, damage
):
    folder = stopped(digits_path, tmp_path)
    damage(folder / "newest.checkpoint")
    capsys.readouterr()
    again = train(digits_path, tmp_path / "out", tmp_path / "state", [0])
    said = capsys.readouterr().err
    assert "newest.checkpoint: not used, it is damaged (its checksum differs); going back to what was saved" in said
    assert "seed 0: going on after 1 epochs and 1 mini-batches" in said
    same(again, train(digits_path, tmp_path / "whole", tmp_path / "s", [0]))


@pytest.mark.usefixtures("always_saving")
def test_with_both_checkpoints_damaged_it_starts_anew(digits_path, tmp_path, capsys):
    folder = stopped(digits_path, tmp_path)
    cut(folder / "newest.checkpoint")
    flip_a_bit(folder / "previous.checkpoint")
    again = train(digits_path, tmp_path / "out", tmp_path / "state", [0])
    first, second = (line for line in capsys.readouterr().err.splitlines() if "is damaged" in line)
    assert first.endswith("; going back to what was saved before it")
    assert second.endswith("; this seed starts anew")
    assert again[2].training.resumed_seeds == ()
    same(again, train(digits_path, tmp_path / "whole", tmp_path / "s", [0]))


def test_killed_between_the_two_renames_the_previous_checkpoint_is_there(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    part = fresh()
    checkpoint.save(part, folder)
    part.epoch = 1

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        # The last rename of a save is that of the temporary file.
        original = checkpoint.Path.replace
        patch.setattr(
            checkpoint.Path, "replace", lambda self, to: killed() if ".part" in self.name else original(self, to)
        )
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(part, folder)
    assert not (folder / "newest.checkpoint").exists()
    other = fresh()
    assert checkpoint.restore(other, folder)
    assert other.epoch == 0


def plain(value):
    """The same with numbers in the place of tensors, and dicts in that of what has a state."""
    value = value.state_dict() if hasattr(value, "state_dict") else value
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value.tolist() if isinstance(value, torch.Tensor) else value


def test_everything_that_a_run_is_made_of_is_saved(tmp_path):
    part = fresh()
    part.epoch, part.steps, part.first_loss, part.last_loss, part.seconds = 3, 33, 2.25, 1.5, 4.75
    part.losses, part.correct = torch.tensor([0.5, 0.25]), torch.tensor([7, 9])
    part.rows = [{"epoch": 1, "test_accuracy": 0.125, "failure": None}]
    part.failure = divergence.Divergence("overflow", 30, 20, 1e6)
    part.snapshots = {2: {"linear.bias": torch.tensor([1.0, 2.0])}}
    step(part.model, part.optimiser, torch.ones(4, 1, 8, 8), torch.arange(4))  # momentum, and other weights
    checkpoint.save(part, tmp_path)
    other = fresh(1)
    assert checkpoint.restore(other, tmp_path)
    for field in fields(Run):
        saved, restored = getattr(part, field.name), getattr(other, field.name)
        assert plain(restored) == plain(saved), field.name


def test_a_checkpoint_of_another_run_is_refused(tmp_path, capsys):
    part = fresh()
    checkpoint.save(part, tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "two")
    assert not checkpoint.restore(part, tmp_path / "two")
    assert "not used, it belongs to another run (one)" in capsys.readouterr().err


def test_every_setting_names_another_run():
    facts = {"alpha": "0.1", "seed": 1}
    assert checkpoint.key(facts) == checkpoint.key(dict(reversed(facts.items())))
    assert checkpoint.key(facts) != checkpoint.key(facts | {"seed": 2})


def hold(folder, ready, release):
    with locks.claim(folder, lambda: None):
        ready.set()
        release.wait()


def test_a_run_is_one_processs_and_the_next_waits(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.01)
    ready, release = FORK.Event(), FORK.Event()
    holder = FORK.Process(target=hold, args=(tmp_path / "run", ready, release))
    holder.start()
    assert ready.wait(20)
    ticks = []

    def tick():
        ticks.append(1)
        if len(ticks) == 3:
            release.set()

    with locks.claim(tmp_path / "run", tick) as waited:
        assert waited
        holder.join()
    assert len(ticks) >= 3
    said = capsys.readouterr().err
    assert said.count("waiting") == 1
    assert f"process {holder.pid} on " in said


def test_a_killed_holder_frees_the_run(tmp_path):
    ready = FORK.Event()
    holder = FORK.Process(target=hold, args=(tmp_path / "run", ready, FORK.Event()))
    holder.start()
    assert ready.wait(20)
    holder.kill()
    holder.join()
    with locks.claim(tmp_path / "run", lambda: pytest.fail("it waited")) as waited:
        assert not waited


def test_told_to_stop_while_waiting(tmp_path):
    ready, release = FORK.Event(), FORK.Event()
    holder = FORK.Process(target=hold, args=(tmp_path / "run", ready, release))
    holder.start()
    assert ready.wait(20)
    stop = signals.Stop()
    stop.signal = signal.SIGTERM
    with pytest.raises(Stopped, match="before it began"), locks.claim(tmp_path / "run", stop.check):
        pytest.fail("it had the run")
    release.set()
    holder.join()


def test_without_locks_it_says_so_and_goes_on(tmp_path, capsys, monkeypatch):
    def refuse(*arguments):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locks.claim(tmp_path / "run", lambda: None) as waited:
        assert not waited
    assert "cannot be locked" in capsys.readouterr().err


def test_two_jobs_at_once_train_once(digits_path, tmp_path, monkeypatch):
    """The second waits for the first and finds its work done."""
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.05)
    arguments = (digits_path, tmp_path / "out", tmp_path / "state", [0, 1])
    processes = [CLEAN.Process(target=run, args=arguments, kwargs={"epochs": 4}) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    both = results(tmp_path / "out")
    same(both, train(digits_path, tmp_path / "whole", tmp_path / "s", [0, 1], epochs=4))
    assert both[2].training.resumed_seeds == ()  # the second wrote nothing
    assert not any((tmp_path / "state").iterdir())


def test_the_end_is_told_once_with_the_last_accuracy(digits_path, tmp_path, capsys):
    history, _, _ = train(digits_path, tmp_path / "out", tmp_path / "state", [0])
    lines = [line for line in capsys.readouterr().err.splitlines() if "/2 epochs" in line]
    assert len(lines) == 1
    assert f"2/2 epochs, seed 0, test accuracy {history['test_accuracy'].iloc[-1]:.1%}" in lines[0]
