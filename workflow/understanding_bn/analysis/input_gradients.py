"""Gradients with respect to images, and how they correlate at neighbouring ones."""

from collections.abc import Callable

import torch
from torch import Tensor


def towards_the_next(images: Tensor, step: float) -> Tensor:
    """Every image moved by this share of the way to the next one of its mini-batch, the last one to the first.

    The mean of the mini-batch stays what it is. With a step of 1 the images are the same in another order, so that
    batch norm's moments are the same, too.
    """
    return images.lerp(images.roll(-1, 0), step)


def input_gradients(function: Callable[[Tensor], Tensor], images: Tensor, directions: Tensor) -> Tensor:
    """The gradient of Σ directions · function(images) with respect to each image, (B, entries of one).

    Args:
        function: from images (B, …) to outputs (B, features).
        images: (B, …).
        directions: (B, features).
    """
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad((directions * function(images)).sum(), images)
    return gradient.flatten(1)


def correlations(first: Tensor, second: Tensor) -> Tensor:
    """The cosine between each row of two (n, entries) tensors; NaN where one of them is zero or not finite.

    Over initialisations a gradient's mean is zero, for the last layer's weights are as likely to be w as −w. So no mean
    is subtracted.
    """
    units = []
    for rows in (first, second):
        rows = rows / rows.abs().amax(1, keepdim=True)  # no square overflows, or vanishes
        units.append(rows / rows.norm(dim=1, keepdim=True))
    return (units[0] * units[1]).sum(1)
