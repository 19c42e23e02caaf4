"""Training: a cell of the grid and a block of seeds, from the data store to files."""

import io
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from understanding_bn import device as devices
from understanding_bn import files, finished, locks, progress, provenance, record, tables
from understanding_bn.cell import Cell
from understanding_bn.data import store as stores
from understanding_bn.data.batches import Split
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Train
from understanding_bn.models.guards import try_norm
from understanding_bn.models.resnet import WIDTHS
from understanding_bn.training import checkpoint, loop, signals
from understanding_bn.training.event_log import EventLog

CHECKPOINT_SECONDS = 30  # between checkpoints; more, if saving would take more than its share of the time
SAVING_SHARE = 0.01


def run(
    job: Train,
    store_path: Path,
    out: Path,
    state: Path,
    threads: int,
    wanted_device: str = "auto",
    now: Callable[[], float] = time.monotonic,
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Train every seed of the job, one after the other, and write history.parquet, weights.pt and run.json to `out`.

    weights.pt is {seed: {epochs done: weights}}, after each of the job's snapshots and at the end.

    A seed's result does not depend on the others: nothing is shared between them but the data. However it was
    interrupted, the job goes on from the last checkpoint in `state` when it is started again with the same settings.

    Args:
        now: returns the time in seconds, from any origin.
        tick: called after every mini-batch, of training and of the test split, and after every epoch, before the run
            is saved. It may raise.

    Raises:
        UserError: a setting does not suit the data.
        Stopped: the job was asked to stop by a signal, and has saved its state.
    """
    stopwatch = provenance.Stopwatch(now)
    device = devices.prepare(threads, wanted_device)
    if device.type == "cpu":
        print(f"{job.cell.label}: running on the CPU", file=sys.stderr)
    store = stores.load(store_path)
    if job.augmentation.flip and store.info["flip"] is False:
        raise UserError(
            f"augmentation.flip: true, but mirrored {store.info['dataset']} are different characters; set it to false"
        )
    splits = Split(store, False, job.augmentation.pad, device), Split(store, True, 0, device)
    cell, plugged = job.cell, [Path(name) for name in job.plugins]
    try_norm(cell.norm, plugged, WIDTHS, cell.batch_size, store.images.shape[1], torch.float32)
    made_with = {"data": store.info["sha256"], "device": device.type, "threads": threads}
    facts = job.model_dump(mode="json", exclude={"seeds", "plugins"}) | made_with
    facts |= {"code": job.code, "torch": torch.__version__}
    keys = {seed: checkpoint.key(facts | {"seed": seed}) for seed in job.seeds}
    keep = [cell.epoch_at(share) for share in job.snapshots]

    batches = splits[0].count // cell.batch_size
    rate = ("images", batches * cell.batch_size)
    display = progress.Progress(cell.label, cell.epochs * len(job.seeds), "epochs", rate, now=now)
    histories, weights, resumed, seconds, failures = [], {}, [], [], []
    with signals.listening() as stop, ExitStack() as resources:
        if resources.enter_context(finished.once(out, job, made_with, stop.check)):
            return
        resources.enter_context(progress.heartbeat(out))
        for position, seed in enumerate(job.seeds):
            folder = state / keys[seed]
            resources.enter_context(locks.claim(folder, stop.check))  # another block of seeds may have this one too
            training = loop.start(cell, job.optimiser, seed, store.channels, store.classes, device, plugged)
            if checkpoint.restore(training, folder):
                resumed.append(seed)
                print(f"seed {seed}: going on after {training.where}", file=sys.stderr)
            log = resources.enter_context(closing(EventLog(f"{cell.path}/seed-{seed}")))
            watch = _Watch(training, f"seed {seed}", folder, stop, display, log, position * cell.epochs, batches, now)

            def after_minibatch(watch: _Watch = watch) -> None:
                tick()
                watch.tick()

            loop.train(training, cell, seed, *splits, job.augmentation, job.milestones, after_minibatch, keep)
            watch.save()
            seconds.append(round(training.seconds, 2))
            rows = loop.finish(training, splits[0].count, store.info["majority_share"])
            failures.append(rows[-1]["failure"])
            histories += rows
            weights[seed] = training.snapshots

        tables.write(out / "history.parquet", _table(store.info["tag"], cell, histories))
        buffer = io.BytesIO()  # torch does not pass on the system's error, such as a full disk
        torch.save(weights, buffer)
        files.write_bytes(out / "weights.pt", buffer.getbuffer())
        record.finish(
            out,
            job,
            stopwatch.facts(devices.name(device), threads),
            data=store.info,
            bn_mode="train mode in training, eval mode for test accuracy",
            training=record.Training(
                resumed_seeds=resumed, failures=failures, state_keys=list(keys.values()), seconds=seconds
            ),
        )
        for key in keys.values():
            checkpoint.remove(state / key)


class _Watch:
    """Watches one run: saves it regularly and when asked to stop, shows its progress and logs it."""

    def __init__(
        self,
        training: loop.Run,
        name: str,
        folder: Path,
        stop: signals.Stop,
        display: progress.Progress,
        log: EventLog,
        before: int,
        batches: int,
        now: Callable[[], float],
    ):
        self.training, self.name, self.folder, self.stop = training, name, folder, stop
        self.progress, self.log, self.before, self.batches = display, log, before, batches
        self.now = now
        self.saved_at = self.counted_at = now()
        self.interval: float = CHECKPOINT_SECONDS
        self._tell()

    def tick(self) -> None:
        """After a mini-batch. Raises Stopped, with all saved, once a signal has come."""
        if self.stop.signal is not None:
            self.save()
            self.stop.check(f"in {self.name} after {self.training.where}")
        if self.now() - self.saved_at > self.interval:
            self.save()
        self._tell()

    def save(self) -> None:
        """Write a checkpoint. The next one is due late enough that saving takes no more than its share of the time."""
        begun = self.now()
        self.training.seconds += begun - self.counted_at
        self.counted_at = begun
        checkpoint.save(self.training, self.folder)
        self.saved_at = self.now()
        self.interval = max(CHECKPOINT_SECONDS, (self.saved_at - begun) / SAVING_SHARE)

    def _tell(self) -> None:
        run = self.training
        self.log.add(run.rows)
        done = self.before + run.epoch + len(run.losses) / (self.batches + 1)  # testing is the last part of an epoch
        if self.progress.due(done):
            accuracy = run.rows[-1]["test_accuracy"] if run.rows and not run.diverged else None
            ending = ", diverged" if run.diverged else f", test accuracy {accuracy:.1%}" if run.rows else ""
            self.progress.show(done, self.name + ending)


def _table(dataset: str, cell: Cell, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The tidy history: the data set and the cell's factors in front, types set even where all is missing."""
    table = pd.DataFrame(rows)
    factors = {"dataset": dataset} | cell.factors
    for position, (name, value) in enumerate(factors.items()):
        table.insert(position, name, value)
    measured = [name for name in loop.MEASURED if name != "test_correct"] + ["last_finite_loss"]
    steps = ["first_bad_step", "first_absolute_step"]
    return table.astype(dict.fromkeys(measured, "float64") | dict.fromkeys(steps, "Int64") | {"failure": "string"})
