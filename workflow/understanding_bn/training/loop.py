"""The training loop: stochastic gradient descent as the paper ran it, one seed at a time."""

from collections.abc import Callable, Container, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from understanding_bn.cell import Cell
from understanding_bn.data.batches import Split
from understanding_bn.models.resnet import build
from understanding_bn.settings import Augmentation, Optimiser
from understanding_bn.training import divergence
from understanding_bn.training.update import sgd, step

# What a row of a history has where the run has not diverged; the last three only in some rows.
MEASURED = (
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "weight_norm",
    "clean_train_loss",
    "clean_train_accuracy",
    "test_correct",
)


@dataclass
class Run:
    """The state of one seed's training: everything that is needed to resume it."""

    model: nn.Module
    optimiser: torch.optim.SGD
    epoch: int = 0  # epochs finished
    losses: list[Tensor] = field(default_factory=list)  # of each mini-batch of the epoch under way
    correct: list[Tensor] = field(default_factory=list)  # images classified correctly
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
    return Run(model, sgd(model, cell.alpha, optimiser, fused=True))


def learning_rate(alpha: float, epoch: int, epochs: int, milestones: Sequence[float]) -> float:
    """The learning rate in `epoch` (from 0): α, divided by 10 at each milestone that its start has reached.

    A milestone is the share of training that it is written as: of 100 epochs, 29 are before 0.29, though the nearest
    binary number is smaller. So a training of one epoch keeps α throughout.
    """
    return alpha * 0.1 ** sum(epoch >= Decimal(repr(float(share))) * epochs for share in milestones)


def train(
    run: Run,
    cell: Cell,
    seed: int,
    train_split: Split,
    test_split: Split,
    augmentation: Augmentation,
    milestones: Sequence[float],
    tick: Callable[[], None] = lambda: None,
    keep: Container[int] = (),
) -> None:
    """Train `run` from its current state to the end of `cell.epochs`, or until it diverges.

    `tick` is called after every mini-batch, of training and of the test split, and after every epoch. It may save
    the run, which can go on from any such moment, or raise.

    The weights after each epoch in `keep`, counted from 1, and those at the end go into `run.snapshots`.

    Each epoch adds a row to `run.rows`: loss and accuracy on the training mini-batches as the optimiser saw them
    (train mode, before each update, with augmentation) and on the whole test split (eval mode). In the epoch in
    which a run diverges these are None, because no mean is taken over infinities.

    Each update is judged by the loss of the mini-batch after it, the last one by that of the mini-batch that would come
    next: a run can blow up in its last update.

    Where weights are kept, the row also has loss and accuracy on the whole training split as the test split is
    measured (eval mode, no augmentation): clean_train_loss and clean_train_accuracy. The last row of a run has
    test_correct, which test images the network classifies correctly, in the store's order, as `packed` bits.
    """
    while run.epoch < cell.epochs and not run.diverged:
        rate = learning_rate(cell.alpha, run.epoch, cell.epochs, milestones)
        for parameters in run.optimiser.param_groups:
            parameters["lr"] = rate
        _train_epoch(run, seed, cell.batch_size, train_split, augmentation, tick)
        losses = torch.stack(run.losses).float().cpu().numpy()
        correct = int(torch.stack(run.correct).sum())
        run.first_loss = float(losses[0]) if run.first_loss is None else run.first_loss
        epoch = run.epoch + 1
        judged = losses
        if epoch == cell.epochs and np.isfinite(losses).all():
            following = loss_after(run.model, next(iter(train_split.epoch(seed, epoch, cell.batch_size, augmentation))))
            judged = np.append(losses, np.float32(following))
        failure = divergence.judge(judged, run.first_loss, run.failure, run.steps, run.last_loss)
        row: dict[str, Any] = {"seed": seed, "epoch": epoch, "fraction": epoch / cell.epochs, "learning_rate": rate}
        row |= dict.fromkeys(MEASURED)
        last = epoch == cell.epochs or failure.first_bad_step is not None
        kept = last or epoch in keep
        if failure.first_bad_step is None:
            row["train_loss"] = float(losses.mean(dtype=np.float64))
            row["train_accuracy"] = correct / (len(losses) * cell.batch_size)
            row["test_loss"], hits = evaluate(run.model, test_split, tick)
            row["test_accuracy"] = hits.sum().item() / test_split.count
            row["test_correct"] = packed(hits) if last else None
            if kept:
                row["clean_train_loss"], hits = evaluate(run.model, train_split, tick)
                row["clean_train_accuracy"] = hits.sum().item() / train_split.count
            row["weight_norm"] = weight_norm(run.model)
        snapshot = {epoch: state_of(run.model)} if kept else {}
        # Together, and nothing in between can raise: a saved run is either before the epoch's end or after it.
        run.rows.append(row)
        run.steps, run.last_loss, run.epoch, run.failure = run.steps + len(losses), float(losses[-1]), epoch, failure
        run.losses, run.correct, run.snapshots = [], [], run.snapshots | snapshot
        tick()


