"""Claim 6: how the noise of a mini-batch's gradient depends on B, and that of an update on α."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice, product

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from understanding_bn.analysis.context import Context, flat

DOMAIN = 100  # of the random streams of mini-batches that are not an epoch's


def measure(
    context: Context,
    norm: str,
    seed: int,
    batch_sizes: list[int],
    minibatches: int,
    alphas: list[float],
    samplings: Sequence[str] = (),
) -> pd.DataFrame:
    """Noise of gradients and of updates at initialisation, from `minibatches` mini-batches of each size.

    noise estimates E‖g_B − g‖² with g = E g_B by the sample variance, summed over all parameters (float64). With batch
    norm in train mode g itself depends on B, and noise is the variance about that. update_noise is the same of the
    first update that the ordinary optimiser really makes at learning rate α; it should be α² times noise.

    How mini-batches are drawn from the N images decides what is estimated, C being a single sample's variance; those of
    an epoch are always measured, others where `samplings` names them:
        epoch: disjoint ones, as in an epoch. That they share no image makes the estimate unbiased for C / B.
        replacement: every image anew from all, independently: C / B.
        subset: B different images, independently of other mini-batches: C / B · (N − B) / (N − 1).
    Where an epoch has fewer mini-batches than that, its are not measured: those of several epochs share images.

    Columns: batch_size, sampling, images (N), alpha, epoch (0), minibatches, noise, constant (noise · B, the C of
    α²C/|B|), update_noise.
    """
    model = context.model(norm, seed)
    parameters = list(model.parameters())
    origin = [p.detach().clone() for p in parameters]
    rows = []
    for batch_size, sampling in product(batch_sizes, ("epoch", *samplings)):
        if sampling == "epoch" and minibatches * batch_size > context.split.count:
            continue
        gradient_variance = Variance()
        update_variance = {alpha: Variance() for alpha in alphas}
        here = replace(context, batch_size=batch_size)
        if sampling == "epoch":
            batches = islice(here.minibatches(seed), minibatches)
        else:
            batches = here.draws(sampling, minibatches, seed, DOMAIN)
        for images, labels in batches:
            model.zero_grad(set_to_none=True)
            F.cross_entropy(model(images), labels).backward()
            gradient_variance.add(flat([p.grad for p in parameters]))
            for alpha in alphas if sampling == "epoch" else ():
                update_variance[alpha].add(_first_update(context.sgd, model, origin, alpha))
        noise = gradient_variance.value()
        facts = (0, minibatches, noise, noise * batch_size)
        images = context.split.count
        rows += [(batch_size, sampling, images, alpha, *facts, v.value()) for alpha, v in update_variance.items()]
    columns = ["batch_size", "sampling", "images", "alpha", "epoch", "minibatches", "noise", "constant", "update_noise"]
    return pd.DataFrame(rows, columns=columns)


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


@torch.no_grad()
def _first_update(
    sgd: Callable[[nn.Module, float], torch.optim.SGD], model: nn.Module, origin: list[Tensor], alpha: float
) -> Tensor:
    """The displacement, (parameters,) float64, of a fresh optimiser's first step; the weights are put back."""
    sgd(model, alpha).step()
    parameters = list(model.parameters())
    moved = flat([p.detach().double() - start.double() for p, start in zip(parameters, origin, strict=True)])
    for parameter, start in zip(parameters, origin, strict=True):
        parameter.copy_(start)
    return moved
