"""Small training runs on the embedded digits, for several test modules."""

import os
import signal
from dataclasses import dataclass

import pandas as pd
import pytest
import torch

from understanding_bn import record
from understanding_bn.cell import Cell
from understanding_bn.data.batches import Split
from understanding_bn.data.store import SPLITS
from understanding_bn.errors import Stopped
from understanding_bn.experiment.jobs import Train
from understanding_bn.settings import Augmentation, Optimiser
from understanding_bn.stages import train as stage
from understanding_bn.training import checkpoint, loop
from understanding_bn.training.state import start

CPU = torch.device("cpu")
MILESTONES = (0.5, 0.75)
AUGMENTATION = Augmentation(pad=1, flip=False)
OPTIMISER = Optimiser(momentum=0.9, weight_decay=5e-4)
BATCHES = 1437 // 128  # mini-batches of an epoch
# And ticks: one for each, one on the test images, three on the training images, one after the epoch.
LOOKS = BATCHES + 5


def cell(norm="batch", alpha=0.05, epochs=2, arch="resnet-8", batch_size=128):
    facts = {"norm": norm, "alpha": alpha, "epochs": epochs, "arch": arch, "batch_size": batch_size}
    return Cell(init="xavier_uniform", **facts)


def job(seeds=(0,), snapshots=(0.5,), **changes):
    """The training job of a cell."""
    settings = {"optimiser": OPTIMISER, "augmentation": AUGMENTATION, "milestones": MILESTONES, "snapshots": snapshots}
    return Train(cell=cell(**changes), seeds=tuple(seeds), **settings)


def fresh(seed=0, **changes):
    """A run before its first step."""
    return start(cell(**changes), OPTIMISER, seed, 1, 10, CPU)


def lane(run, data, seed=0, keep=(), recorder=None, precision="float32", keep_losses=(), evaluations=None, **changes):
    """A lane in which a run of the cell trains on these data."""
    held_out = {name: Split(data, name, 0, CPU) for name in SPLITS[1:] if data.rows(name).any()}
    splits = Split(data, "train", 1, CPU), held_out
    settings = (AUGMENTATION, MILESTONES, keep, precision, recorder, keep_losses, evaluations)
    return loop.Lane(run, cell(**changes), seed, *splits, *settings)


def left_in_the_second_epoch(lane, folder):
    """Train a lane until four mini-batches of its second epoch are done, save its run to `folder`, and leave it."""

    class Interruption(Exception):
        pass

    def tick(lane):
        if lane.run.epoch == 1 and len(lane.run.losses) == 4:
            checkpoint.save(lane.run, folder)
            raise Interruption

    with pytest.raises(Interruption):
        loop.train([lane], tick)


def run(path, out, state, seeds, tick=lambda: None, lanes=None, **changes):
    """The training job itself, in this process."""
    stage.run(job(seeds, **changes), path, out, state, threads=1, wanted_device="cpu", lanes=lanes, tick=tick)


def results(out):
    """What a job left: its history, its weights and its record."""
    return (
        pd.read_parquet(out / "history.parquet"),
        torch.load(out / "weights.pt", weights_only=True),
        record.read(out / "run.json"),
    )


def train(path, out, state, seeds, **changes):
    run(path, out, state, seeds, **changes)
    return results(out)


@dataclass
class signal_at:
    """A tick that sends its process a signal when it is called for the `look`-th time."""

    look: int
    number: int = signal.SIGTERM

    def __call__(self):
        self.look -= 1
        if self.look == 0:
            os.kill(os.getpid(), self.number)


def run_saving_always(*arguments, **changes):
    """The same in a process of its own, with a checkpoint after every mini-batch."""
    stage.CHECKPOINT_SECONDS, stage.SAVING_SHARE = 0, 1e9
    run(*arguments, **changes)


def interrupted(look, *arguments, number=signal.SIGTERM, **changes):
    """Run a job that gets a signal after so many mini-batches; returns what it ends with."""
    with pytest.raises(Stopped) as caught:
        run(*arguments, tick=signal_at(look, number), **changes)
    return caught.value
