"""How far the inputs of layers move from one update to the next: internal covariate shift (claim Ed)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from understanding_bn.settings import Mistake, Trained, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Setting

PROBE = 106  # domain of the random stream that the probe is drawn from


class CovariateShift(Trained):
    """How far the distributions of layers' inputs move from one update to the next, where training would go on."""

    warm_up: Annotated[Whole, Field(ge=0, le=1_000_000)] = 20
    """Updates before those that are measured, so that momentum builds up again: weights are kept without it."""
    updates: Annotated[Whole, Field(ge=1, le=1_000_000)] = 10
    """How many updates are measured, one after another."""

    def check(self, setting: Setting) -> Iterator[Mistake]:
        for position, share in enumerate(self.at):
            if share == 0:
                text = "0 is before training, where there is no learning rate yet; expected shares above 0"
                yield Mistake(("at", position), text)


COLUMNS = {
    "bn_mode": "str",
    "update": "int64",
    "layer": "int64",
    "shift": "float64",
    "of_mean": "float64",
    "of_std": "float64",
    "dead": "float64",
}


def measure(context: Context, norm: str, seed: int, options: CovariateShift) -> pd.DataFrame:
    """The shift of every layer's inputs at each of a few updates that training would go on with.

    What is followed is what a layer receives, because covariate shift is defined by that: after norm, ReLU and
    shortcut, and with all noise that a norm injects. The moments are those of a probe, one mini-batch of B images drawn
    apart from training's, before and after each update. Updates are real ones: on the mini-batches that would follow,
    with the run's optimiser, and the learning rate that its next update would have. All is in train mode, in float32,
    with moments and what follows from them in float64.

    Columns: bn_mode ("train", or "none" where no batch statistics are), update (from 1), layer (the paper's number, 2
    to that of the linear layer, which receives pooled features), and those of `covariate_shift.Shift`. An update that
    makes the network's numbers infinite leaves NaN.
    """
    import pandas as pd

    from understanding_bn.analysis.context import batch_norms
    from understanding_bn.analysis.covariate_shift import input_moments, shift
    from understanding_bn.training.update import step

    model, minibatches = context.model(norm, seed), context.minibatches(seed)
    optimiser = context.sgd(model, context.rate)
    bn_mode = "train" if batch_norms(model) else "none"
    ((probe, _),) = context.draws("subset", 1, seed, PROBE)
    rows = []
    for _ in range(options.warm_up):
        step(model, optimiser, *next(minibatches))
    before = input_moments(model, probe)
    for update in range(1, options.updates + 1):
        step(model, optimiser, *next(minibatches))
        after = input_moments(model, probe)
        rows += [(bn_mode, update, layer, *shift(before[layer], after[layer])) for layer in after]
        before = after
    return pd.DataFrame(rows, columns=list(COLUMNS))
