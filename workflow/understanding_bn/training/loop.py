"""The training loop: stochastic gradient descent as the paper ran it, on one run or on several side by side.

A run trains in a lane. A step of a lane reads and writes tensors at fixed places only: the plan of its epoch, the
position in it, the learning rate, the losses. So a GPU can record it once, as a graph, and replay it without Python and
without waiting. On a CPU the same step runs as it is, and the numbers do not depend on how many lanes there are.
"""

from collections.abc import Callable, Container, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from understanding_bn.cell import Cell
from understanding_bn.data.batches import Split
from understanding_bn.settings import Augmentation, Precision
from understanding_bn.training import divergence, graphs
from understanding_bn.training.precision import forward
from understanding_bn.training.state import MEASURED, Run, packed, state_of, weight_norm
from understanding_bn.training.update import step

END = object()


def learning_rate(alpha: float, epoch: int, epochs: int, milestones: Sequence[float]) -> float:
    """The learning rate in `epoch` (from 0): α, divided by 10 at each milestone that its start has reached.

    A milestone is the share of training that it is written as: of 100 epochs, 29 are before 0.29, though the nearest
    binary number is smaller. So a training of one epoch keeps α throughout.
    """
    return alpha * 0.1 ** sum(epoch >= Decimal(repr(float(share))) * epochs for share in milestones)


