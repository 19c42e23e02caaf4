"""Whether a network is stable at a learning rate, and bisection for the largest one at which it is."""

from collections.abc import Callable
from itertools import islice

import numpy as np

from understanding_bn.analysis.context import Context, loss_at
from understanding_bn.training import divergence
from understanding_bn.training.update import step

STABLE = "stable"


def bisect(alphas: list[float], outcome_at: Callable[[float], tuple[str, int]]) -> list[tuple[float, str, int]]:
    """Every learning rate tried, with its outcome and last update, in the order tried.

    `alphas` ascend, and are assumed to be stable up to some point and not beyond it.
    """
    tried, low, high = [], -1, len(alphas)
    while high - low > 1:
        middle = (low + high) // 2
        outcome, update = outcome_at(alphas[middle])
        tried.append((alphas[middle], outcome, update))
        low, high = (middle, high) if outcome == STABLE else (low, middle)
    return tried


def trial(context: Context, norm: str, seed: int, alpha: float, updates: int) -> tuple[str, int]:
    """(outcome, last update) of `updates` ordinary updates at learning rate α: stable, diverged or collapsed.

    Each update is judged by the loss of the mini-batch after it, the last one, too: a network can blow up in it.
    """
    model = context.model(norm, seed)
    optimiser = context.sgd(model, alpha)
    record, first_loss, last_loss = divergence.Divergence(), None, None
    for number, (images, labels) in enumerate(islice(context.minibatches(seed), updates + 1)):
        if number < updates:
            loss, logits = step(model, optimiser, images, labels)
            last = loss.item()
        else:
            last = loss_at(model, images, labels)
        first_loss = last if first_loss is None else first_loss
        record = divergence.judge(np.array([last]), first_loss, record, number, last_loss)
        if record.first_bad_step is not None:
            return "diverged", min(number + 1, updates)
        last_loss = last
    return ("collapsed" if divergence.collapsed(logits) else STABLE), updates
