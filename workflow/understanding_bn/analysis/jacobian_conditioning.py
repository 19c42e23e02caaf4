"""Singular values of the Jacobian of a network's features with respect to one image's pixels, at initialisation.

Saxe et al. (2014) and Pennington et al. (2017) call a network whose singular values all lie near 1 dynamically
isometric; Xiao et al. (2018) build convolutional networks that are.
"""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import jvp, vmap

from understanding_bn.analysis.context import Context, attached, batch_norms
from understanding_bn.models.resnet import ResNet

DTYPE = "float64"
# Copies of an image that are pushed forward at once: few enough for a processor's cache, many enough to keep it busy.
IMAGES_AT_ONCE = 128


def measure(
    context: Context,
    norm: str,
    seed: int,
    networks: dict[str, list[str]],
    batch_size: int,
    images: int,
    bn_modes: list[str],
) -> pd.DataFrame:
    """Every singular value of the Jacobian at the first `images` images of the first mini-batch, for each network.

    Networks are the product of `networks["archs"]` and `networks["inits"]`, all with the weights of `seed`. Those with
    batch norm are measured in each of `bn_modes`:

        train: the moments are the mini-batch's own. The pixels of an image act through them too, on its own features;
            the other images stay as they are.
        eval: the moments are set to the mini-batch's and held fixed, so that an image passes by itself. Its features
            are the same as in train mode, their derivatives are not.

    To the others it makes no difference, and they are measured once, with bn_mode "none". All in float64.

    Columns: arch, init, batch_size, bn_mode, image (from 0), outputs and inputs (rows and columns of the Jacobian),
    index (from 1), singular_value, descending.
    """
    context = replace(context, batch_size=batch_size)
    pixels, _ = next(context.minibatches(seed))
    pixels = pixels.double()
    parts = []
    for arch in networks["archs"]:
        for init in networks["inits"]:
            model = replace(context, arch=arch, init=init).model(norm, seed).double()
            for bn_mode in in_modes(model, pixels, bn_modes):
                for image in range(images):
                    matrix = jacobian(model, *seen(pixels, image, bn_mode))
                    values = torch.linalg.svdvals(matrix).cpu().numpy()
                    keys: dict[str, Any] = {"arch": arch, "init": init, "batch_size": batch_size, "bn_mode": bn_mode}
                    keys |= {"image": image, "outputs": matrix.shape[0], "inputs": matrix.shape[1]}
                    index = np.arange(1, len(values) + 1)
                    parts.append(pd.DataFrame(keys | {"index": index, "singular_value": values}))
    return pd.concat(parts, ignore_index=True)


def in_modes(model: ResNet, images: Tensor, bn_modes: list[str]) -> Iterator[str]:
    """Put the model into each of these modes in turn, and name it; into none, once, if it has no batch norm."""
    norms = batch_norms(model)
    for bn_mode in bn_modes if norms else ["none"]:
        if bn_mode == "eval":
            freeze(model, images)
        model.train(bn_mode == "train")
        for module in norms:
            # In train mode, running moments would be written to, which derivatives in several directions can't do.
            module.track_running_stats = bn_mode != "train"
        yield bn_mode


def seen(images: Tensor, image: int, bn_mode: str) -> tuple[Tensor, int]:
    """The images that the network must see for this one's derivatives, and its place among them."""
    return (images, image) if bn_mode == "train" else (images[image : image + 1], 0)


@torch.no_grad()
def freeze(model: ResNet, images: Tensor) -> None:
    """Set the running moments of every batch norm to those with which train mode normalises this mini-batch.

    That is the variance with divisor n. (PyTorch's own running variance has n − 1.)
    """

    def keep(module: nn.BatchNorm2d, inputs: tuple[Tensor], output: Tensor) -> None:
        module.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        module.running_var.copy_(inputs[0].var((0, 2, 3), correction=0))

    hooks = [module.register_forward_hook(keep) for module in batch_norms(model)]
    model.train()
    with attached(hooks):
        model.features(images)


@torch.no_grad()
def jacobian(model: ResNet, images: Tensor, image: int) -> Tensor:
    """∂ features / ∂ pixels of one image, (outputs, inputs), both flattened as (channels, height, width).

    Forward mode: one Jacobian–vector product for each pixel and colour, exact, with the others of `images`
    (B, channels, H, W) held fixed. There are fewer inputs than outputs, so that reverse mode would cost more.
    """
    pixels = images[image]

    def features(x: Tensor) -> Tensor:
        return model.features(torch.cat([images[:image], x[None], images[image + 1 :]]))[image].flatten()

    def column(tangent: Tensor) -> Tensor:
        return jvp(features, (pixels,), (tangent,))[1]

    basis = torch.eye(pixels.numel(), dtype=images.dtype, device=images.device).view(-1, *pixels.shape)
    with warnings.catch_warnings():
        # The first derivative of a process has PyTorch compile its rules, by what it itself has deprecated.
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
        return torch.cat([vmap(column)(some) for some in basis.split(max(1, IMAGES_AT_ONCE // len(images)))]).T
