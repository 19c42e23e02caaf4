"""Fig. 4: channel moments along the update at which training diverges."""

from itertools import islice

import numpy as np
import pandas as pd
from torch import Tensor

from understanding_bn.analysis.channel_moments import SITES, moments, recorded
from understanding_bn.analysis.context import Context, loss_at, move
from understanding_bn.training.divergence import BOUND
from understanding_bn.training.loop import step


def measure(
    context: Context,
    norm: str,
    seed: int,
    alpha: float,
    layers: list[int],
    percent_step: int,
    most_updates: int,
    site: str,
) -> pd.DataFrame:
    """Mean and variance of each channel at 0 … 100 % of the diverging update, on the update's own mini-batch.

    Training runs as usual at learning rate α until an update raises its mini-batch's loss beyond 1e3 times the loss
    at the start of training, or makes it infinite or NaN. That update, momentum and weight decay included, is then
    applied a little at a time. If none does so within `most_updates`, the last one is shown and `diverged` is false.

    Columns: alpha, update (from 1), diverged, loss (nats, at this per cent), layer, percent, channel, mean, variance.
    """
    if site not in SITES:
        raise ValueError(f"site {site!r}: expected one of {sorted(SITES)}")
    model = context.model(norm, seed)
    optimiser = context.sgd(model, alpha)
    first_loss = None
    for update, (images, labels) in enumerate(islice(context.minibatches(seed), most_updates), start=1):  # noqa: B007
        if first_loss is None:
            first_loss = loss_at(model, images, labels)
        before = [p.detach().clone() for p in model.parameters()]
        step(model, optimiser, images, labels)
        diverged = not loss_at(model, images, labels) <= BOUND * first_loss
        if diverged:
            break
    direction: list[Tensor] = [p.detach() - start for p, start in zip(model.parameters(), before, strict=True)]

    tables = []
    for percent in range(0, 101, percent_step):
        move(model, before, direction, percent / 100)
        with recorded(model, layers, site) as outputs:
            loss = loss_at(model, images, labels)
        for layer in layers:
            mean, variance = moments(outputs[layer])
            table = pd.DataFrame({"layer": layer, "percent": percent, "channel": np.arange(len(mean))})
            tables.append(table.assign(mean=mean, variance=variance, loss=loss))
    return pd.concat(tables, ignore_index=True).assign(alpha=alpha, update=update, diverged=diverged)
