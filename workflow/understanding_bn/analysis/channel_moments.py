"""What passes through a network: outputs of its layers, their moments by channel, and the means of their inputs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from understanding_bn.analysis.context import attached
from understanding_bn.models.resnet import ResNet

# Where the moments of layer ℓ can be taken: the output of its convolution, before normalisation and ReLU, or the
# residual stream that it belongs to, after the ReLU.
SITES = {"convolution": ResNet.layer, "stream": ResNet.stream}


@contextmanager
def recorded(model: ResNet, layers: Iterable[int], site: str) -> Iterator[dict[int, Tensor]]:
    """While the block runs, keep the outputs of `layers` at `site` in the dict that this yields."""
    outputs: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        # A copy: the ReLU after a convolution without normalisation writes in place.
        return lambda module, inputs, output: outputs.__setitem__(layer, output.detach().clone())

    hooks = [SITES[site](model, layer).register_forward_hook(keep(layer)) for layer in layers]
    with attached(hooks):
        yield outputs


@contextmanager
def input_means(model: ResNet, layers: Iterable[int]) -> Iterator[dict[int, Tensor]]:
    """While the block runs, keep the mean of every input channel, (C,) float64, of these convolutions in a dict."""
    means: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda module, args: means.__setitem__(layer, args[0].detach().mean((0, 2, 3), dtype=torch.float64))

    hooks = [model.layer(layer).register_forward_pre_hook(keep(layer)) for layer in layers]
    with attached(hooks):
        yield means


def moments(activations: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Per-channel mean and unbiased variance, (C,) float64, of (B, C, H, W) or (B, C) activations."""
    over = [d for d in range(activations.dim()) if d != 1]
    variance, mean = torch.var_mean(activations.double(), dim=over)
    return mean.cpu().numpy(), variance.cpu().numpy()
