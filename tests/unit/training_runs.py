"""Small training runs on the embedded digits, for several test modules."""

import json
import os
import signal

import pandas as pd
import pytest
import torch

from understanding_bn.cell import Cell
from understanding_bn.data.batches import Augmentation
from understanding_bn.errors import Stopped
from understanding_bn.training import job, loop

CPU = torch.device("cpu")
MILESTONES = [0.5, 0.75]
SNAPSHOTS = [0.5]
AUGMENTATION = Augmentation(1, False)
OPTIMISER = loop.Optimiser(0.9, 5e-4)


def cell(norm="batch", alpha="0.05", epochs=2, arch="resnet-8", batch_size=128):
    return Cell(arch, "xavier_uniform", norm, alpha, batch_size, epochs)


def run(path, out, state, seeds, **changes):
    """The training job itself, in this process."""
    job.run(
        path,
        cell(**changes),
        OPTIMISER,
        AUGMENTATION,
        MILESTONES,
        SNAPSHOTS,
        seeds,
        out,
        state,
        threads=1,
        wanted_device="cpu",
    )


def results(out):
    """What a job left: its history, its weights and its record."""
    return (
        pd.read_parquet(out / "history.parquet"),
        torch.load(out / "weights.pt", weights_only=True),
        json.loads((out / "run.json").read_text()),
    )


def train(path, out, state, seeds, **changes):
    run(path, out, state, seeds, **changes)
    return results(out)


def interrupt_after(ticks, call, number=signal.SIGTERM):
    """Run `call`; its process gets a signal as soon as it has made so many mini-batches."""
    original = job._Watch.tick
    left = [ticks]

    def tick(watch):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), number)
        original(watch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job._Watch, "tick", tick)
        with pytest.raises(Stopped) as caught:
            call()
    return caught.value
