"""The residual network of He et al. (2015) for small images, and its plain twin, with any normalisation or none."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from understanding_bn import plugins
from understanding_bn.architecture import parse
from understanding_bn.errors import UserError
from understanding_bn.models import guards, initializations, norms  # noqa: F401  (make finds them by name)
from understanding_bn.models.places import BRANCH, BRANCH_END, FINAL, SHORTCUT, STEM, Norm, placed

WIDTHS = (16, 32, 64)


class ConvNorm(nn.Sequential):
    """A zero-padded convolution and the normalisation after it.

    The convolution has a bias only where no normalisation follows: a normalisation brings its own shift. One that does
    not says so by an attribute `keeps_bias`, which is true.
    """

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, norm: Norm, place: str):
        after = norm(outputs, place)
        bias = after is None or bool(getattr(after, "keeps_bias", False))
        conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=bias)
        super().__init__(conv, *([] if after is None else [after]))

    @property
    def conv(self) -> nn.Conv2d:
        """The convolution itself."""
        (conv, *_) = self
        assert isinstance(conv, nn.Conv2d)
        return conv


class PaddedShortcut(nn.Module):
    """Every `stride`-th position, with channels of zeros appended: He et al.'s option A, without parameters."""

    def __init__(self, more_channels: int, stride: int):
        super().__init__()
        self.more_channels, self.stride = more_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C + more_channels, H/stride, W/stride)."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more_channels))


class Block(nn.Module):
    """Two 3×3 convolutions and a shortcut: relu(branch(x) + shortcut(x)); relu(branch(x)) in a plain network.

    `branch_scale` multiplies the branch where the initialisation asks for it (see `initializations`): a number,
    or a trained scalar parameter.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: str, norm: Norm):
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride, norm, BRANCH)
        self.second = ConvNorm(outputs, outputs, 3, 1, norm, BRANCH if shortcut == "none" else BRANCH_END)
        self.shortcut: nn.Module | None
        if shortcut == "none":
            self.shortcut = None
        elif stride == 1 and inputs == outputs:
            self.shortcut = nn.Identity()
        elif shortcut == "projection":
            self.shortcut = ConvNorm(inputs, outputs, 1, stride, norm, SHORTCUT)
        else:
            self.shortcut = PaddedShortcut(outputs - inputs, stride)
        self.branch_scale: float | nn.Parameter | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H/stride, W/stride)."""
        branch = self.second(F.relu(self.first(x), inplace=True))
        if self.branch_scale is not None:
            branch = branch * self.branch_scale
        return F.relu(branch if self.shortcut is None else branch + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    """ResNet of depth 6n + 2: a stem, three stages of n blocks (16, 32, 64 channels), average pool, linear layer.

    Shortcuts that change shape are projections (1×1 convolutions, normalised like the others), as the paper's
    Fig. 5 shows, or pad with zeros; with shortcut "none" there are none in any block. Layers are numbered as the
    paper does: 1 is the stem, 2 … depth − 1 are the blocks' 3×3 convolutions in order, `depth` is the linear layer;
    projections have no number.
    """

    def __init__(self, depth: int, shortcut: str, norm: str, channels: int, classes: int, plugged: Sequence[Path] = ()):
        super().__init__()
        make = placed(plugins.make("norm", norm, plugged))
        blocks_per_stage = (depth - 2) // 6
        self.depth = depth
        self.stem = ConvNorm(channels, WIDTHS[0], 3, 1, make, STEM)
        blocks, inputs = [], WIDTHS[0]
        for stage, outputs in enumerate(WIDTHS):
            for block in range(blocks_per_stage):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(Block(inputs, outputs, stride, shortcut, make))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.final_norm = make(inputs, FINAL) or nn.Identity()
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, channels, H, W), standardised → logits (B, classes)."""
        return self.linear(self.features(x).mean((2, 3)))

    def features(self, x: Tensor) -> Tensor:
        """Images (B, channels, H, W) → features before pooling, after the final norm if any: (B, 64, H/4, W/4)."""
        return self.final_norm(self.blocks(F.relu(self.stem(x), inplace=True)))

    @property
    def residual_blocks(self) -> list[Block]:
        """The blocks, in order."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def layer(self, number: int) -> nn.Conv2d | nn.Linear:
        """The convolution or linear layer with the paper's number, 1 … depth.

        Raises:
            UserError: the network has no such layer.
        """
        if not 1 <= number <= self.depth:
            raise UserError(f"layer {number}: a network of depth {self.depth} has layers 1 to {self.depth}")
        if number == 1:
            return self.stem.conv
        if number == self.depth:
            return self.linear
        block = self.residual_blocks[(number - 2) // 2]
        return (block.first if number % 2 == 0 else block.second).conv

    def convolution(self, number: int) -> nn.Conv2d:
        """The convolution with the paper's number, 1 … depth − 1.

        Raises:
            UserError: the network has no such layer, or it is the linear one.
        """
        layer = self.layer(number)
        if not isinstance(layer, nn.Conv2d):
            raise UserError(f"layer {number}: is the linear layer; a convolution is meant, 1 to {self.depth - 1}")
        return layer

    def stream(self, number: int) -> nn.Module:
        """The module whose output is the residual stream, after the ReLU, that layer `number` belongs to.

        For a block's convolutions that is the block. The stem and the linear layer are in no block: for them it is
        the layer itself.
        """
        return self.blocks[(number - 2) // 2] if 2 <= number < self.depth else self.layer(number)


def build(
    arch: str, norm: str, init: str, channels: int, classes: int, seed: int, plugged: Sequence[Path] = ()
) -> ResNet:
    """A network on the CPU in float32, channels-last, its weights drawn from `seed` alone.

    After its weights, modules that draw random numbers of their own get the generator: their method `seed_from`.

    `plugged`: the user's files that may define the norm or the initialisation.
    """
    shortcut, depth = parse(arch)
    model = ResNet(depth, shortcut, norm, channels, classes, plugged)
    generator = torch.Generator().manual_seed(seed)
    plugins.make("init", init, plugged)(model, generator)
    for module in model.modules():
        if callable(seed_from := getattr(module, "seed_from", None)):
            seed_from(generator)
    return model.to(memory_format=torch.channels_last)
