"""The largest stable learning rate, by bisection on a logarithmic grid."""

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd

from understanding_bn.analysis.context import Context
from understanding_bn.training import divergence
from understanding_bn.training.loop import step

STABLE = "stable"


def measure(
    context: Context,
    norm: str,
    seed: int,
    batch_size: int,
    updates: int,
    smallest_alpha: float,
    largest_alpha: float,
    steps_per_decade: int,
) -> pd.DataFrame:
    """Every learning rate tried in the search for the largest stable one, from initialisation at constant α.

    The grid is 10^(k / steps_per_decade) for whole k, within the bounds given. Bisection takes it that a network
    that is stable at some α is so at smaller ones; it costs at most ⌈log2(points + 1)⌉ runs of `updates` updates.
    The largest stable α is the largest one with outcome "stable".

    Columns: batch_size, updates, alpha, outcome ("stable", "diverged" or "collapsed", as `training.divergence`
    defines them) and update (the last one, from 1), in the order tried.
    """
    context = replace(context, batch_size=batch_size)
    alphas = grid(smallest_alpha, largest_alpha, steps_per_decade)
    rows, low, high = [], -1, len(alphas)
    while high - low > 1:
        middle = (low + high) // 2
        outcome, update = trial(context, norm, seed, alphas[middle], updates)
        rows.append((batch_size, updates, alphas[middle], outcome, update))
        low, high = (middle, high) if outcome == STABLE else (low, middle)
    return pd.DataFrame(rows, columns=["batch_size", "updates", "alpha", "outcome", "update"])


def grid(smallest: float, largest: float, steps_per_decade: int) -> list[float]:
    """10^(k / steps_per_decade) for every whole k that lies between the bounds, ascending."""
    slack = 1e-9  # so that a bound that is itself on the grid counts
    first = math.ceil(steps_per_decade * math.log10(smallest) - slack)
    last = math.floor(steps_per_decade * math.log10(largest) + slack)
    return [10 ** (k / steps_per_decade) for k in range(first, last + 1)]


def trial(context: Context, norm: str, seed: int, alpha: float, updates: int) -> tuple[str, int]:
    """(outcome, last update) of `updates` ordinary updates at learning rate α: stable, diverged or collapsed."""
    model = context.model(norm, seed)
    optimiser = context.sgd(model, alpha)
    record, first_loss, last_loss = divergence.Divergence(), None, None
    for update, (images, labels) in enumerate(islice(context.minibatches(seed), updates), start=1):
        loss, logits = step(model, optimiser, images, labels)
        last = loss.item()
        first_loss = last if first_loss is None else first_loss
        record = divergence.judge(np.array([last]), first_loss, record, update - 1, last_loss)
        if record.first_bad_step is not None:
            return "diverged", update
        last_loss = last
    return ("collapsed" if divergence.collapsed(logits) else STABLE), update
