"""How smooth the loss is along the gradient, over the steps that training takes (claim Ec)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from understanding_bn.settings import Mistake, Trained, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Setting

# Late in training, and at a small α, the loss and the gradient change by less than float32 resolves well.
DTYPE = "float64"
MINIBATCHES = 105  # domain of the random stream, so that they say nothing about those of other measurements
SHORTEST, LONGEST = 0.5, 4.0  # steps, in α: those of Santurkar et al. (2018)


class LandscapeSmoothness(Trained):
    """The loss and its gradient along the gradient, over steps of ½ to 4 times α, in float64."""

    minibatches: Annotated[Whole, Field(ge=1, le=10_000)]
    """On how many mini-batches, each along its own gradient."""
    steps: Annotated[Whole, Field(ge=2, le=100)] = 7
    """How many steps, from ½ α to 4 α, each the same factor longer than the last."""

    def check(self, setting: Setting) -> Iterator[Mistake]:
        if 0 in self.at:
            yield Mistake(("at",), "0 is before training, where a network has no α; expected shares above 0")


COLUMNS = {
    "bn_mode": "str",
    "minibatch": "int64",
    "step_size": "float64",
    "loss": "float64",
    "gradient_norm": "float64",
    "gradient_distance": "float64",
}


def measure(context: Context, norm: str, seed: int, options: LandscapeSmoothness) -> pd.DataFrame:
    """ℓ(w − s·g) and ‖∇ℓ(w − s·g) − g‖ on some mini-batches, for steps s of ½ to 4 times α; g = ∇ℓ(w) of the same.

    α is the learning rate that the network was trained at. So networks with batch norm and without are compared over
    the same steps only where they were trained at the same α; the claim compares no others. Each mini-batch is drawn
    independently, as for `gradient_structure`, and is the same for every norm of a seed. Neither momentum nor weight
    decay is in the step. Batch norm is in train mode, so that ℓ is what an update of training sees; all is in float64.

    Columns: bn_mode ("train", or "none" where no batch statistics are), minibatch (from 1), step_size (s; 0 is w
    itself), loss (nats), gradient_norm (‖g‖, L2) and gradient_distance (L2).
    """
    import numpy as np
    import pandas as pd

    from understanding_bn.analysis.context import batch_norms
    from understanding_bn.analysis.gradient_line import gradients_along

    assert context.alpha is not None
    model = context.model(norm, seed).double()
    bn_mode = "train" if batch_norms(model) else "none"
    sizes = context.alpha * np.geomspace(SHORTEST, LONGEST, options.steps)
    rows = []
    batches = context.draws("subset", options.minibatches, seed, MINIBATCHES)
    for number, (images, labels) in enumerate(batches, start=1):
        start, length, along = gradients_along(model, images.double(), labels, sizes)
        rows.append((bn_mode, number, 0.0, start, length, 0 * length))  # NaN, where the gradient is not finite
        rows += [
            (bn_mode, number, size, loss, length, distance) for size, (loss, distance) in zip(sizes, along, strict=True)
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
