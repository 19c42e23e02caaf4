"""How far the inputs of a network's layers move, in distribution, from one update to the next.

Ioffe & Szegedy (2015) call that internal covariate shift: the change of the distribution of a layer's inputs that comes
of the change of the weights before it. Of a distribution, each channel's mean and standard deviation are followed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from understanding_bn.analysis.context import attached
from understanding_bn.models.resnet import ResNet


class Moments(NamedTuple):
    """Means and standard deviations of a layer's input channels over images and positions, (C,) float64 each."""

    mean: Tensor
    std: Tensor


class Shift(NamedTuple):
    """How far a layer's input channels have moved, in means over channels; units are explained in `shift`."""

    shift: float
    of_mean: float
    of_std: float
    dead: float  # share of the channels


@torch.no_grad()
def input_moments(model: ResNet, images: Tensor) -> dict[int, Moments]:
    """Moments of what layers 2, 3, … receive of a mini-batch, in the model's mode, by the paper's number.

    Layer 1 receives the images, which do not move. The network is left as it was, running statistics included. A norm
    that draws noise in train mode draws what it would draw at the next update.
    """
    found: dict[int, Moments] = {}

    def noting(number: int) -> RemovableHandle:
        def note(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].double()
            variance, mean = torch.var_mean(values, [0, *range(2, values.dim())], correction=0)
            found[number] = Moments(mean, variance.sqrt())

        return model.layer(number).register_forward_pre_hook(note)

    with _buffers_kept(model), attached([noting(number) for number in range(2, model.depth + 1)]):
        model(images)
    return found


def shift(before: Moments, after: Moments) -> Shift:
    """How far a layer's inputs have moved.

    A channel's mean and standard deviation have changed by Δµ and Δσ. In units of its standard deviation, pooled over
    before and after, √((σ² + σ'²) / 2), its shift is √(Δµ² + Δσ²): the 2-Wasserstein distance of normal distributions
    with these moments. Channels that are constant before and after are dead, and left out; NaN if all are.
    """
    pooled = ((before.std.square() + after.std.square()) / 2).sqrt()
    alive = pooled != 0  # NaN is not zero: what is not finite stays, and shows
    of_mean, of_std = (((new - old).abs() / pooled)[alive] for old, new in zip(before, after, strict=True))
    together, dead = torch.hypot(of_mean, of_std), (~alive).double()
    return Shift(together.mean().item(), of_mean.mean().item(), of_std.mean().item(), dead.mean().item())


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """What the block does to buffers is undone."""
    before = [buffer.clone() for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, value in zip(model.buffers(), before, strict=True):
            buffer.copy_(value)
