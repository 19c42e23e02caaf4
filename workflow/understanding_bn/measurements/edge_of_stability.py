"""Sharpness along full-batch gradient descent, beside the sharpness at which descent loses stability (claim L7)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field

from understanding_bn import plugins
from understanding_bn.messages import choice, shown
from understanding_bn.settings import (
    Alpha,
    Initial,
    Mistake,
    Number,
    Optimiser,
    Options,
    Several,
    Whole,
    too_many,
    ungrouped,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Setting


class AlphasByNorm(Options):
    """Learning rates by norm. Any norm may be a key."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Several[Alpha]]

    default: Several[Alpha]
    """The learning rates of norms that are not named."""

    def of(self, norm: str) -> tuple[float, ...]:
        """The learning rates of a norm."""
        return (self.model_extra or {}).get(norm, self.default)


class Descent(Options):
    """Descents on one loss with one momentum, at several learning rates."""

    loss: Literal["cross_entropy", "mse"]
    """The loss that is descended: cross-entropy, or half the squared distance to the label's one-hot vector."""
    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Momentum β, Polyak's heavy ball. Descent loses stability where sharpness is (2 + 2β)/α."""
    alphas: AlphasByNorm
    """Learning rates α, by norm."""


class EdgeOfStability(Initial):
    """Sharpness along full-batch gradient descent from initialisation, without augmentation or weight decay."""

    descents: Several[Descent]
    """What is descended, and how. Each loss and momentum stands once."""
    images: Annotated[Whole, Field(ge=0, le=1_000_000)] = 0
    """On how many images, the same number of each class where it has so many; 0 means all."""
    updates: Annotated[Whole, Field(ge=1, le=1_000_000)]
    """The most updates of a descent."""
    every: Annotated[Whole, Field(ge=1, le=1_000_000)]
    """After how many updates each the loss and the sharpness are measured."""
    stop_at: Annotated[Number, Field(ge=0)] = 0.1
    """A descent ends where its loss is this small."""

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The images of the batch, where the options say how many: claims name them in their scope."""
        return (self.images,) if self.images else ()

    def check(self, setting: Setting) -> Iterator[Mistake]:
        known = ["default", *setting.norms]
        seen: set[tuple[str, float]] = set()
        for number, descent in enumerate(self.descents):
            for norm in descent.alphas.model_extra or {}:
                if not plugins.is_among(norm, known):
                    text = f"key {shown(norm)} is unknown; expected {choice(norm, known)}"
                    yield Mistake(("descents", number, "alphas"), text)
            kind = (descent.loss, descent.momentum)
            if kind in seen:
                text = f"{descent.loss} with momentum {descent.momentum:g} stands here twice; expected it once"
                yield Mistake(("descents", number), text)
            seen.add(kind)
        yield from too_many(("images",), self.images, setting)
        images = self.images or setting.images
        if math.isfinite(images):
            yield from ungrouped(("images",), int(images), setting.measured)


COLUMNS = {
    "batch_size": "int64",
    "loss": "str",
    "momentum": "float64",
    "alpha": "float64",
    "update": "int64",
    "training_loss": "float64",
    "sharpness": "float64",
    "failure": "str",
}


def measure(context: Context, norm: str, seed: int, options: EdgeOfStability) -> pd.DataFrame:
    """Loss and sharpness along full-batch descent from the initialisation of `seed`, for each loss, momentum and α.

    The batch is the same for every seed: see `descent.balanced`. Sharpness is λ_max of the Hessian of the loss that is
    descended, over that batch, with batch norm in train mode. It is computed in float32 by Lanczos, up to a residual of
    1e-3 of itself. A descent ends where its loss is at most `stop_at`, or where it fails (see `descent.descend`).

    Columns: batch_size (the images), loss ("cross_entropy" in nats, or "mse", ½‖logits − one-hot‖², both means over
    images), momentum, alpha, update (how many were made), training_loss, sharpness and failure. A descent that failed
    ends with a row whose failure is "diverged" or "collapsed", and whose sharpness is NaN; elsewhere failure is "".
    """
    import pandas as pd

    from understanding_bn.analysis.descent import LOSSES, balanced, descend

    batch = balanced(context.split, options.images)
    size = len(batch[1])
    rows = []
    for kind in options.descents:
        optimiser = Optimiser(momentum=kind.momentum, weight_decay=0)
        for alpha in kind.alphas.of(norm):
            path = descend(
                context.model(norm, seed),
                batch,
                LOSSES[kind.loss],
                optimiser,
                alpha,
                options.updates,
                options.every,
                options.stop_at,
                seed,
            )
            rows += [(size, kind.loss, kind.momentum, alpha, *snapshot) for snapshot in path]
    return pd.DataFrame(rows, columns=list(COLUMNS))