def finish(run: Run, train_images: int, majority_share: float) -> list[dict[str, Any]]:
    """The finished run's history: its rows, each with how the run as a whole ended."""
    failure = run.failure
    if not run.diverged and divergence.stuck_at_chance(run.rows[-1]["train_accuracy"], train_images, majority_share):
        failure = divergence.Divergence("stuck at chance", None, failure.first_absolute_step, run.last_loss)
    ending = {"failure": failure.kind} | {k: v for k, v in asdict(failure).items() if k != "kind"}
    return [row | ending for row in run.rows]


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, tick: Callable[[], None] = lambda: None) -> tuple[float, Tensor]:
    """A network on a whole split, in eval mode, without augmentation.

    Returns:
        The mean cross-entropy (nats, accumulated in float64), and (N,) bool: the images classified correctly.
    """
    model.eval()
    loss = torch.zeros((), dtype=torch.float64, device=split.pixels.device)
    hits = []
    for images, labels in split.in_order():
        logits = model(images)
        loss += F.cross_entropy(logits, labels, reduction="sum").double()
        hits.append(logits.argmax(1) == labels)
        tick()
    return loss.item() / split.count, torch.cat(hits)


@torch.no_grad()
def loss_after(model: nn.Module, minibatch: tuple[Tensor, Tensor]) -> float:
    """The loss (nats) of one more mini-batch in train mode, which leaves the network as it is."""
    images, labels = minibatch
    before = [buffer.clone() for buffer in model.buffers()]
    model.train()
    loss = F.cross_entropy(model(images), labels).item()
    for buffer, value in zip(model.buffers(), before, strict=True):
        buffer.copy_(value)
    return loss


def packed(hits: Tensor) -> bytes:
    """(N,) bool as ⌈N/8⌉ bytes, the first image in the highest bit of the first byte."""
    return np.packbits(hits.cpu().numpy()).tobytes()


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's weights and running statistics on the CPU."""
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}


def weight_norm(model: nn.Module) -> float:
    """The Euclidean norm of all parameters together. BN can keep a loss finite while weights explode."""
    return float(torch.stack([p.detach().double().square().sum() for p in model.parameters()]).sum().sqrt())


def _train_epoch(
    run: Run, seed: int, batch_size: int, split: Split, augmentation: Augmentation, tick: Callable[[], None]
) -> None:
    """Make the updates left in the epoch; append each mini-batch's loss (float32) and number of hits to `run`.

    Ends early after a loss that is not finite, because no run recovers from one. On a GPU that check would force
    a synchronisation, so there it is made once an epoch, from the recorded losses; the step found is the same.
    """
    run.model.train()
    on_cpu = split.pixels.device.type == "cpu"
    for images, labels in split.epoch(seed, run.epoch, batch_size, augmentation, done=len(run.losses)):
        loss, logits = step(run.model, run.optimiser, images, labels)
        run.losses.append(loss)
        run.correct.append((logits.argmax(1) == labels).sum())
        if on_cpu and not loss.isfinite():
            return
        tick()
