"""The update of ordinary training at which the loss explodes."""

from dataclasses import dataclass
from itertools import islice

from torch import Tensor, nn

from understanding_bn.analysis.context import Context, loss_at
from understanding_bn.training.divergence import BOUND
from understanding_bn.training.update import step


@dataclass(frozen=True)
class Update:
    """One update of training.

    Attributes:
        number: counted from 1.
        diverged: whether it raised its mini-batch's loss beyond BOUND times the loss at the start of training.
        images, labels: its mini-batch.
        origin: the weights before it, one tensor per parameter.
        direction: what it added to them, momentum and weight decay included.
    """

    number: int
    diverged: bool
    images: Tensor
    labels: Tensor
    origin: list[Tensor]
    direction: list[Tensor]


def diverging_update(context: Context, model: nn.Module, seed: int, alpha: float, most: int) -> Update:
    """Train at learning rate α up to the first update after which the loss on its own mini-batch has exploded.

    That is, it is more than BOUND times the loss of the first mini-batch before training, infinite or NaN. If no update
    up to number `most` does so, the last one is returned.
    """
    optimiser = context.sgd(model, alpha)
    first_loss = None
    for number, (images, labels) in enumerate(islice(context.minibatches(seed), most), start=1):  # noqa: B007
        if first_loss is None:
            first_loss = loss_at(model, images, labels)
        origin = [p.detach().clone() for p in model.parameters()]
        step(model, optimiser, images, labels)
        diverged = not loss_at(model, images, labels) <= BOUND * first_loss
        if diverged:
            break
    direction = [p.detach() - start for p, start in zip(model.parameters(), origin, strict=True)]
    return Update(number, diverged, images, labels, origin, direction)
