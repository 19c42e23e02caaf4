"""The loss of a mini-batch along its own gradient."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from understanding_bn.analysis.context import loss_at, move

# Beyond this relative loss a curve has left every scale of interest and is not followed further.
CEILING = 1e9


def relative_losses(
    model: nn.Module, images: Tensor, labels: Tensor, sizes: Iterable[float]
) -> tuple[float, list[float]]:
    """(ℓ(w), [ℓ(w − s·g) / ℓ(w) for steps s]) with g = ∇ℓ(w), in the model's current mode; w is put back.

    ℓ is the mini-batch's mean cross-entropy in nats. The list ends with its first value that is beyond CEILING or not
    finite; a loss of exactly zero has no relative losses, and the list is one NaN.
    """
    parameters = list(model.parameters())
    loss = F.cross_entropy(model(images), labels)
    gradient = list(torch.autograd.grad(loss, parameters))
    origin = [p.detach().clone() for p in parameters]
    start = loss.item()
    curve: list[float] = []
    for size in sizes:
        move(model, origin, gradient, -float(size))
        after = loss_at(model, images, labels)
        curve.append(after / start if start else math.nan)
        if not curve[-1] < CEILING:
            break
    move(model, origin, gradient, 0.0)
    return start, curve