class Lane:
    """One run with its cell and its data, and the tensors that its steps read and write.

    Each epoch adds a row to `run.rows`: loss and accuracy on the training mini-batches as the optimiser saw them
    (train mode, before each update, with augmentation) and, if that is asked for after this epoch, on each whole split
    that is held out (eval mode). In the epoch in which a run diverges these are None, because no mean is taken over
    infinities.

    Each update is judged by the loss of the mini-batch after it, the last one by that of the mini-batch that would come
    next: a run can blow up in its last update.

    Where weights are kept, the row also has loss and accuracy on the whole training split as the test split is measured
    (eval mode, no augmentation): clean_train_loss and clean_train_accuracy. The last row of a run has test_correct,
    which test images the network classifies correctly, in the store's order, as `packed` bits.

    Args:
        run: the run, fresh or restored.
        held_out: the splits that are not trained on: "test", and "validation" where there is one.
        keep: the epochs, counted from 1, after which weights go into `run.snapshots`, in addition to the end.
        recorder: records steps on the device and replays them; None on a CPU.
        keep_losses: weights are also kept after the first epoch whose train_loss is at or below each of these.
        evaluations: how many times the splits that are held out are passed, evenly; None for after every epoch.
    """

    def __init__(
        self,
        run: Run,
        cell: Cell,
        seed: int,
        train_split: Split,
        held_out: Mapping[str, Split],
        augmentation: Augmentation,
        milestones: Sequence[float],
        keep: Container[int] = (),
        precision: Precision = "float32",
        recorder: graphs.Recorder | None = None,
        keep_losses: Sequence[float] = (),
        evaluations: int | None = None,
    ):
        self.run, self.cell, self.seed, self.keep, self.keep_losses = run, cell, seed, keep, keep_losses
        self.evaluated = cell.evaluated(evaluations)
        self.train_split = train_split
        self.augmentation, self.milestones, self.recorder = augmentation, milestones, recorder
        self.minibatches = train_split.per_epoch(cell.batch_size)
        self.network = forward(run.model, precision)
        device = train_split.pixels.device
        self._advance: Callable[[], None] = self._step
        self._scored: dict[str, Callable[[], None]] = {}  # passes over whole splits, where they are recorded
        with self.place():
            self._images = torch.arange(cell.batch_size, device=device)
            self._plan = [drawn.to(device) for drawn in train_split.plan(seed, run.epoch, augmentation)]
            self._position = torch.zeros(1, dtype=torch.int64, device=device)
            self._losses = torch.zeros(self.minibatches, device=device)
            self._correct = torch.zeros(self.minibatches, dtype=torch.int64, device=device)
            self._scores = {name: Score(split) for name, split in held_out.items()}
            if recorder is not None:
                self._record(recorder)

    def place(self) -> AbstractContextManager[object]:
        """Where the lane's work belongs on its device: whatever reads or writes its run from outside goes there."""
        return nullcontext() if self.recorder is None else self.recorder.place()

    def steps(self) -> Iterator[None]:
        """Train from the run's current state to the end of `cell.epochs`, or until it diverges.

        Yields after every mini-batch, of training and of a split that is measured, after every epoch, and while it
        waits for the device. At any such moment the run can be saved, and can go on from there.
        """
        run, cell = self.run, self.cell
        while run.epoch < cell.epochs and not run.diverged:
            rate = self.begin()
            while len(run.losses) < self.minibatches and self.advance():
                yield
            yield from self._arrival()
            epoch = run.epoch + 1
            losses = run.losses.cpu().numpy()
            run.first_loss = float(losses[0]) if run.first_loss is None else run.first_loss
            failure = self._judged(losses)
            row: dict[str, Any] = {"seed": self.seed, "epoch": epoch, "fraction": epoch / cell.epochs}
            row |= {"learning_rate": rate} | dict.fromkeys(MEASURED)
            last = epoch == cell.epochs or failure.first_bad_step is not None
            kept = last or epoch in self.keep
            if failure.first_bad_step is None:
                row["train_loss"] = float(losses.mean(dtype=np.float64))
                kept = kept or self._reached(row["train_loss"])
                row["train_accuracy"] = int(run.correct.sum()) / (len(losses) * cell.batch_size)
                for name in self._scores if epoch in self.evaluated else ():
                    row[f"{name}_loss"], row[f"{name}_accuracy"] = yield from self._score(name)
                row["test_correct"] = packed(self._scores["test"].hits) if last else None
                if kept:
                    whole = Score(self.train_split)
                    yield from evaluate(self.run.model, self.network, whole)
                    row["clean_train_loss"], row["clean_train_accuracy"] = whole.mean()
                row["weight_norm"] = weight_norm(run.model)
            if self.recorder is not None:
                graphs.count(run.model, run.steps + len(losses))
            snapshot = {epoch: state_of(run.model)} if kept else {}
            # Together, and nothing in between can raise: a saved run is either before the epoch's end or after it.
            run.rows.append(row)
            run.steps, run.last_loss = run.steps + len(losses), float(losses[-1])
            run.epoch, run.failure = epoch, failure
            self.rewind()
            run.snapshots = run.snapshots | snapshot
            yield

    def begin(self) -> float:
        """Load the plan of the epoch under way, and what is done of it already. Returns its learning rate."""
        run, done = self.run, len(self.run.losses)
        for slot, drawn in zip(self._plan, self.train_split.plan(self.seed, run.epoch, self.augmentation), strict=True):
            slot.copy_(drawn)
        self._losses[:done], self._correct[:done] = run.losses, run.correct
        self._position.fill_(done)
        rate = learning_rate(self.cell.alpha, run.epoch, self.cell.epochs, self.milestones)
        for parameters in run.optimiser.param_groups:
            if isinstance(parameters["lr"], Tensor):
                parameters["lr"].fill_(rate)
            else:
                parameters["lr"] = rate
        run.model.train()
        return rate

    def rewind(self) -> None:
        """Go back before the first mini-batch of the epoch under way; the network stays as it is."""
        self.run.losses, self.run.correct = self._losses[:0], self._correct[:0]

    def advance(self) -> bool:
        """Train on the next mini-batch. Returns whether there is hope: no run recovers from a loss that is not finite.

        To look at a loss would make a GPU wait. There it is found at the epoch's end, at the same step.
        """
        self._advance()
        done = len(self.run.losses) + 1
        self.run.losses, self.run.correct = self._losses[:done], self._correct[:done]
        return self.recorder is not None or bool(self.run.losses[-1].isfinite())

    def _step(self) -> None:
        """One update on the mini-batch at the position, its loss and hits noted, and on to the next."""
        at = self._position * self.cell.batch_size + self._images
        images, labels = self.train_split.minibatch([drawn.index_select(0, at) for drawn in self._plan])
        loss, logits = step(self.network, self.run.optimiser, images, labels)
        self._losses.index_copy_(0, self._position, loss[None])
        self._correct.index_copy_(0, self._position, (logits.argmax(1) == labels).sum()[None])
        self._position += 1

    def _record(self, recorder: graphs.Recorder) -> None:
        """Record a step and a pass over each split that is held out. The run is then as it was, momentum included."""
        run = self.run
        before = {name: value.clone() for name, value in run.model.state_dict().items()}
        momentum = {p: state["momentum_buffer"].clone() for p, state in run.optimiser.state.items() if state}
        done = run.losses, run.correct
        self.rewind()
        self.begin()
        with graphs.uncounted(run.model):
            self._advance = recorder.record(self._step)
            run.model.eval()
            for name, score in self._scores.items():
                self._scored[name] = recorder.record(partial(self._through, score))
        run.losses, run.correct = done
        run.model.load_state_dict(before)
        for parameter, state in run.optimiser.state.items():
            if "momentum_buffer" in state:
                # A first step from zero is the same as one without: dampening is 0.
                state["momentum_buffer"].copy_(momentum.get(parameter, torch.zeros_like(parameter)))

    def _arrival(self) -> Iterator[None]:
        """Wait for the device without keeping the other lanes from theirs."""
        while self.recorder is not None and not self.recorder.arrived():
            yield

    def _reached(self, loss: float) -> bool:
        """Whether an epoch of this training loss is the first at or below one at which weights are kept."""
        least = min((row["train_loss"] for row in self.run.rows), default=float("inf"))
        return any(loss <= bound < least for bound in self.keep_losses)

    def _judged(self, losses: np.ndarray) -> divergence.Divergence:
        """The run's record of divergence after an epoch of these losses."""
        run, epoch = self.run, self.run.epoch + 1
        if epoch == self.cell.epochs and np.isfinite(losses).all():
            plan = self.train_split.plan(self.seed, epoch, self.augmentation)
            first = [drawn[: self.cell.batch_size].to(run.losses.device) for drawn in plan]
            following = loss_after(run.model, self.network, self.train_split.minibatch(first))
            losses = np.append(losses, np.float32(following))
        assert run.first_loss is not None
        return divergence.judge(losses, run.first_loss, run.failure, run.steps, run.last_loss)

    def _score(self, name: str) -> Generator[None, None, tuple[float, float]]:
        """Mean loss (nats) and accuracy on a split that is held out."""
        score = self._scores[name]
        if name in self._scored:
            self._scored[name]()
            yield from self._arrival()
        else:
            yield from evaluate(self.run.model, self.network, score)
        return score.mean()

    def _through(self, score: "Score") -> None:
        """Pass a whole split through the network."""
        for _ in evaluate(self.run.model, self.network, score):
            pass


