"""What every measurement shares: the data, the network and the mini-batches that training sees."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from understanding_bn.data.batches import Split, stream
from understanding_bn.models.resnet import ResNet, build
from understanding_bn.settings import Augmentation, Optimiser
from understanding_bn.training.update import sgd


@dataclass(frozen=True)
class Context:
    """A data set and a network architecture to measure on.

    Attributes:
        split: the training split, on the device.
        classes: number of classes.
        arch, init: as in the config.
        batch_size: B.
        augmentation, optimiser: those of ordinary training.
        weights: state dict of the network to measure; None for the one at initialisation.
        alpha: the learning rate α of the cell that is measured; None where the network is of no cell.
        plugged: files of the user's that may hold the norm or the initialisation.
        epoch: how many epochs it was trained for.
        rate: the learning rate of the update that would come next; NaN at initialisation, where any may come.
    """

    split: Split
    classes: int
    arch: str
    init: str
    batch_size: int
    augmentation: Augmentation
    optimiser: Optimiser
    weights: dict[str, Tensor] | None = None
    alpha: float | None = None
    plugged: tuple[Path, ...] = ()
    epoch: int = 0
    rate: float = math.nan

    def of(self, weights: dict[str, Tensor], epoch: int = 0, rate: float = math.nan) -> "Context":
        """The same for the network with these weights, after so many epochs of training."""
        return replace(self, weights=weights, epoch=epoch, rate=rate)

    def model(self, norm: str, seed: int) -> ResNet:
        """The network to measure, in train mode: batch norm uses the mini-batch's moments.

        Without `weights` it is that of `seed` before its first step.
        """
        model = build(self.arch, norm, self.init, self.split.channels, self.classes, seed, self.plugged)
        if self.weights is not None:
            model.load_state_dict(self.weights)
        return model.to(self.split.pixels.device).train()

    def minibatches(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The mini-batches that training with this seed sees next, in order, epoch after epoch, without end."""
        for epoch in count(self.epoch):
            yield from self.split.epoch(seed, epoch, self.batch_size, self.augmentation)

    def draws(self, sampling: str, count: int, seed: int, domain: int) -> Iterator[tuple[Tensor, Tensor]]:
        """`count` mini-batches of B images, drawn independently of each other, with training's augmentation.

        Args:
            sampling: "subset": B different images; "replacement": each image drawn independently from all.
            domain: a number that keeps these draws apart from those for other purposes with the same seed.

        Raises:
            UserError: there are fewer than B different images.
        """
        if sampling == "subset":
            self.split.must_have("batch_size", self.batch_size)
        generator = torch.Generator().manual_seed(stream(seed, domain))
        images = self.split.count
        for _ in range(count):
            if sampling == "subset":
                index = torch.randperm(images, generator=generator)[: self.batch_size]
            else:
                index = torch.randint(images, (self.batch_size,), generator=generator)
            yield self.split.augmented(index, self.augmentation, generator)

    def sgd(self, model: nn.Module, alpha: float) -> torch.optim.SGD:
        """Ordinary training's optimiser at learning rate α."""
        return sgd(model, alpha, self.optimiser)

    @torch.no_grad()
    def first_update(self, model: nn.Module, origin: list[Tensor], alpha: float) -> Tensor:
        """What training's first step adds to the weights, (parameters,) float64, from the gradients in the model.

        `origin` is a copy of the weights, one tensor per parameter, from which they are put back.
        """
        self.sgd(model, alpha).step()
        parameters = list(model.parameters())
        update = flat([p.detach().double() - start.double() for p, start in zip(parameters, origin, strict=True)])
        for parameter, start in zip(parameters, origin, strict=True):
            parameter.copy_(start)
        return update


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """The modules that join the images of a mini-batch. Without them, train and eval mode are the same."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """One float64 vector of all entries, in each tensor's logical order."""
    return torch.cat([tensor.double().flatten() for tensor in tensors])


@contextmanager
def attached(hooks: list[RemovableHandle]) -> Iterator[None]:
    """Remove these hooks when the block ends, however it ends."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def loss_at(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The mean cross-entropy (nats) of a mini-batch at the current weights, in the model's current mode."""
    return F.cross_entropy(model(images), labels).item()


@torch.no_grad()
def move(model: nn.Module, origin: list[Tensor], direction: list[Tensor], distance: float) -> None:
    """Set the weights to origin + distance · direction; each list holds one tensor per parameter."""
    for parameter, start, along in zip(model.parameters(), origin, direction, strict=True):
        torch.add(start, along, alpha=distance, out=parameter)
