"""Fig. 3: the loss after one step along a mini-batch's gradient, over the loss before it."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from pydantic import ConfigDict, Field

from understanding_bn import plugins
from understanding_bn.messages import choice, shown
from understanding_bn.settings import Alpha, Initial, Mistake, Options, Several, Whole, canonical

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Setting


class Rates(Options):
    """Learning rates by norm. Any norm may be a key."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Alpha]

    default: Alpha
    """The learning rate of norms that are not named."""

    def of(self, norm: str) -> float:
        """The learning rate of a norm."""
        return (self.model_extra or {}).get(norm, self.default)


class RelativeLoss(Initial):
    """The loss after one step along the gradient, over the loss before it (Fig. 3)."""

    alpha: Rates
    """Learning rates of the training between the measured mini-batches, by norm."""
    minibatches: Several[Annotated[Whole, Field(ge=1, le=1000)]]
    """Which mini-batches are measured, counted from 1."""
    smallest_step: Alpha
    """The smallest step along the gradient."""
    largest_step: Alpha
    """The largest step along the gradient."""
    steps_per_decade: Annotated[Whole, Field(ge=1, le=1000)]
    """How many steps there are for each factor of 10."""

    @property
    def intervals(self) -> int:
        """How many steps there are after the smallest; the last is the largest."""
        return max(1, round(math.log10(self.largest_step / self.smallest_step) * self.steps_per_decade))

    def check(self, setting: Setting) -> Iterator[Mistake]:
        known = ["default", *setting.norms]
        for norm in self.alpha.model_extra or {}:
            if not plugins.is_among(norm, known):
                yield Mistake(("alpha",), f"key {shown(norm)} is unknown; expected {choice(norm, known)}")
        if self.smallest_step >= self.largest_step:
            smallest, largest = canonical(self.smallest_step), canonical(self.largest_step)
            yield Mistake(("smallest_step",), f"{smallest} is not below largest_step, expected less than {largest}")


COLUMNS = {
    "minibatch": "int64",
    "alpha": "float64",
    "loss": "float64",
    "step_size": "float64",
    "relative_loss": "float64",
}


def measure(context: Context, norm: str, seed: int, options: RelativeLoss) -> pd.DataFrame:
    """Relative loss ℓ(w − s·g) / ℓ(w) on some mini-batches of ordinary training, such as 1, 4 and 7, for steps s.

    g is the gradient of the same mini-batch at w, without momentum or weight decay; ℓ is in train mode. Between the
    measured mini-batches the network trains as usual, at the norm's learning rate α. A curve ends with its first value
    that is beyond 1e9 or not finite.

    Columns: minibatch, alpha, loss (ℓ(w), nats), step_size, relative_loss.
    """
    import numpy as np
    import pandas as pd

    from understanding_bn.analysis.gradient_line import relative_losses
    from understanding_bn.training.update import step

    model = context.model(norm, seed)
    alpha = options.alpha.of(norm)
    optimiser = context.sgd(model, alpha)
    sizes = np.geomspace(options.smallest_step, options.largest_step, options.intervals + 1)
    rows = []
    for number, (images, labels) in enumerate(islice(context.minibatches(seed), max(options.minibatches)), start=1):
        if number in options.minibatches:
            loss, curve = relative_losses(model, images, labels, sizes)
            rows += [(number, alpha, loss, size, relative) for size, relative in zip(sizes, curve, strict=False)]
        step(model, optimiser, images, labels)
    return pd.DataFrame(rows, columns=list(COLUMNS))
