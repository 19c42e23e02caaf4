"""The loss of a mini-batch, and its gradient, along that gradient."""

import math
from collections.abc import Callable, Iterable

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


def gradients_along(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    sizes: Iterable[float],
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> tuple[float, float, list[tuple[float, float]]]:
    """(ℓ(w), ‖g‖, [(ℓ(w − s·g), ‖∇ℓ(w − s·g) − g‖) for steps s]) with g = ∇ℓ(w), all norms L2; w is put back.

    In the model's dtype and current mode; `loss` is the mini-batch's mean, in nats if it is the cross-entropy.
    """
    parameters = list(model.parameters())

    def here() -> tuple[float, list[Tensor]]:
        value = loss(model(images), labels)
        return value.item(), list(torch.autograd.grad(value, parameters))

    origin = [p.detach().clone() for p in parameters]
    start, gradient = here()
    steps = []
    for size in sizes:
        move(model, origin, gradient, -float(size))
        value, other = here()
        steps.append((value, _norm(a - b for a, b in zip(other, gradient, strict=True))))
    with torch.no_grad():
        for parameter, before in zip(parameters, origin, strict=True):
            parameter.copy_(before)  # `move` by 0 would add 0 · ∞, where the gradient overflowed
    return start, _norm(gradient), steps


def _norm(tensors: Iterable[Tensor]) -> float:
    """The L2 norm of all entries, summed in float64."""
    return math.sqrt(sum(tensor.double().square().sum().item() for tensor in tensors))
