"""SGD with weight decay beside SGD without it whose learning rate grows instead (Li & Arora 2020)."""

import copy
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from understanding_bn.training.update import SGD, step

# PyTorch refuses ε = 0. Beside the variance of a channel this is nothing: in float64 their sum is the variance.
NO_EPSILON = 1e-60


@dataclass(frozen=True)
class Comparison:
    """How two trajectories are made from the same weights and mini-batches.

    The defaults are what the theorem assumes, and make the two equal as functions: L(cw) = L(w) for every kernel w has
    ∇L(cw) = ∇L(w)/c, so that v_t = w_t (1 − αλ)^(−t) follows SGD without decay at α(1 − αλ)^(−2t−1).

    Attributes:
        scheduled: whether the trajectory without decay has that learning rate; otherwise it keeps α.
        exact: whether normalisation has no ε. With the ε of training, no kernel is quite scale-invariant.
        everything: whether all parameters are decayed, or scheduled, as kernels are: the linear layer, and scales,
            shifts and biases, too. Otherwise the linear layer is fixed, and the others are trained at a constant α
            without decay on both sides. None of them is scale-invariant.
        momentum: that of both.
    """

    scheduled: bool = True
    exact: bool = True
    everything: bool = False
    momentum: float = 0.0


def learning_rate(alpha: float, weight_decay: float, update: int) -> float:
    """α(1 − αλ)^(−2t−1), of update t = 0, 1, …"""
    return alpha * (1 - alpha * weight_decay) ** (-2 * update - 1)


def normalisations(model: nn.Module) -> list[Any]:
    """The modules that have an ε."""
    return [module for module in model.modules() if hasattr(module, "eps")]


def differences(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    alpha: float,
    weight_decay: float,
    comparison: Comparison,
) -> Iterator[tuple[int, float, float]]:
    """(updates done, loss, largest |difference of logits|) on each mini-batch, before both trajectories' update on it.

    The loss (nats) is that of the trajectory with decay. The difference is over images and classes, and NaN where it is
    not finite.

    Args:
        model: its weights are those that both start from, and its mode is theirs. It becomes the one with decay.
        batches: images and labels in the model's dtype.
    """
    if comparison.exact:
        for module in normalisations(model):
            module.eps = NO_EPSILON
    other = copy.deepcopy(model)
    with_decay, without = (_sgd(each, alpha, comparison) for each in (model, other))
    with_decay.param_groups[0]["weight_decay"] = weight_decay
    for update, (images, labels) in enumerate(batches):
        if comparison.scheduled:
            without.param_groups[0]["lr"] = learning_rate(alpha, weight_decay, update)
        loss, logits = step(model, with_decay, images, labels)
        difference = (logits - step(other, without, images, labels)[1]).abs().max().item()
        yield update, loss.item(), difference if math.isfinite(difference) else math.nan


def _sgd(model: nn.Module, alpha: float, comparison: Comparison) -> SGD:
    """Plain SGD at α without decay. Its first group has the kernels, or all parameters."""
    kernels = {id(module.weight) for module in model.modules() if isinstance(module, nn.Conv2d)}
    matrices = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not comparison.everything:
        for matrix in matrices:
            matrix.requires_grad_(False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    first = [parameter for parameter in trained if comparison.everything or id(parameter) in kernels]
    chosen = {id(parameter) for parameter in first}
    rest = [parameter for parameter in trained if id(parameter) not in chosen]
    return SGD([{"params": first}, {"params": rest}], lr=alpha, momentum=comparison.momentum)
