"""What counts as divergence, defined once for training, figures and claims.

A run has diverged at the first mini-batch whose loss is not finite or is more than `BOUND` times the loss of the
run's first mini-batch. After the last update the mini-batch that would come next is judged, too: a run whose last
update blows it up has diverged one step after its last. The other reading of the paper, an absolute loss beyond
`BOUND`, is recorded but stops nothing: without normalisation a deep network can start there. A run whose training ends
no better than guessing the most frequent class is stuck at chance, which is a separate kind of failure. After only a
few updates its sign is a collapsed network, whose answer no longer depends on the image.
"""

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

BOUND = 1e3
COLLAPSED = 1e-3  # nats


@dataclass(frozen=True)
class Divergence:
    """How one run failed. Steps count mini-batches from 1; None: there is no such step.

    Attributes:
        kind: "overflow", "NaN" or "stuck at chance"; None if the run is sound.
        first_bad_step: the first whose loss is not finite or beyond BOUND × the first loss.
        first_absolute_step: the first whose loss is not finite or beyond BOUND.
        last_finite_loss: the last finite loss up to the first bad step, that step included.
    """

    kind: str | None = None
    first_bad_step: int | None = None
    first_absolute_step: int | None = None
    last_finite_loss: float | None = None


def judge(losses: np.ndarray, first_loss: float, before: Divergence, steps: int, last_loss: float | None) -> Divergence:
    """A run's record, updated with the mini-batch losses of one more epoch.

    Args:
        losses: the new losses, (steps of the epoch,), in order.
        first_loss: the loss of the run's first mini-batch.
        before: the record so far; a run that has not diverged yet.
        steps: how many mini-batches came before these.
        last_loss: the loss of the last of them, None at the start.
    """
    finite = np.isfinite(losses)
    absolute = before.first_absolute_step or _first(~finite | (losses > BOUND), steps)
    bad = _first(~finite | (losses > BOUND * first_loss), steps)
    if bad is None:
        return Divergence(first_absolute_step=absolute)
    up_to_bad = losses[: bad - steps]
    last_finite = up_to_bad[np.isfinite(up_to_bad)]
    kind = "NaN" if math.isnan(up_to_bad[-1]) else "overflow"
    return Divergence(kind, bad, absolute, float(last_finite[-1]) if len(last_finite) else last_loss)


def stuck_at_chance(train_accuracy: float, train_images: int, majority_share: float) -> bool:
    """Whether a final train accuracy (a share) is within four standard deviations of guessing the largest class."""
    spread = math.sqrt(majority_share * (1 - majority_share) / train_images)
    return train_accuracy <= majority_share + 4 * spread


def collapsed(logits: Tensor) -> bool:
    """Whether a mini-batch's logits, (B, classes), hardly differ between images: sd below COLLAPSED in every class.

    Dead ReLUs lead there, and no gradient leads back. A sound network is far above, even at initialisation.
    """
    return bool((logits.std(0) < COLLAPSED).all())


def _first(flags: np.ndarray, steps: int) -> int | None:
    """The number, counted from 1 after `steps` earlier ones, of the first true flag."""
    return steps + int(flags.argmax()) + 1 if flags.any() else None
