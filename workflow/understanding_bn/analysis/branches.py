"""How large a residual branch's output is beside the stream that it is added to, before the ReLU that follows."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from understanding_bn.analysis.context import attached
from understanding_bn.models.resnet import ResNet


@dataclass(frozen=True)
class Moments:
    """Of a block's branch, or of what it is added to; NaN where one is not finite.

    Attributes:
        variance: of each channel over images and positions, as batch norm takes it (divisor n); the mean over channels.
        square: the mean square over images, positions and channels.
    """

    variance: float
    square: float

    def scaled(self, factor: float) -> "Moments":
        """Those of `factor` times the same."""
        return Moments(factor**2 * self.variance, factor**2 * self.square)


@torch.no_grad()
def branch_moments(model: ResNet, images: Tensor) -> list[tuple[Moments, Moments]]:
    """(branch, stream) of every block, in order, on one mini-batch in the model's current mode.

    A block is relu(branch + stream). The branch ends with the second convolution's normalisation, and its scale where
    it has one. The stream is the shortcut's output: the block's input where the shortcut is the identity, and the
    projection's output, normalised, where the shape changes.

    Args:
        model: a network with shortcuts.
        images: (B, channels, H, W).
    """
    found: dict[torch.nn.Module, Moments] = {}

    def keep(module: torch.nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        moments = output.var((0, 2, 3), correction=0).mean().item(), output.square().mean().item()
        found[module] = Moments(*(moment if math.isfinite(moment) else math.nan for moment in moments))

    blocks = model.residual_blocks
    sites = [site for block in blocks for site in (block.second, block.shortcut) if site is not None]
    with attached([site.register_forward_hook(keep) for site in sites]):
        model.features(images)
    pairs = []
    for block in blocks:
        assert block.shortcut is not None
        scale = 1.0 if block.branch_scale is None else float(block.branch_scale)
        pairs.append((found[block.second].scaled(scale), found[block.shortcut]))
    return pairs
