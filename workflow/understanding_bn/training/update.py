"""One update of the weights, as training makes it: the optimiser and a step on a mini-batch."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from understanding_bn.settings import Optimiser


def sgd(model: nn.Module, alpha: float, optimiser: Optimiser, fused: bool | None = None) -> torch.optim.SGD:
    """Stochastic gradient descent on all parameters at learning rate α. `fused`: in one kernel; None: torch decides."""
    return torch.optim.SGD(
        model.parameters(), lr=alpha, momentum=optimiser.momentum, weight_decay=optimiser.weight_decay, fused=fused
    )


def step(model: nn.Module, optimiser: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """One update on a mini-batch. Returns its loss (nats, a scalar) and logits (B, classes) before the update."""
    logits = model(images)
    loss = F.cross_entropy(logits, labels)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.detach(), logits.detach()
