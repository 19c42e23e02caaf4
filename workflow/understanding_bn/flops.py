"""Floating-point operations of the networks, in closed form. Imports no torch: planning must not wait for it.

A multiply-add counts 2. Convolutions and the linear layer count; normalisation, ReLU, additions and pooling do not,
though they take about a third of the time. torch's own counter follows the same rule, and a test compares the two.
"""

from understanding_bn.architecture import parse

STAGES = (16, 32, 64)  # channels; the side halves where they double


def forward(arch: str, size: int, channels: int, classes: int) -> int:
    """FLOP of the forward pass of one image of `size`×`size` pixels.

    Raises:
        UserError: the architecture's name is unknown.
    """
    shortcut, depth = parse(arch)
    blocks = (depth - 2) // 6
    total = _convolution(channels, STAGES[0], 3, size)
    inputs, side = STAGES[0], size
    for outputs in STAGES:
        if outputs != inputs:
            side = (side + 1) // 2
            if shortcut == "projection":
                total += _convolution(inputs, outputs, 1, side)
        total += _convolution(inputs, outputs, 3, side) + (2 * blocks - 1) * _convolution(outputs, outputs, 3, side)
        inputs = outputs
    return total + 2 * inputs * classes


def step(arch: str, size: int, channels: int, classes: int) -> int:
    """FLOP of one image in a training step: three times the forward pass.

    The backward pass costs two products for each one of the forward pass: gradients of inputs and of weights.
    (The stem needs no gradient of its inputs. By convention that fraction of a per cent is counted too.)
    """
    return 3 * forward(arch, size, channels, classes)


def _convolution(inputs: int, outputs: int, kernel: int, side: int) -> int:
    """FLOP of a convolution whose output has `side`×`side` positions."""
    return 2 * inputs * outputs * kernel**2 * side**2
