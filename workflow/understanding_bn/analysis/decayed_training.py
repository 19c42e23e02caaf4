"""Training with weight decay at a constant learning rate, and the norm at which scale-invariant weights settle."""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import count

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from understanding_bn.data.batches import EVALUATION_BATCH, Split, stream
from understanding_bn.models.resnet import ConvNorm
from understanding_bn.settings import Augmentation, Optimiser
from understanding_bn.training.divergence import BOUND
from understanding_bn.training.update import sgd, step

HELD_OUT, MINIBATCHES = 108, 109  # random streams of their own
BEFORE = 0.75  # share of the updates after which norm and accuracy are taken for the first time


def parted(split: Split, held_out: int) -> tuple[Tensor, Tensor]:
    """The numbers of the images to train on, and of the `held_out` that are not: random, the same for every seed."""
    order = torch.randperm(split.count, generator=torch.Generator().manual_seed(stream(HELD_OUT)))
    return order[held_out:], order[:held_out]


def minibatches(
    split: Split, index: Tensor, seed: int, batch_size: int, augmentation: Augmentation
) -> Iterator[tuple[Tensor, Tensor]]:
    """Mini-batches of the images `index`, without replacement within an epoch, epoch after epoch, without end."""
    for epoch in count():
        generator = torch.Generator().manual_seed(stream(seed, epoch, MINIBATCHES))
        order = index[torch.randperm(len(index), generator=generator)]
        for start in range(0, len(index) - batch_size + 1, batch_size):
            yield split.augmented(order[start : start + batch_size], augmentation, generator)


def scale_invariant(model: nn.Module) -> list[nn.Parameter]:
    """The kernels that batch norm follows: a network's function does not depend on their norm, but for BN's ε."""
    pairs = [[*module] for module in model.modules() if isinstance(module, ConvNorm)]
    return [conv.weight for conv, *after in pairs if after and isinstance(after[0], _BatchNorm)]


def optimiser(
    model: nn.Module, kernels: list[nn.Parameter], alpha: float, settings: Optimiser, decayed: str
) -> torch.optim.SGD:
    """Ordinary training's at learning rate α, which decays `decayed` "all" parameters, or only these "kernels"."""
    descent = sgd(model, alpha, settings)
    if decayed == "kernels":
        chosen = {id(kernel) for kernel in kernels}
        others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
        (group,) = descent.param_groups
        group["params"] = kernels
        descent.add_param_group({"params": others, "weight_decay": 0.0})
    return descent


def norm(weights: Iterable[Tensor]) -> float:
    """The Euclidean norm of all these weights together, summed in float64; NaN of none."""
    squares = [weight.detach().double().square().sum().item() for weight in weights]
    return math.sqrt(sum(squares)) if squares else math.nan


def train(
    model: nn.Module,
    weights: list[nn.Parameter],
    optimiser: torch.optim.Optimizer,
    batches: Iterator[tuple[Tensor, Tensor]],
    updates: int,
    accuracy_of: Callable[[], float],
) -> tuple[list[float], list[float], bool]:
    """Norms of `weights`, and accuracies, before the last quarter of the updates and at the end; is training sound?

    It is in train mode; `accuracy_of` may change the mode. It is not sound where a mini-batch's loss is not finite, or
    beyond `divergence.BOUND` times the first. It ends there, and norms and accuracies are NaN.

    Args:
        model: the network, which is changed.
        weights: some of its own.
    """
    first, norms, accuracies = None, [], []
    early = int(BEFORE * updates)
    for several in (early, updates - early):
        model.train()
        for _ in range(several):
            loss = step(model, optimiser, *next(batches))[0].item()
            first = loss if first is None else first
            if not math.isfinite(loss) or loss > BOUND * first:
                return [math.nan] * 2, [math.nan] * 2, False
        norms.append(norm(weights))
        accuracies.append(accuracy_of())
    return norms, accuracies, True


@torch.no_grad()
def accuracy(model: nn.Module, split: Split, index: Tensor) -> float:
    """The share of the images `index`, not augmented, that the network classifies correctly, in eval mode."""
    model.eval()
    hits = 0
    for part in index.to(split.pixels.device).split(EVALUATION_BATCH):
        centre = torch.full_like(part, split.pad)
        hits += int((model(split.gather(part, centre, centre)).argmax(1) == split.labels[part]).sum())
    return hits / len(index)
