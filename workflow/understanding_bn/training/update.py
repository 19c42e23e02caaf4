"""One update of the weights, as training makes it: the optimiser and a step on a mini-batch."""

import inspect

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from understanding_bn.settings import Optimiser


class SGD(torch.optim.SGD):
    """torch's own, without the wrappers that hide it from `torch.compile`: on first use they load the compiler.

    That takes four seconds of every process, and nothing is compiled here. The wrapped functions are torch's.
    """

    add_param_group = inspect.unwrap(torch.optim.SGD.add_param_group)
    load_state_dict = inspect.unwrap(torch.optim.SGD.load_state_dict)
    state_dict = inspect.unwrap(torch.optim.SGD.state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))
    zero_grad = inspect.unwrap(torch.optim.SGD.zero_grad)


def sgd(model: nn.Module, alpha: float, optimiser: Optimiser, fused: bool | None = None) -> SGD:
    """Stochastic gradient descent on all parameters at learning rate α. `fused`: in one kernel; None: torch decides."""
    return SGD(
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
