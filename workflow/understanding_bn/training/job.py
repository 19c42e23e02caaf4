"""One training job: a cell of the grid and a block of seeds, from the data store to files."""

import io
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from understanding_bn import device as devices
from understanding_bn import files, plugins, provenance, runs, tables
from understanding_bn.cell import Cell
from understanding_bn.data import store as stores
from understanding_bn.data.batches import Augmentation, Split
from understanding_bn.errors import UserError
from understanding_bn.progress import Progress
from understanding_bn.training import checkpoint, loop, signals
from understanding_bn.training.event_log import EventLog

MODULE = "training.job"
CHECKPOINT_SECONDS = 30  # between checkpoints; more, if saving would take more than its share of the time
SAVING_SHARE = 0.01


def run(
    store_path: Path,
    cell: Cell,
    optimiser: loop.Optimiser,
    augmentation: Augmentation,
    milestones: list[float],
    snapshots: list[float],
    seeds: list[int],
    out: Path,
    state: Path,
    threads: int,
    wanted_device: str,
) -> None:
    """Train every seed of the block, one after the other, and write history.parquet, weights.pt and run.json.

    weights.pt is {seed: {epochs done: weights}}, after each share of training in `snapshots` and at the end.

    A seed's result does not depend on the others: nothing is shared between them but the data. Interrupted in
    whatever way, the job goes on from the last checkpoint in `state` when it is started again with the same settings.

    Raises:
        UserError: a setting does not suit the data.
        Stopped: the job was told to stop by a signal, and has saved where it stands.
    """
    stopwatch = provenance.Stopwatch()
    device = devices.prepare(threads, wanted_device)
    store = stores.load(store_path)
    if augmentation.flip and store.info["flip"] is False:
        raise UserError(
            f"augmentation.flip: true, but mirrored {store.info['dataset']} are other signs; set it to false"
        )
    train_split = Split(store, False, augmentation.pad, device)
    test_split = Split(store, True, 0, device)
    settings: dict[str, Any] = asdict(cell) | asdict(optimiser) | {"augmentation": asdict(augmentation)}
    settings["milestones"] = milestones
    settings["snapshots"] = [cell.epoch_at(share) for share in snapshots]
    own = plugins.sources(cell.norm, cell.init)
    facts = settings | {"data": store.info["sha256"], "device": device.type, "threads": threads}
    facts |= {"code": provenance.fingerprint(MODULE, own), "torch": torch.__version__}
    keys = {seed: checkpoint.key(facts | {"seed": seed}) for seed in seeds}

    label = f"{cell.norm} α={cell.alpha} B={cell.batch_size}"
    batches = train_split.count // cell.batch_size
    progress = Progress(label, cell.epochs * len(seeds), "epochs", ("images", batches * cell.batch_size))
    histories, weights, resumed, seconds, failures = [], {}, [], [], []
    with signals.listening() as stop, ExitStack() as held:
        for position, seed in enumerate(seeds):
            folder = state / keys[seed]
            if held.enter_context(checkpoint.claim(folder, stop.check)) and _finished(out, keys):
                print(f"{out}: another process has finished these runs meanwhile", file=sys.stderr)
                checkpoint.remove(folder)
                return
            training = loop.start(cell, optimiser, seed, store.channels, store.classes, device)
            if checkpoint.restore(training, folder):
                resumed.append(seed)
                print(f"seed {seed}: going on after {training.where}", file=sys.stderr)
            log = held.enter_context(closing(EventLog(f"{cell.path}/seed-{seed}")))
            watch = _Watch(training, f"seed {seed}", folder, stop, progress, log, position * cell.epochs, batches)
            splits = (train_split, test_split)
            keep = settings["snapshots"]
            loop.train(training, cell, seed, *splits, augmentation, milestones, watch.tick, keep)
            watch.save()
            seconds.append(round(training.seconds, 2))
            rows = loop.finish(training, train_split.count, store.info["majority_share"])
            failures.append(rows[-1]["failure"])
            histories += rows
            weights[seed] = training.snapshots

        tables.write(out / "history.parquet", _table(store.info["tag"], cell, histories))
        buffer = io.BytesIO()  # torch does not pass on the system's error, such as a full disk
        torch.save(weights, buffer)
        files.write_bytes(out / "weights.pt", buffer.getbuffer())
        runs.finish(
            out,
            f"train/{cell.path}",
            ["history.parquet", "weights.pt"],
            {"stage": "train", "settings": settings, "seeds": seeds, "resumed_seeds": resumed}
            | {"failures": failures, "state_keys": list(keys.values()), "training_seconds": seconds}
            | {"bn_mode": "train mode in training, eval mode for test accuracy", "data": store.info}
            | stopwatch.record(MODULE, devices.name(device), threads, own),
        )
        for key in keys.values():
            checkpoint.remove(state / key)


class _Watch:
    """Looks at one run after every mini-batch: saves it every so often and when told to stop; shows and logs it."""

    def __init__(
        self,
        training: loop.Run,
        name: str,
        folder: Path,
        stop: signals.Stop,
        progress: Progress,
        log: EventLog,
        before: int,
        batches: int,
    ):
        self.training, self.name, self.folder, self.stop = training, name, folder, stop
        self.progress, self.log, self.before, self.batches = progress, log, before, batches
        self.saved_at = self.counted_at = time.monotonic()
        self.interval: float = CHECKPOINT_SECONDS
        self._tell()

    def tick(self) -> None:
        """After a mini-batch. Raises Stopped, with all saved, once a signal has come."""
        if self.stop.signal is not None:
            self.save()
            self.stop.check(f"in {self.name} after {self.training.where}")
        if time.monotonic() - self.saved_at > self.interval:
            self.save()
        self._tell()

    def save(self) -> None:
        """Write a checkpoint. The next is due so late that saving takes no more than its share of the time."""
        begun = time.monotonic()
        self.training.seconds += begun - self.counted_at
        self.counted_at = begun
        checkpoint.save(self.training, self.folder)
        self.saved_at = time.monotonic()
        self.interval = max(CHECKPOINT_SECONDS, (self.saved_at - begun) / SAVING_SHARE)

    def _tell(self) -> None:
        run = self.training
        self.log.add(run.rows)
        done = self.before + run.epoch + len(run.losses) / (self.batches + 1)  # testing is the last part of an epoch
        if self.progress.due(done):
            accuracy = run.rows[-1]["test_accuracy"] if run.rows and not run.diverged else None
            ending = ", diverged" if run.diverged else f", test accuracy {accuracy:.1%}" if run.rows else ""
            self.progress.show(done, self.name + ending)


def _finished(out: Path, keys: dict[int, str]) -> bool:
    """Whether `out` holds the results of these very runs."""
    record = out / "run.json"
    return record.is_file() and files.read_json(record).get("state_keys") == list(keys.values())


def _table(dataset: str, cell: Cell, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The tidy history: the data set and the cell's factors in front, and types that hold where all is missing."""
    table = pd.DataFrame(rows)
    factors = {"dataset": dataset} | asdict(cell) | {"alpha": float(cell.alpha)}
    for position, (name, value) in enumerate(factors.items()):
        table.insert(position, name, value)
    measured = [
        "train_loss",
        "train_accuracy",
        "test_loss",
        "test_accuracy",
        "weight_norm",
        "last_finite_loss",
    ]
    steps = ["first_bad_step", "first_absolute_step"]
    return table.astype(dict.fromkeys(measured, "float64") | dict.fromkeys(steps, "Int64") | {"failure": "string"})
