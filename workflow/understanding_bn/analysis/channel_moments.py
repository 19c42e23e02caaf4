"""Fig. 5: means and variances of the channels at initialisation."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from understanding_bn.analysis.context import Context, attached
from understanding_bn.models.resnet import ResNet

# Where the moments of layer ℓ can be taken: the output of its convolution, before normalisation and ReLU, or the
# residual stream that it belongs to, after the ReLU.
SITES = {"convolution": ResNet.layer, "stream": ResNet.stream}


@torch.no_grad()
def measure(context: Context, norm: str, seed: int, layers: list[int]) -> pd.DataFrame:
    """Mean and variance of every channel over the first mini-batch and all positions, at both sites.

    Columns: site, layer, channel, mean, variance (unbiased; float64 accumulation of float32 activations).
    """
    model = context.model(norm, seed)
    images, _ = next(context.minibatches(seed))
    tables = []
    for site in SITES:
        with recorded(model, layers, site) as outputs:
            model(images)
        for layer in layers:
            mean, variance = moments(outputs[layer])
            table = pd.DataFrame({"site": site, "layer": layer, "channel": np.arange(len(mean))})
            tables.append(table.assign(mean=mean, variance=variance))
    return pd.concat(tables, ignore_index=True)


@contextmanager
def recorded(model: ResNet, layers: list[int], site: str) -> Iterator[dict[int, Tensor]]:
    """While the block runs, keep the outputs of `layers` at `site` in the dict that this yields."""
    outputs: dict[int, Tensor] = {}

    def keep(layer: int):
        # A copy: the ReLU after a convolution without normalisation writes in place.
        return lambda module, inputs, output: outputs.__setitem__(layer, output.detach().clone())

    hooks = [SITES[site](model, layer).register_forward_hook(keep(layer)) for layer in layers]
    with attached(hooks):
        yield outputs


def moments(activations: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Per-channel mean and unbiased variance, (C,) float64, of (B, C, H, W) or (B, C) activations."""
    over = [d for d in range(activations.dim()) if d != 1]
    variance, mean = torch.var_mean(activations.double(), dim=over)
    return mean.cpu().numpy(), variance.cpu().numpy()
