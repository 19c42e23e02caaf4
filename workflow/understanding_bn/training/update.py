"""One update of the weights, as training makes it: the optimiser and a step on a mini-batch."""

import inspect
from collections.abc import Callable

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


def sgd(model: nn.Module, alpha: float | Tensor, optimiser: Optimiser, fused: bool | None = None) -> SGD:
    """Stochastic gradient descent on all parameters.

    Args:
        alpha: the learning rate α; a tensor, if a graph is to read it from the device.
        fused: whether an update is one kernel; None: torch decides.
    """
    return SGD(
        model.parameters(), lr=alpha, momentum=optimiser.momentum, weight_decay=optimiser.weight_decay, fused=fused
    )


def step(
    network: Callable[[Tensor], Tensor], optimiser: torch.optim.Optimizer, images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """One update on a mini-batch. Returns its loss (nats, a scalar) and logits (B, classes) before the update.

    `network`: the model, or a function that computes its logits.
    """
    logits = network(images)
    loss = F.cross_entropy(logits, labels)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    return loss.detach(), logits.detach()
