"""Weight initialisations. Each public function here is one choice of `init` in the config.

Each takes a network whose parameters it sets in place and the generator to draw from. Biases are zero, the
normalisations' scales one and shifts zero, unless its docstring says otherwise.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor, nn
from torch.nn import init

if TYPE_CHECKING:
    from understanding_bn.models.resnet import ResNet


def xavier_uniform(model: "ResNet", generator: Generator) -> None:
    """Glorot & Bengio (2010), uniform: variance 2 / (fan in + fan out)."""
    _fill(model, partial(init.xavier_uniform_, generator=generator))


def xavier_normal(model: "ResNet", generator: Generator) -> None:
    """Glorot & Bengio (2010), normal: variance 2 / (fan in + fan out)."""
    _fill(model, partial(init.xavier_normal_, generator=generator))


def xavier_convolutions(model: "ResNet", generator: Generator) -> None:
    """Glorot & Bengio, uniform, for convolutions alone; the linear layer as PyTorch makes it: U(±1/√fan in).

    A loop over the convolutions of a PyTorch model has this effect.
    """
    xavier_uniform(model, generator)
    bound = model.linear.in_features**-0.5
    for parameter in (model.linear.weight, model.linear.bias):
        init.uniform_(parameter, -bound, bound, generator=generator)


def kaiming(model: "ResNet", generator: Generator) -> None:
    """He et al. (2015), normal: variance 2 / fan in."""
    _fill(model, partial(init.kaiming_normal_, nonlinearity="relu", generator=generator))


def orthogonal(model: "ResNet", generator: Generator) -> None:
    """Saxe et al. (2014): each kernel, flattened to outputs × rest, is (semi-)orthogonal with gain 1."""
    _fill(model, partial(init.orthogonal_, generator=generator))


def delta_orthogonal(model: "ResNet", generator: Generator) -> None:
    """Xiao et al. (2018): a (semi-)orthogonal matrix at the kernel's centre, zero elsewhere, gain 1."""

    def fill(weight: Tensor) -> None:
        if weight.dim() == 2:
            init.orthogonal_(weight, generator=generator)
            return
        weight.zero_()
        matrix = init.orthogonal_(torch.empty(weight.shape[:2]), generator=generator)
        weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2] = matrix

    _fill(model, fill)


def fixup(model: "ResNet", generator: Generator) -> None:
    """Zhang, Dauphin & Ma (2019): Kaiming, branches' first layers × L^(−1/2), last layers and the classifier zero.

    L is the number of residual blocks, and a branch has m = 2 layers, so the factor is L^(−1/(2m−2)). Each
    branch gets the paper's trained scalar multiplier; the paper's scalar biases are the convolutions' own.
    """
    kaiming(model, generator)
    for block in model.residual_blocks:
        with torch.no_grad():
            block.first.conv.weight *= len(model.residual_blocks) ** -0.5
            block.second.conv.weight.zero_()
        block.branch_scale = nn.Parameter(torch.ones(()))
    nn.init.zeros_(model.linear.weight)


def branch_scaled(model: "ResNet", generator: Generator) -> None:
    """Kaiming, and every residual branch multiplied by 1/√L with L blocks, throughout training (τ-ResNet)."""
    kaiming(model, generator)
    for block in model.residual_blocks:
        block.branch_scale = 1 / math.sqrt(len(model.residual_blocks))


@torch.no_grad()
def _fill(model: "ResNet", fill: Callable[[Tensor], object]) -> None:
    """Apply `fill` to every kernel and matrix of the network, and zero their biases."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fill(module.weight)
            if module.bias is not None:
                module.bias.zero_()
