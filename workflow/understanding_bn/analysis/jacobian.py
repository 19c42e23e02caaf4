"""The Jacobian of a network's features with respect to one image's pixels, in either mode of batch norm."""

import warnings
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.func import jvp, vmap

from understanding_bn.analysis.context import attached, batch_norms
from understanding_bn.models.norms import GhostBatchNorm2d
from understanding_bn.models.resnet import ResNet

# Copies of an image that are pushed forward at once: few enough for a processor's cache, many enough to keep it busy.
# Each time the mini-batch itself is, too, which must not cost much beside them.
IMAGES_AT_ONCE = 512
LEAST_DIRECTIONS = 8


def sharing(model: ResNet, images: Tensor, image: int) -> tuple[Tensor, int]:
    """The images that have their moments in common with this one, and its place among them: all but in ghost norms."""
    sizes = (module.images for module in batch_norms(model) if isinstance(module, GhostBatchNorm2d))
    size = next(sizes, len(images))
    place = image % size
    return images[image - place : image - place + size], place


def in_modes(model: ResNet, images: Tensor, bn_modes: Sequence[str]) -> Iterator[str]:
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
        assert module.running_mean is not None and module.running_var is not None
        module.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        module.running_var.copy_(inputs[0].var((0, 2, 3), correction=0))

    hooks = [module.register_forward_hook(keep) for module in batch_norms(model)]
    model.train()
    with attached(hooks):
        model.features(images)


@torch.no_grad()
def jacobian(model: ResNet, images: Tensor, image: int, grey: bool = False) -> Tensor:
    """∂ features / ∂ pixels of one image, (outputs, inputs), both flattened as (channels, height, width).

    With `grey`, the inputs are the pixels alone, (height, width): all colours of one change by the same amount,
    1/√channels, so that these directions are orthonormal, too.

    Forward mode: one Jacobian–vector product for each input, exact, with the others of `images`
    (B, channels, H, W) held fixed. There are fewer inputs than outputs, so that reverse mode would cost more.
    """
    pixels = images[image]

    def features(x: Tensor) -> Tensor:
        return model.features(torch.cat([images[:image], x[None], images[image + 1 :]]))[image].flatten()

    def column(tangent: Tensor) -> Tensor:
        return jvp(features, (pixels,), (tangent,))[1]

    channels, height, width = pixels.shape
    drawn = 1 if grey else channels
    basis = torch.eye(drawn * height * width, dtype=images.dtype, device=images.device).view(-1, drawn, height, width)
    basis = (basis * (drawn / channels) ** 0.5).expand(-1, *pixels.shape)
    with warnings.catch_warnings():
        # The first derivative of a process has PyTorch compile its rules, by what it itself has deprecated.
        warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)
        at_once = max(LEAST_DIRECTIONS, IMAGES_AT_ONCE // len(images))
        return torch.cat([vmap(column)(some) for some in basis.split(at_once)]).T


@torch.no_grad()
def sizes(model: ResNet, image: Tensor, grey: bool = False) -> list[int]:
    """Entries of one image, (1, channels, H, W), or of its pixels with `grey`, then of each convolution's output."""
    found = [image[0, 0].numel() if grey else image[0].numel()]
    hooks = [
        model.convolution(number).register_forward_hook(lambda conv, inputs, output: found.append(output[0].numel()))
        for number in range(1, model.depth)
    ]
    with attached(hooks):
        model.features(image)
    return found
