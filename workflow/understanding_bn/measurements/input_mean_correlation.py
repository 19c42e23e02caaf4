"""Claim 20: kernel gradients and the means of the channels that they read, at initialisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understanding_bn.settings import Initial

if TYPE_CHECKING:
    import pandas as pd

    from understanding_bn.analysis.context import Context


class InputMeanCorrelation(Initial):
    """Kernel gradients and the means of the channels that they read, in every layer (claim 20)."""


COLUMNS = {"layer": "int64", "in_channel": "int64", "input_mean": "float64", "gradient": "float64"}


def measure(context: Context, norm: str, seed: int, options: InputMeanCorrelation) -> pd.DataFrame:
    """For every input channel of every convolution between two layers (2 … depth − 1), on the first mini-batch.

    Columns: layer, in_channel, input_mean (|mean of the channel over images and positions|) and gradient (mean of
    |∂ℓ/∂W| over the kernel entries that read the channel), ℓ the mean cross-entropy. float32, means in float64.
    """
    import numpy as np
    import pandas as pd
    import torch
    from torch.nn import functional as F

    from understanding_bn.analysis.channel_moments import input_means

    model = context.model(norm, seed)
    images, labels = next(context.minibatches(seed))
    layers = range(2, model.depth)
    with input_means(model, layers) as means:
        loss = F.cross_entropy(model(images), labels)
    gradients = torch.autograd.grad(loss, [model.layer(layer).weight for layer in layers])
    tables = []
    for layer, gradient in zip(layers, gradients, strict=True):
        by_channel = gradient.abs().mean((0, 2, 3), dtype=torch.float64).cpu().numpy()
        input_mean = means[layer].abs().cpu().numpy()
        table = pd.DataFrame({"layer": layer, "in_channel": np.arange(len(by_channel)), "input_mean": input_mean})
        tables.append(table.assign(gradient=by_channel))
    return pd.concat(tables, ignore_index=True)
