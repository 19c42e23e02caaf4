"""One training job: a cell of the grid and a block of seeds, from the data store to files."""

import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from understanding_bn import device as devices
from understanding_bn import files, provenance, tables
from understanding_bn.cell import Cell
from understanding_bn.data import store as stores
from understanding_bn.data.batches import Augmentation, Split
from understanding_bn.errors import UserError
from understanding_bn.progress import Progress
from understanding_bn.training import checkpoint, loop

CHECKPOINT_SECONDS = 30
MODULE = "training.job"


def run(
    store_path: Path,
    cell: Cell,
    optimiser: loop.Optimiser,
    augmentation: Augmentation,
    milestones: list[float],
    seeds: list[int],
    out: Path,
    state: Path,
    threads: int,
    wanted_device: str,
) -> None:
    """Train every seed of the block, one after the other, and write history.parquet, weights.pt and run.json.

    A seed's result does not depend on the others: nothing is shared between them but the data. Interrupted, the
    job goes on from the last checkpoint in `state` when it is started again with the same settings.
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

    code = provenance.fingerprint(MODULE)
    label = f"{cell.norm} α={cell.alpha} B={cell.batch_size}"
    progress = Progress(label, cell.epochs * len(seeds), "epochs")
    histories, weights, states, resumed = [], {}, {}, []
    for position, seed in enumerate(seeds):
        facts = settings | {
            "seed": seed,
            "data": store.info["sha256"],
            "device": device.type,
            "threads": threads,
        }
        facts |= {"code": code, "torch": torch.__version__}
        checkpoint_path = checkpoint.folder(state, facts) / "state.pt"
        training = loop.start(cell, optimiser, seed, store.channels, store.classes, device)
        if checkpoint.restore(training, checkpoint_path):
            resumed.append(seed)
            print(f"seed {seed}: going on after epoch {training.epoch}", file=sys.stderr)
        progress.show(position * cell.epochs + training.epoch)
        saved = time.monotonic()

        def after_epoch(
            training: loop.Run, position: int = position, seed: int = seed, path: Path = checkpoint_path
        ) -> None:
            nonlocal saved
            accuracy = training.rows[-1]["test_accuracy"]
            note = f"seed {seed} " + ("diverged" if accuracy is None else f"test accuracy {accuracy:.1%}")
            progress.show(position * cell.epochs + training.epoch, note)
            finished = training.diverged or training.epoch == cell.epochs
            if time.monotonic() - saved > CHECKPOINT_SECONDS or finished:
                checkpoint.save(training, path)
                saved = time.monotonic()

        loop.train(training, cell, seed, train_split, test_split, augmentation, milestones, after_epoch)
        histories += loop.finish(training, train_split.count, store.info["majority_share"])
        weights[seed] = {name: value.cpu() for name, value in training.model.state_dict().items()}
        states[seed] = checkpoint_path.parent

    tables.write(out / "history.parquet", _table(store.info["tag"], cell, histories))
    with files.atomic(out / "weights.pt") as temporary:
        torch.save(weights, temporary)
    files.write_json(
        out / "run.json",
        {"stage": "train", "settings": settings, "seeds": seeds, "resumed_seeds": resumed}
        | {"bn_mode": "train mode in training, eval mode for test accuracy", "data": store.info}
        | stopwatch.record(MODULE, devices.name(device), threads),
    )
    for folder in states.values():
        shutil.rmtree(folder, ignore_errors=True)


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
