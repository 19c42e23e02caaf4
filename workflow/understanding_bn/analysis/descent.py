"""Full-batch gradient descent, and the sharpness of the loss along its path."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from understanding_bn.analysis import lanczos
from understanding_bn.analysis.hessian import Loss, Objective
from understanding_bn.data.batches import Split
from understanding_bn.settings import Optimiser
from understanding_bn.training.divergence import BOUND, collapsed
from understanding_bn.training.update import sgd

# Of the largest eigenvalue. Sharpness is judged within 20 %, and products in float32 carry errors of some 1e-6.
TOLERANCE = 1e-3
RANDOM = 0.3  # of a unit vector: how much of the start is new, so that a direction that overtakes the last one is found


def half_squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """½‖logits − one-hot label‖², mean over the images, as Cohen et al. (2021) take it: a scalar."""
    targets = labels[:, None] == torch.arange(logits.shape[1], device=labels.device)
    return (logits - targets.to(logits.dtype)).square().sum(1).mean() / 2


LOSSES: dict[str, Loss] = {"cross_entropy": F.cross_entropy, "mse": half_squared_error}


def balanced(split: Split, count: int) -> tuple[Tensor, Tensor]:
    """The first `count` images of the split by their number within their class; all of them for 0.

    So classes differ by one at most, but for those that have no more. The same for every seed. Not augmented:
    (B, C, H, W), channels-last, and labels (B,).
    """
    labels = split.labels.cpu().numpy()
    within = np.zeros(len(labels), dtype=int)
    for label in np.unique(labels):
        within[labels == label] = np.arange((labels == label).sum())
    order = np.lexsort((labels, within))[: count or len(labels)]
    index = torch.from_numpy(order).to(split.pixels.device)
    centre = torch.full_like(index, split.pad)
    return split.gather(index, centre, centre), split.labels[index]


def descend(
    model: nn.Module,
    batch: tuple[Tensor, Tensor],
    loss: Loss,
    optimiser: Optimiser,
    alpha: float,
    updates: int,
    every: int,
    stop_at: float,
    seed: int,
) -> Iterator[tuple[int, float, float, str]]:
    """Snapshots (updates done, loss, sharpness, failure) of descent on one batch at constant α, from before the first.

    Sharpness is the largest eigenvalue of the Hessian of the same loss on the same batch, in the mode of training, so
    that batch norm takes the moments of the whole batch. The weights are `model`'s own, which it changes. It ends:

    - after `updates` updates;
    - before the first update at which the loss is at most `stop_at`, which has no row;
    - where it has failed, with a snapshot without sharpness, NaN: failure is "diverged" where the loss is not finite or
      more than `divergence.BOUND` times the first, and "collapsed" where a later snapshot's logits no longer differ
      between images (see `divergence.collapsed`): dead ReLUs have no gradient to descend.

    The failure of other snapshots is "".

    Args:
        model: the network, in train mode.
        batch: images (B, C, H, W) and labels (B,).
        loss: the mean loss of a batch.
        optimiser: momentum β and weight decay.
        seed: of the vectors that the search for the eigenvalue starts from.
    """
    images, labels = batch
    descent = sgd(model, alpha, optimiser)
    sharpness = _warm_sharpness(seed)
    first = math.nan
    for update in range(updates + 1):
        logits = model(images)
        value = loss(logits, labels)
        now = value.item()
        first = now if update == 0 else first
        if not math.isfinite(now) or now > BOUND * first:
            yield update, now, math.nan, "diverged"
            return
        if now <= stop_at:
            return
        if update % every == 0:
            if update and collapsed(logits.detach()):
                yield update, now, math.nan, "collapsed"
                return
            yield update, now, sharpness(Objective(model, [batch], "train", loss=loss)), ""
        descent.zero_grad(set_to_none=True)
        value.backward()
        descent.step()


def _warm_sharpness(seed: int) -> Callable[[Objective], float]:
    """A function to the largest eigenvalue of a Hessian, which starts from the vector that it found the last time."""
    generator = np.random.default_rng(seed)
    last: Tensor | None = None

    def sharpness(objective: Objective) -> float:
        nonlocal last
        fresh = torch.from_numpy(generator.standard_normal(objective.size)).to(objective.device)
        fresh = fresh / fresh.norm()
        start, least = (fresh, lanczos.LEAST) if last is None else (last + RANDOM * fresh, lanczos.WARM)
        value, vector = lanczos.largest(objective.hvp, start, TOLERANCE, least)
        last = None if math.isnan(value) else vector
        return value

    return sharpness
