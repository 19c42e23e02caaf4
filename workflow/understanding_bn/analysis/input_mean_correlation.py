"""Claim 20: kernel gradients beside the means of the channels that they read, at initialisation."""

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from understanding_bn.analysis.context import Context, attached


def measure(context: Context, norm: str, seed: int) -> pd.DataFrame:
    """For every input channel of every convolution between two layers (2 … depth − 1), on the first mini-batch.

    Columns: layer, in_channel, input_mean (|mean of the channel over images and positions|) and gradient (mean of
    |∂ℓ/∂W| over the kernel entries that read the channel), ℓ the mean cross-entropy. float32, means in float64.
    """
    model = context.model(norm, seed)
    images, labels = next(context.minibatches(seed))
    layers = range(2, model.depth)
    means: dict[int, np.ndarray] = {}

    def keep(layer: int):
        return lambda module, args: means.__setitem__(
            layer, args[0].detach().mean((0, 2, 3), dtype=torch.float64).abs().cpu().numpy()
        )

    hooks = [model.layer(layer).register_forward_pre_hook(keep(layer)) for layer in layers]
    with attached(hooks):
        loss = F.cross_entropy(model(images), labels)
    gradients = torch.autograd.grad(loss, [model.layer(layer).weight for layer in layers])
    tables = []
    for layer, gradient in zip(layers, gradients, strict=True):
        by_channel = gradient.abs().mean((0, 2, 3), dtype=torch.float64).cpu().numpy()
        table = pd.DataFrame({"layer": layer, "in_channel": np.arange(len(by_channel)), "input_mean": means[layer]})
        tables.append(table.assign(gradient=by_channel))
    return pd.concat(tables, ignore_index=True)
