"""One seed's training as a state: what it is made of, how it starts, and what its history says of its end."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from understanding_bn.cell import Cell
from understanding_bn.models.resnet import ResNet, build
from understanding_bn.settings import Optimiser
from understanding_bn.training import divergence
from understanding_bn.training.update import sgd

# What a row of a history has where the run has not diverged; the last three only in some rows. Those of a validation
# split where there is one.
MEASURED = (
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "validation_loss",
    "validation_accuracy",
    "weight_norm",
    "clean_train_loss",
    "clean_train_accuracy",
    "test_correct",
)


@dataclass
class Run:
    """The state of one seed's training: everything that is needed to resume it."""

    model: ResNet
    optimiser: torch.optim.SGD
    epoch: int = 0  # epochs finished
    losses: Tensor = field(default_factory=lambda: torch.empty(0))  # of each mini-batch of the epoch under way
    correct: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))  # images classified correctly
    rows: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0  # mini-batches of the finished epochs
    first_loss: float | None = None  # of the run's first mini-batch
    last_loss: float | None = None
    failure: divergence.Divergence = field(default_factory=divergence.Divergence)
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict)  # weights on the CPU, by epochs done
    seconds: float = 0.0  # spent on training, in all processes that took part

    @property
    def diverged(self) -> bool:
        """Whether the run was stopped by a bad loss."""
        return self.failure.first_bad_step is not None

    @property
    def where(self) -> str:
        """How far the run has come, in words."""
        return f"{self.epoch} epochs and {len(self.losses)} mini-batches"


def start(
    cell: Cell,
    optimiser: Optimiser,
    seed: int,
    channels: int,
    classes: int,
    device: torch.device,
    plugged: Sequence[Path] = (),
) -> Run:
    """A run of `seed` before its first step. `plugged`: files that may hold its norm or initialisation."""
    model = build(cell.arch, cell.norm, cell.init, channels, classes, seed, plugged).to(device)
    # Graphs read the learning rate from the device.
    alpha = cell.alpha if device.type == "cpu" else torch.tensor(float(cell.alpha), device=device)
    return Run(model, sgd(model, alpha, optimiser, fused=True))


def finish(run: Run, train_images: int, majority_share: float) -> list[dict[str, Any]]:
    """The finished run's history: its rows, each with how the run as a whole ended."""
    failure = run.failure
    if not run.diverged and divergence.stuck_at_chance(run.rows[-1]["train_accuracy"], train_images, majority_share):
        failure = divergence.Divergence("stuck at chance", None, failure.first_absolute_step, run.last_loss)
    ending = {"failure": failure.kind} | {k: v for k, v in asdict(failure).items() if k != "kind"}
    return [row | ending for row in run.rows]


def packed(hits: Tensor) -> bytes:
    """(N,) bool as ⌈N/8⌉ bytes, the first image in the highest bit of the first byte."""
    return np.packbits(hits.cpu().numpy()).tobytes()


def state_of(model: ResNet) -> dict[str, Tensor]:
    """A copy of a network's weights and running statistics on the CPU."""
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}


def weight_norm(model: ResNet) -> float:
    """The Euclidean norm of all parameters together. BN can keep a loss finite while weights explode."""
    return float(torch.stack([p.detach().double().square().sum() for p in model.parameters()]).sum().sqrt())
