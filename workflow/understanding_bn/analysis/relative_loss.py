"""Fig. 3: the loss after one step along a mini-batch's gradient, over the loss before it."""

import math
from itertools import islice

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from understanding_bn.analysis.context import Context, loss_at, move
from understanding_bn.training.loop import step

# Beyond this relative loss a curve has left every scale of interest and is not followed further.
CEILING = 1e9


def measure(
    context: Context,
    norm: str,
    seed: int,
    alpha: dict[str, float],
    minibatches: list[int],
    smallest_step: float,
    largest_step: float,
    steps_per_decade: int,
) -> pd.DataFrame:
    """Relative loss ℓ(w − s·g) / ℓ(w) on mini-batches 1, 4, 7, … of ordinary training, for steps s.

    g is the gradient of the same mini-batch at w, without momentum or weight decay; ℓ is in train mode. Between the
    measured mini-batches the network trains as usual, at learning rate α = alpha[norm] (alpha["default"] for norms
    not named). A curve ends with its first value beyond 1e9 or that is not finite.

    Columns: minibatch, alpha, loss (ℓ(w), nats), step_size, relative_loss.
    """
    model = context.model(norm, seed)
    rate = alpha.get(norm, alpha["default"])
    optimiser = context.sgd(model, rate)
    decades = math.log10(largest_step / smallest_step)
    sizes = np.geomspace(smallest_step, largest_step, round(decades * steps_per_decade) + 1)
    rows = []
    for number, (images, labels) in enumerate(islice(context.minibatches(seed), max(minibatches)), start=1):
        if number in minibatches:
            parameters = list(model.parameters())
            loss = F.cross_entropy(model(images), labels)
            gradient = list(torch.autograd.grad(loss, parameters))
            origin = [p.detach().clone() for p in parameters]
            for size in sizes:
                move(model, origin, gradient, -float(size))
                relative = loss_at(model, images, labels) / loss.item()
                rows.append((number, rate, loss.item(), size, relative))
                if not relative < CEILING:
                    break
            move(model, origin, gradient, 0.0)
        step(model, optimiser, images, labels)
    return pd.DataFrame(rows, columns=["minibatch", "alpha", "loss", "step_size", "relative_loss"])
