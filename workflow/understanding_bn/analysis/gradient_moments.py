"""Gradients of mini-batches: their variance, norm and rank, between mini-batches, layers, units and samples."""

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from understanding_bn.analysis.context import Context
from understanding_bn.analysis.finite import if_finite
from understanding_bn.models.resnet import ResNet


class Variance:
    """Trace of the covariance of vectors that are seen one at a time (Welford 1962), in their own dtype."""

    def __init__(self) -> None:
        self.count, self.squares = 0, 0.0
        self.mean: Tensor | None = None

    def add(self, vector: Tensor) -> None:
        """Take one more vector, (n,), into account."""
        self.count += 1
        if self.mean is None:
            self.mean = vector.clone()
            return
        difference = vector - self.mean
        self.mean += difference / self.count
        self.squares += torch.dot(difference, vector - self.mean).item()

    def value(self) -> float:
        """Σ‖v − mean‖² / (count − 1), an unbiased estimate; NaN for fewer than two vectors."""
        return self.squares / (self.count - 1) if self.count > 1 else float("nan")


def jackknife_error(vectors: Sequence[Tensor]) -> float:
    """The standard error of the logarithm of `Variance.value` of n vectors, by the jackknife (Quenouille 1956).

    Leaving out vector i takes n/(n − 1)·‖v_i − mean‖² from the sum of squares and one from its count. NaN for n < 3.
    """
    n = len(vectors)
    if n < 3:
        return float("nan")
    mean = torch.zeros_like(vectors[0], dtype=torch.float64)
    for vector in vectors:  # one after the other: no second copy of them all
        mean += vector / n
    squares = torch.stack([(vector - mean).square().sum() for vector in vectors])
    logs = ((squares.sum() - squares * n / (n - 1)) / (n - 2)).log()
    return float(((n - 1) / n * (logs - logs.mean()).square().sum()).sqrt())


def gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the mean cross-entropy, (parameters,), in the model's dtype and current mode."""
    loss = F.cross_entropy(model(images), labels)
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])


def weights(model: ResNet) -> dict[int, tuple[int, Tensor]]:
    """The kernel or matrix of each numbered layer: where it begins among all parameters, and the tensor."""
    starts, position = {}, 0
    for parameter in model.parameters():
        starts[id(parameter)] = position
        position += parameter.numel()
    tensors = {number: model.layer(number).weight for number in range(1, model.depth + 1)}
    return {number: (starts[id(tensor)], tensor) for number, tensor in tensors.items()}


def moments(gradients: Tensor) -> dict[str, float]:
    """noise and gradient_norm2 of (n, parameters) gradients; see `measurements.gradient_structure`."""
    count = len(gradients)
    mean = gradients.double().mean(0)
    squares = sum((row.double() - mean).square().sum().item() for row in gradients)  # by row: no float64 copy of all
    noise = squares / (count - 1)
    return {"noise": noise, "gradient_norm2": mean.square().sum().item() - noise / count}


def signal(gradients: Iterable[Tensor]) -> dict[str, float]:
    """signal_norm2 and signal_minibatches of float32 gradients, (parameters,) each, of which one is kept at a time.

    |g|² = |ḡ|² − noise / n is unbiased, and its standard error falls as 1/n where noise dominates. NaN for fewer than
    two gradients.
    """
    seen = Variance()
    for vector in gradients:
        seen.add(vector.double())
    squared = math.nan if seen.mean is None else seen.mean.square().sum().item()
    return {"signal_norm2": squared - seen.value() / max(seen.count, 1), "signal_minibatches": float(seen.count)}


def structure(model: ResNet, gradients: Tensor, context: Context) -> list[tuple[str, str, float]]:
    """(block, quantity, value) of every quantity of the network, block "all", and of each of its numbered layers.

    What they are says `measurements.gradient_structure`.

    Args:
        gradients: (n, parameters), of n mini-batches of `context`.
    """
    whole = moments(gradients)
    whole["constant"] = constant(whole["noise"], context.batch_size, context.split.count)
    whole["minibatch_rank"] = rank_between(gradients)
    rows = [("all", *each) for each in whole.items()]
    logarithms = []
    for layer, (start, weight) in weights(model).items():
        block = gradients[:, start : start + weight.numel()].double()
        matrix = block.mean(0).view(len(weight), -1)
        rows += [(str(layer), *each) for each in of_layer(block, matrix).items()]
        logarithms.append(matrix.square().mean().log() / 2)
    return [*rows, ("all", "layer_variation", torch.stack(logarithms).var().item())]


def of_layer(gradients: Tensor, mean: Tensor) -> dict[str, float]:
    """What is measured of one layer; see `measurements.gradient_structure`.

    Args:
        gradients: (n, weights) float64, of n mini-batches.
        mean: their mean as a matrix of outputs × rest.
    """
    return moments(gradients) | {
        "entry_variance": gradients.var(1).mean().item(),
        "unit_variation": variation(mean.square().mean(1).sqrt()),
        "rank": effective_rank(if_finite(torch.linalg.svdvals, mean, otherwise=mean.new_full((1,), math.nan))),
        "full_rank": float(min(mean.shape)),
    }


def constant(noise: float, batch_size: int, images: int) -> float:
    """C = noise · B · (N − 1) / (N − B), the variance of a single sample's gradient; NaN for B = N.

    B of N images drawn without replacement have (N − B) / (N − 1) times the noise of B drawn with replacement, which
    is C / B (Cochran 1977, theorem 2.2).
    """
    return noise * batch_size * (images - 1) / (images - batch_size) if batch_size < images else math.nan


def gram(gradients: Tensor) -> Tensor:
    """Inner products of the rows of (n, parameters), in float64: (n, n)."""
    pieces = (piece.double() for piece in gradients.split(2**18, dim=1))
    return sum((piece @ piece.T for piece in pieces), torch.zeros(()).double())


def rank_between(gradients: Tensor) -> float:
    """Effective rank of the (n, parameters) matrix of mini-batch gradients; NaN if one of them is not finite."""
    products = gram(gradients)
    squares = if_finite(torch.linalg.eigvalsh, products, otherwise=products.new_full((1,), math.nan))
    return effective_rank(squares.clamp_min(0).sqrt())


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
