"""How gradients with respect to the input correlate at neighbouring inputs, at initialisation (claim Ek)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from understanding_bn.settings import BNMode, Number, OnNetworks, Several, Whole

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from understanding_bn.analysis.context import Context
    from understanding_bn.models.resnet import ResNet

# In a plain network of 56 layers with batch norm, a gradient in float32 is off by about a fifth of its length.
DTYPE = "float64"
MINIBATCHES, DIRECTIONS = 121, 122  # domains of random streams


class GradientCorrelation(OnNetworks):
    """Correlation of input gradients at neighbouring inputs, against depth, in float64."""

    minibatches: Annotated[Whole, Field(ge=1, le=100_000)]
    """How many mini-batches are measured."""
    steps: Several[Annotated[Number, Field(gt=0, le=1)]] = (0.001, 0.01, 0.1)
    """How far neighbours are: shares of the way from an image to another one of its mini-batch. 1 is that image."""
    bn_modes: Several[BNMode] = ("train", "eval")
    """Moments of batch norm. `train`: those of the images as they are; `eval`: of unmoved images, held fixed."""


COLUMNS = {
    "arch": "str",
    "init": "str",
    "batch_size": "int64",
    "bn_mode": "str",
    "step": "float64",
    "correlation": "float64",
    "standard_error": "float64",
}


def measure(context: Context, norm: str, seed: int, options: GradientCorrelation) -> pd.DataFrame:
    """The mean correlation of the gradients at an image and at its neighbour, for each network, BN mode and step.

    A neighbour lies on the line from an image to the next one of its mini-batch, at the share `step` of the way; the
    line is straight in standardised pixels, and a neighbour's gradient is that of the neighbour's own output. All
    images of a mini-batch move at once, each towards the next, so that the batch's mean stays what it is:

        train: batch norm takes the moments of the images as they are, first unmoved, then moved. They change little
            for small steps, and not at all for a step of 1, which puts the same images into another order. A gradient
            goes through the moments, too, and so an image's has a part of all other images' outputs.
        eval: the moments are those of the unmoved mini-batch, held fixed, so that an image passes by itself.

    The output of an image is a sum of its features (the last block's output, averaged over positions) with weights
    from a standard normal distribution, drawn for each image anew and the same for its neighbour. Because they are
    drawn anew, the parts of other images have no direction in common, and hardly anything of them is left in a mean.

    The correlation is the cosine between the two gradients (see `correlations`); its mean and standard error are over
    the images of all mini-batches, which are drawn independently. It is NaN where any gradient is zero or not finite.
    Columns: arch, init, batch_size, bn_mode ("train", "eval", or "none" where no batch statistics are), step,
    correlation and standard_error.
    """
    import pandas as pd
    import torch

    from understanding_bn.analysis.input_gradients import correlations, input_gradients, towards_the_next
    from understanding_bn.analysis.jacobian import in_modes
    from understanding_bn.data.batches import stream

    context = replace(context, batch_size=options.batch_size)
    batches = [images.double() for images, _ in context.draws("subset", options.minibatches, seed, MINIBATCHES)]
    rows = []
    for arch, init in product(options.networks.archs, options.networks.inits):
        model = replace(context, arch=arch, init=init).model(norm, seed).double().requires_grad_(False)
        generator = torch.Generator().manual_seed(stream(seed, DIRECTIONS))
        features = partial(_pooled, model)
        found: dict[tuple[str, float], list[torch.Tensor]] = {}
        for images in batches:
            size = (len(images), model.linear.in_features)
            directions = torch.randn(size, generator=generator, dtype=images.dtype).to(images.device)
            for bn_mode in in_modes(model, images, options.bn_modes):
                gradients = input_gradients(features, images, directions)
                for step in options.steps:
                    moved = input_gradients(features, towards_the_next(images, step), directions)
                    found.setdefault((bn_mode, step), []).append(correlations(gradients, moved))
        for (bn_mode, step), parts in found.items():
            values = torch.cat(parts)
            error = (values.std() / len(values) ** 0.5).item()
            rows.append((arch, init, options.batch_size, bn_mode, step, values.mean().item(), error))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _pooled(model: ResNet, images: Tensor) -> Tensor:
    """What the linear layer reads, (B, features)."""
    return model.features(images).mean((2, 3))
