"""Accuracy and weight norm of networks trained at several learning rates and weight decays (claim Ee)."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from understanding_bn.settings import Alpha, BatchSize, Initial, Mistake, Number, Optimiser, Several, Whole, unfit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Setting


class EffectiveLearningRate(Initial):
    """Training with batch norm at every one of some learning rates α with every one of some weight decays λ."""

    alphas: Several[Alpha]
    """Learning rates α, each constant. In steps of one factor, the same as for `weight_decays`, products repeat."""
    weight_decays: Several[Annotated[Number, Field(gt=0, le=1)]]
    """Weight decays λ."""
    decayed: Several[Literal["all", "kernels"]] = ("all",)
    """What is decayed: `all` parameters, as in ordinary training, or only the `kernels`, which batch norm follows."""
    updates: Annotated[Whole, Field(ge=4, le=1_000_000)]
    """How many updates each run makes."""
    batch_size: BatchSize
    """Images in a mini-batch."""
    held_out: Annotated[Whole, Field(ge=1, le=1_000_000)]
    """How many of the training images are kept from training, to measure accuracy on."""

    def made_on(self, arch: str, init: str, norm: str) -> list[tuple[str, str]]:
        """The preset's own network with batch norm; without, no weights are scale-invariant."""
        return [(arch, init)] if norm == "batch" else []

    def check(self, setting: Setting) -> Iterator[Mistake]:
        yield from unfit(("batch_size",), self.batch_size, setting)
        if self.batch_size <= setting.images < self.batch_size + self.held_out:
            images = int(setting.images)
            text = f"{self.held_out} of {images} training images leave too few for a mini-batch of {self.batch_size}"
            yield Mistake(("held_out",), f"{text}; expected at most {images - self.batch_size}")


COLUMNS = {
    "batch_size": "int64",
    "momentum": "float64",
    "updates": "int64",
    "decayed": "str",
    "alpha": "float64",
    "weight_decay": "float64",
    "norm_before": "float64",
    "norm_after": "float64",
    "bn_mode": "str",
    "accuracy_before": "float64",
    "accuracy": "float64",
    "failure": "str",
}


def measure(context: Context, norm: str, seed: int, options: EffectiveLearningRate) -> pd.DataFrame:
    """How training from the initialisation of `seed` ends, for each α, λ and set of decayed parameters.

    Training is SGD in train mode and float32, with ordinary training's momentum β and augmentation, at constant α. With
    momentum the effective learning rate is α/(1 − β): the same factor for every run. All runs of a seed begin with the
    same weights and see the same mini-batches. `held_out` images of the training split are kept from training, the same
    for every seed; neither a validation split nor the test split is touched.

    The norms are of all kernels that batch norm follows together, as one vector: it is scale-invariant as a whole. They
    do not contain the linear layer or the scales and shifts of batch norm, which `decayed` "all" decays, too, and
    "kernels" does not.

    Columns: batch_size, momentum, updates, decayed, alpha, weight_decay, norm_before (of these kernels before the last
    quarter of the updates), norm_after (at the end), bn_mode ("eval", of the accuracies), accuracy_before and accuracy
    (shares of the images held out, at the same two moments) and failure: "diverged" (see `decayed_training.train`;
    norms and accuracies are NaN), "stuck at chance" (see `divergence.stuck_at_chance`, here of the images held out)
    or "".
    """
    import pandas as pd

    from understanding_bn.analysis import decayed_training as training
    from understanding_bn.training.divergence import stuck_at_chance

    split, momentum = context.split, context.optimiser.momentum
    kept, held_out = training.parted(split, options.held_out)
    majority = float(split.labels[held_out.to(split.labels.device)].bincount().max()) / len(held_out)
    rows = []
    for decayed, alpha, decay in itertools.product(options.decayed, options.alphas, options.weight_decays):
        model = context.model(norm, seed)
        kernels = training.scale_invariant(model)
        optimiser = training.optimiser(model, kernels, alpha, Optimiser(momentum=momentum, weight_decay=decay), decayed)
        batches = training.minibatches(split, kept, seed, options.batch_size, context.augmentation)
        norms, accuracies, sound = training.train(
            model, kernels, optimiser, batches, options.updates, partial(training.accuracy, model, split, held_out)
        )
        chance = sound and stuck_at_chance(accuracies[-1], len(held_out), majority)
        failure = "diverged" if not sound else "stuck at chance" if chance else ""
        facts = (options.batch_size, momentum, options.updates, decayed, alpha, decay)
        rows.append((*facts, *norms, "eval", *accuracies, failure))
    return pd.DataFrame(rows, columns=list(COLUMNS))
