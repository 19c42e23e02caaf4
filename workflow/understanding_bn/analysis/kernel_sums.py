"""The terms of a kernel gradient, one per image and position: their sum, and the sum of their magnitudes."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from understanding_bn.analysis.context import attached
from understanding_bn.models.resnet import ResNet


def sums(inputs: Tensor, gradient: Tensor, conv: torch.nn.Conv2d) -> tuple[float, float]:
    """(a, b) = means over kernel entries of Σ|d| and |Σ d|; see `sums_by_entry`."""
    magnitudes, total = sums_by_entry(inputs, gradient, conv)
    return magnitudes.mean().item(), total.abs().mean().item()


def sums_by_entry(inputs: Tensor, gradient: Tensor, conv: torch.nn.Conv2d) -> tuple[Tensor, Tensor]:
    """(Σ|d|, Σ d) for every kernel entry, (out, in, k, k) float64 each, where sums run over images and positions.

    The kernel gradient is Σ d with d = ∂L/∂O[image, out, x, y] · I[image, in, x + x', y + y']. Because
    |d| = |∂L/∂O|·|I|, the sum of magnitudes is itself a kernel gradient, that of the magnitudes, so neither sum
    needs its terms to be formed one by one.

    Args:
        inputs: I, (B, in, H, W).
        gradient: ∂L/∂O, (B, out, H', W').
        conv: the layer; its size, stride and padding count, its weights do not.
    """
    shape, kwargs = conv.weight.shape, {"stride": conv.stride, "padding": conv.padding}
    inputs, gradient = inputs.double(), gradient.double()
    magnitudes = conv2d_weight(inputs.abs(), shape, gradient.abs(), **kwargs)
    return magnitudes, conv2d_weight(inputs, shape, gradient, **kwargs)


def inputs_and_gradients(
    model: ResNet, layers: Sequence[int], images: Tensor, labels: Tensor
) -> dict[int, tuple[Tensor, Tensor]]:
    """For each convolution in `layers`, its input and ∂L/∂(its output), L the mean cross-entropy."""
    inputs: dict[int, Tensor] = {}
    outputs: dict[int, Tensor] = {}

    def keep(layer: int) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            inputs[layer] = args[0].detach().clone()
            outputs[layer] = output
            return output.clone()  # the ReLU after it may write in place

        return hook

    hooks = [model.layer(layer).register_forward_hook(keep(layer)) for layer in layers]
    with attached(hooks):
        loss = F.cross_entropy(model(images), labels)
    gradients = torch.autograd.grad(loss, [outputs[layer] for layer in layers])
    return {layer: (inputs[layer], gradient) for layer, gradient in zip(layers, gradients, strict=True)}
