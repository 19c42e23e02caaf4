"""Checkpoints: whatever ends a job and whenever, the next one goes on and ends bit for bit as if nothing had been."""

import fcntl
import itertools
import multiprocessing
import os
import random
import signal
import time

import pandas as pd
import pytest
import torch
from damage import flip_a_bit
from training_runs import AUGMENTATION, CPU, MILESTONES, OPTIMISER, cell, interrupt_after, results, run, train

from understanding_bn.data.batches import Split
from understanding_bn.errors import Stopped
from understanding_bn.training import checkpoint, job, loop, signals

FORK = multiprocessing.get_context("fork")  # the child has torch loaded already


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
    interrupt_after(15, lambda: run(digits_path, tmp_path / "out", state, [0], **changes))
    return state_folder(state)


def save_every(seconds, monkeypatch):
    """Save that often, whatever it costs."""
    monkeypatch.setattr(job, "CHECKPOINT_SECONDS", seconds)
    monkeypatch.setattr(job, "SAVING_SHARE", 1e9)


def test_a_run_taken_up_anew_after_every_mini_batch_ends_the_same(digits, tmp_path):
    """Every moment at which `tick` is called: in an epoch, while testing, and between epochs."""
    splits = Split(digits, False, 1, CPU), Split(digits, True, 0, CPU)
    whole = loop.start(cell(), OPTIMISER, 3, 1, 10, CPU)
    loop.train(whole, cell(), 3, *splits, AUGMENTATION, MILESTONES, keep=[1])

    class Interruption(Exception):
        pass

    folder, starts = tmp_path / "run", 0
    while True:
        part = loop.start(cell(), OPTIMISER, 3, 1, 10, CPU)
        assert checkpoint.restore(part, folder) == bool(starts)
        starts += 1
        before = part.epoch, len(part.losses)

        def tick(part=part, before=before):
            if (part.epoch, len(part.losses)) != before:
                checkpoint.save(part, folder)
                raise Interruption

        try:
            loop.train(part, cell(), 3, *splits, AUGMENTATION, MILESTONES, tick, keep=[1])
            break
        except Interruption:
            continue
    assert starts == 2 * (1437 // 128 + 1) + 1
    assert part.rows == whole.rows
    assert list(part.snapshots) == list(whole.snapshots) == [1, 2]
    for epoch, weights in whole.snapshots.items():
        assert all(torch.equal(value, part.snapshots[epoch][name]) for name, value in weights.items())
    assert all(torch.equal(v, whole.snapshots[2][k]) for k, v in part.model.state_dict().items())


def test_thirty_kills_at_random_moments(digits_path, tmp_path, monkeypatch):
    settings = {"epochs": 50, "norm": "batch"}
    expected = train(digits_path, tmp_path / "whole", tmp_path / "s1", [0, 1], **settings)
    save_every(0.02, monkeypatch)
    choose = random.Random(0)
    ends = []
    while len(ends) < 30:
        process = FORK.Process(
            target=run, args=(digits_path, tmp_path / "killed", tmp_path / "s2", [0, 1]), kwargs=settings
        )
        process.start()
        time.sleep(choose.uniform(0.02, 0.6))
        assert process.is_alive(), "the job ended before it had been killed thirty times"
        os.kill(process.pid, choose.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
        process.join()
        ends.append(process.exitcode)
        assert not (tmp_path / "killed" / "run.json").exists()
    assert ends.count(-signal.SIGKILL) >= 10
    killed = train(digits_path, tmp_path / "killed", tmp_path / "s2", [0, 1], **settings)
    same(killed, expected)
    assert killed[2]["resumed_seeds"]
    assert not any((tmp_path / "s2").iterdir())
    assert not list((tmp_path / "killed").glob(".*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_told_to_stop_it_saves_and_says_where_it_stands(digits_path, tmp_path, number):
    before = signal.getsignal(number)
    error = interrupt_after(15, lambda: run(digits_path, tmp_path / "out", tmp_path / "state", [0, 1]), number)
    assert error.number == number
    said = f"stopped by {signal.Signals(number).name} in seed 0 after 1 epochs and 2 mini-batches; "
    assert str(error) == said + "the next start goes on from there"
    assert signal.getsignal(number) == before
    assert not (tmp_path / "out").exists()
    again = train(digits_path, tmp_path / "out", tmp_path / "state", [0, 1])
    assert again[2]["resumed_seeds"] == [0]
    same(again, train(digits_path, tmp_path / "whole", tmp_path / "s", [0, 1]))


def test_training_seconds_count_every_start(digits_path, tmp_path, monkeypatch):
    """The clock moves ten seconds before every look: one a mini-batch, one in testing, one after the epoch."""
    now = [0.0]
    original = job._Watch.tick

    def tick(watch):
        now[0] += 10.0
        original(watch)

    monkeypatch.setattr(job.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(job._Watch, "tick", tick)
    interrupt_after(5, lambda: run(digits_path, tmp_path / "out", tmp_path / "state", [0]))
    record = train(digits_path, tmp_path / "out", tmp_path / "state", [0])[2]
    looks = 2 * (1437 // 128 + 1 + 1)
    assert record["training_seconds"] == [10.0 * looks]
    assert record["wall_seconds"] == 10.0 * (looks - 5)


def test_saving_takes_a_hundredth_of_the_time_at_most(digits_path, tmp_path, monkeypatch):
    """With a slow disk the interval grows: the clock here moves only while saving and between mini-batches."""
    now, saves = [0.0], []

    def save(run, folder):
        saves.append(now[0])
        now[0] += 2.0

    original = job._Watch.tick

    def tick(watch):
        now[0] += 10.0
        original(watch)

    monkeypatch.setattr(job.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(job.checkpoint, "save", save)
    monkeypatch.setattr(job._Watch, "tick", tick)
    run(digits_path, tmp_path / "out", tmp_path / "state", [0], epochs=10)
    gaps = [later - earlier for earlier, later in itertools.pairwise(saves[:-1])]
    assert len(gaps) > 3
    assert all(200 <= gap <= 220 for gap in gaps)
    assert saves[0] <= job.CHECKPOINT_SECONDS + 10


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip_a_bit, cut, empty])
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_used(digits_path, tmp_path, capsys, monkeypatch, damage):
    save_every(0, monkeypatch)
    folder = stopped(digits_path, tmp_path)
    damage(folder / "newest.checkpoint")
    capsys.readouterr()
    again = train(digits_path, tmp_path / "out", tmp_path / "state", [0])
    said = capsys.readouterr().err
    assert "newest.checkpoint: not used, it is damaged (its checksum differs); going back to what was saved" in said
    assert "seed 0: going on after 1 epochs and 1 mini-batches" in said
    same(again, train(digits_path, tmp_path / "whole", tmp_path / "s", [0]))


def test_with_both_checkpoints_damaged_it_starts_anew(digits_path, tmp_path, capsys, monkeypatch):
    save_every(0, monkeypatch)
    folder = stopped(digits_path, tmp_path)
    cut(folder / "newest.checkpoint")
    flip_a_bit(folder / "previous.checkpoint")
    again = train(digits_path, tmp_path / "out", tmp_path / "state", [0])
    assert capsys.readouterr().err.count("is damaged") == 2
    assert again[2]["resumed_seeds"] == []
    same(again, train(digits_path, tmp_path / "whole", tmp_path / "s", [0]))


def test_killed_between_the_two_renames_the_previous_checkpoint_is_there(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    part = loop.start(cell(), OPTIMISER, 0, 1, 10, CPU)
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
    fresh = loop.start(cell(), OPTIMISER, 0, 1, 10, CPU)
    assert checkpoint.restore(fresh, folder)
    assert fresh.epoch == 0


def test_a_checkpoint_of_another_run_is_refused(tmp_path, capsys):
    part = loop.start(cell(), OPTIMISER, 0, 1, 10, CPU)
    checkpoint.save(part, tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "two")
    assert not checkpoint.restore(part, tmp_path / "two")
    assert "not used, it belongs to another run (one)" in capsys.readouterr().err


def test_every_setting_names_another_run():
    facts = {"alpha": "0.1", "seed": 1}
    assert checkpoint.key(facts) == checkpoint.key(dict(reversed(facts.items())))
    assert checkpoint.key(facts) != checkpoint.key(facts | {"seed": 2})


def hold(folder, ready, release):
    with checkpoint.claim(folder, lambda: None):
        ready.set()
        release.wait()


def test_a_run_is_one_processs_and_the_next_waits(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(checkpoint, "WAIT_SECONDS", 0.01)
    ready, release = FORK.Event(), FORK.Event()
    holder = FORK.Process(target=hold, args=(tmp_path / "run", ready, release))
    holder.start()
    assert ready.wait(20)
    ticks = []

    def tick():
        ticks.append(1)
        if len(ticks) == 3:
            release.set()

    with checkpoint.claim(tmp_path / "run", tick) as waited:
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
    with checkpoint.claim(tmp_path / "run", lambda: pytest.fail("it waited")) as waited:
        assert not waited


def test_told_to_stop_while_waiting(tmp_path):
    ready, release = FORK.Event(), FORK.Event()
    holder = FORK.Process(target=hold, args=(tmp_path / "run", ready, release))
    holder.start()
    assert ready.wait(20)
    stop = signals.Stop()
    stop.signal = signal.SIGTERM
    with pytest.raises(Stopped, match="before it began"), checkpoint.claim(tmp_path / "run", stop.check):
        pytest.fail("it had the run")
    release.set()
    holder.join()


def test_without_locks_it_says_so_and_goes_on(tmp_path, capsys, monkeypatch):
    def refuse(*arguments):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with checkpoint.claim(tmp_path / "run", lambda: None) as waited:
        assert not waited
    assert "cannot be locked" in capsys.readouterr().err


def test_two_jobs_at_once_train_once(digits_path, tmp_path, monkeypatch):
    """The second waits for the first and finds its work done."""
    monkeypatch.setattr(checkpoint, "WAIT_SECONDS", 0.05)
    arguments = (digits_path, tmp_path / "out", tmp_path / "state", [0, 1])
    processes = [FORK.Process(target=run, args=arguments, kwargs={"epochs": 8}) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    both = results(tmp_path / "out")
    same(both, train(digits_path, tmp_path / "whole", tmp_path / "s", [0, 1], epochs=8))
    assert both[2]["resumed_seeds"] == []  # the second wrote nothing
    assert not any((tmp_path / "state").iterdir())


def test_the_end_is_told_once_with_the_last_accuracy(digits_path, tmp_path, capsys):
    history, _, _ = train(digits_path, tmp_path / "out", tmp_path / "state", [0])
    lines = [line for line in capsys.readouterr().err.splitlines() if "/2 epochs" in line]
    assert len(lines) == 1
    assert f"2/2 epochs, seed 0, test accuracy {history['test_accuracy'].iloc[-1]:.1%}" in lines[0]
