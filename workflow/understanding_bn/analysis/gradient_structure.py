"""Where the noise of SGD lives: gradients between mini-batches, layers, units and samples, and their rank (Q2)."""

import math
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from understanding_bn.analysis.context import Context, batch_norms
from understanding_bn.analysis.gradient_noise import Variance

# Domains of random streams, so that a mini-batch of one kind tells nothing about one of another.
MINIBATCHES, SAMPLES = 101, 102


def measure(context: Context, norm: str, seed: int, minibatches: int, samples: int = 0) -> pd.DataFrame:
    """Moments and ranks of the gradients of independent mini-batches of B images, in train mode.

    Each mini-batch is drawn anew: B different images, as in an epoch of training, with its augmentation. Their
    gradients g_1 … g_n, n = `minibatches`, have the mean ḡ. All sums are float64 over float32 gradients. Columns:
    block ("all", or the paper's number of a layer, whose kernel or matrix is meant), bn_mode ("train", or "none"
    where no batch statistics are), quantity and value:

    noise: E‖g_B − g‖² by the sample variance, summed over the block's parameters.
    constant: C = noise · B · (N − 1) / (N − B), the variance of a single sample's gradient: B of N images without
        replacement have (N − B) / (N − 1) times the noise of B with replacement, C/B. With batch norm, where no
        sample has a gradient of its own, it is a definition. Missing for B = N.
    gradient_norm2: |g|² = |ḡ|² − noise / n, unbiased, so that it may be negative where noise drowns it.
    entry_variance (layers): variance over the layer's weights of a mini-batch's gradient, mean over mini-batches,
        which is the spread of the paper's Fig. 2.
    unit_variation (layers): squared coefficient of variation, over units (output channels), of the root mean square
        of ḡ over a unit's weights.
    rank, full_rank (layers): effective rank of ḡ as a matrix of outputs × rest, and the most it can be.
    layer_variation ("all"): variance over layers of the natural logarithm of the root mean square of ḡ.
    minibatch_rank ("all"): effective rank of the n × parameters matrix of mini-batch gradients; n at the most.
    sample_constant ("all"): C from the gradients of `samples` single images, where normalisation does not join the
        images of a mini-batch; with batch norm in eval mode (bn_mode "eval"), once there are running statistics.
    """
    model = context.model(norm, seed)
    joined = bool(batch_norms(model))
    bn_mode = "train" if joined else "none"
    size, images = context.batch_size, context.split.count
    batches = context.draws("subset", minibatches, seed, MINIBATCHES)
    gradients = torch.stack([gradient(model, *batch) for batch in batches])
    rows = [("all", bn_mode, name, value) for name, value in moments(gradients).items()]
    noise = rows[0][3]
    constant = noise * size * (images - 1) / (images - size) if size < images else math.nan
    rows += [("all", bn_mode, "constant", constant)]
    singular_values = torch.linalg.eigvalsh(gram(gradients)).clamp_min(0).sqrt()
    rows += [("all", bn_mode, "minibatch_rank", effective_rank(singular_values))]
    logarithms = []
    for layer, (start, weight) in layers(model).items():
        block = gradients[:, start : start + weight.numel()].double()
        matrix = block.mean(0).view(len(weight), -1)
        found = moments(block) | {
            "entry_variance": block.var(1).mean().item(),
            "unit_variation": variation(matrix.square().mean(1).sqrt()),
            "rank": effective_rank(torch.linalg.svdvals(matrix)),
            "full_rank": float(min(matrix.shape)),
        }
        rows += [(str(layer), bn_mode, name, value) for name, value in found.items()]
        logarithms.append(matrix.square().mean().log() / 2)
    rows += [("all", bn_mode, "layer_variation", torch.stack(logarithms).var().item())]
    if samples and not (joined and context.weights is None):
        alone = replace(context, batch_size=1).draws("replacement", samples, seed, SAMPLES)
        value = sample_constant(model.eval(), alone)
        rows += [("all", "eval" if joined else "none", "sample_constant", value)]
    return pd.DataFrame(rows, columns=["block", "bn_mode", "quantity", "value"])


def gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the mean cross-entropy, (parameters,) float32, in the model's current mode."""
    loss = F.cross_entropy(model(images), labels)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


def layers(model: nn.Module) -> dict[int, tuple[int, Tensor]]:
    """For the kernel or matrix of each numbered layer: where it begins among all parameters, and the tensor."""
    starts, position = {}, 0
    for parameter in model.parameters():
        starts[id(parameter)] = position
        position += parameter.numel()
    weights = {number: model.layer(number).weight for number in range(1, model.depth + 1)}
    return {number: (starts[id(weight)], weight) for number, weight in weights.items()}


def moments(gradients: Tensor) -> dict[str, float]:
    """noise and gradient_norm2 of (n, parameters) gradients; see `measure`."""
    count = len(gradients)
    mean = gradients.double().mean(0)
    squares = sum((row.double() - mean).square().sum().item() for row in gradients)  # by row: no float64 copy of all
    noise = squares / (count - 1)
    return {"noise": noise, "gradient_norm2": mean.square().sum().item() - noise / count}


def gram(gradients: Tensor) -> Tensor:
    """Inner products of the rows of (n, parameters), in float64: (n, n)."""
    pieces = (piece.double() for piece in gradients.split(2**18, dim=1))
    return sum((piece @ piece.T for piece in pieces), torch.zeros(()).double())


def effective_rank(singular_values: Tensor) -> float:
    """exp of the entropy of the singular values as shares of their sum (Roy & Vetterli 2007); NaN if all are zero."""
    shares = singular_values.double() / singular_values.double().sum()
    return torch.special.entr(shares).sum().exp().item()


def variation(values: Tensor) -> float:
    """Squared coefficient of variation: the variance over the squared mean; NaN if the mean is zero."""
    return (values.var() / values.mean().square()).item()


def sample_constant(model: nn.Module, samples: Iterator[tuple[Tensor, Tensor]]) -> float:
    """Trace of the covariance of single images' gradients, each a mini-batch of one, by Welford's recursion."""
    total = Variance()
    for images, labels in samples:
        total.add(gradient(model, images, labels).double())
    return total.value()