def train(
    lanes: Iterable[Lane],
    tick: Callable[[Lane], None] = lambda lane: None,
    room: Callable[[int], bool] = lambda going: going < 1,
    ended: Callable[[Lane], None] = lambda lane: None,
) -> None:
    """Train every lane's run to its end, as many side by side as there is room for, a mini-batch of each in turn.

    Args:
        lanes: the lanes; one is asked for when there is room for it.
        tick: called whenever a lane yields (see `Lane.steps`). It may save the run, or raise.
        room: whether there is room for one more lane beside so many.
        ended: called when a lane's run has ended.
    """
    waiting = iter(lanes)
    going: list[tuple[Lane, Iterator[None]]] = []
    while True:
        while room(len(going)) and (lane := next(waiting, None)) is not None:
            going.append((lane, lane.steps()))
        if not going:
            return
        for each in list(going):
            lane, steps = each
            with lane.place():
                if next(steps, END) is END:
                    going.remove(each)
                    ended(lane)
                else:
                    tick(lane)


class Score:
    """How a network does on a split: the sum of losses and which images it classifies correctly, on the device."""

    def __init__(self, split: Split):
        self.split = split
        self.loss = torch.zeros((), dtype=torch.float64, device=split.pixels.device)
        self.hits = torch.zeros(split.count, dtype=torch.bool, device=split.pixels.device)

    def mean(self) -> tuple[float, float]:
        """Mean loss (nats) and accuracy (a share)."""
        return self.loss.item() / self.split.count, self.hits.sum().item() / self.split.count


@torch.no_grad()
def evaluate(model: torch.nn.Module, network: Callable[[Tensor], Tensor], score: Score) -> Iterator[None]:
    """Pass a whole split through a network in eval mode, without augmentation. Yields after every mini-batch."""
    model.eval()
    score.loss.zero_()
    start = 0
    for images, labels in score.split.in_order():
        logits = network(images)
        score.loss += F.cross_entropy(logits, labels, reduction="sum").double()
        torch.eq(logits.argmax(1), labels, out=score.hits[start : start + len(labels)])
        start += len(labels)
        yield


@torch.no_grad()
def loss_after(model: torch.nn.Module, network: Callable[[Tensor], Tensor], minibatch: tuple[Tensor, Tensor]) -> float:
    """The loss (nats) of one more mini-batch in train mode, which leaves the network as it is."""
    images, labels = minibatch
    before = [buffer.clone() for buffer in model.buffers()]
    model.train()
    loss = F.cross_entropy(network(images), labels).item()
    for buffer, value in zip(model.buffers(), before, strict=True):
        buffer.copy_(value)
    return loss
