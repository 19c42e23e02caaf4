"""What counts as divergence, decided once for training, figures and claims.

A run has diverged at the first mini-batch whose loss is not finite or is more than `BOUND` times the loss of the
run's first mini-batch. The paper's other reading, an absolute loss beyond `BOUND`, is recorded beside it but stops
nothing: without normalisation a deep network can start there. A run that ends its training no better than guessing
the most frequent class is stuck at chance, which is a result of its own kind.
"""

import math
from dataclasses import dataclass

import numpy as np

BOUND = 1e3


@dataclass(frozen=True)
class Divergence:
    """How one run failed. Steps count mini-batches from 1; None means that it never came to that.

    Attributes:
        kind: "overflow", "NaN" or "stuck at chance"; None if the run is sound.
        first_bad_step: first loss that is not finite or beyond BOUND × the first loss.
        first_absolute_step: first loss that is not finite or beyond BOUND.
        last_finite_loss: the last finite loss up to the first bad step, that step included.
    """

    kind: str | None = None
    first_bad_step: int | None = None
    first_absolute_step: int | None = None
    last_finite_loss: float | None = None


def judge(losses: np.ndarray) -> Divergence:
    """The divergence in a run's mini-batch losses, (steps,), in order from its first mini-batch."""
    if len(losses) == 0:
        return Divergence()
    finite = np.isfinite(losses)
    bad = ~finite | (losses > BOUND * losses[0]) if finite[0] else np.ones(len(losses), dtype=bool)
    absolute = _first(~finite | (losses > BOUND))
    first = _first(bad)
    if first is None:
        return Divergence(first_absolute_step=absolute)
    until = losses[:first][finite[:first]]
    kind = "NaN" if math.isnan(losses[first - 1]) else "overflow"
    return Divergence(kind, first, absolute, float(until[-1]) if len(until) else None)


def stuck_at_chance(train_accuracy: float, train_images: int, majority_share: float) -> bool:
    """Whether a final train accuracy (a share) is within four standard deviations of guessing the largest class."""
    spread = math.sqrt(majority_share * (1 - majority_share) / train_images)
    return train_accuracy <= majority_share + 4 * spread


def _first(flags: np.ndarray) -> int | None:
    """The number, from 1, of the first true flag."""
    return int(flags.argmax()) + 1 if flags.any() else None
