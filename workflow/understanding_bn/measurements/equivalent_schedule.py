"""Weight decay at a constant learning rate beside none at one that grows exponentially (claim Ef)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from understanding_bn.settings import Alpha, Initial, Mistake, Number, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Setting

# The two trajectories agree up to rounding. In float32 that alone is beyond the claim's bound.
DTYPE = "float64"
LARGEST = 0.1  # of αλ, so that no learning rate overflows


class EquivalentSchedule(Initial):
    """Two trajectories of SGD, with weight decay and with an exponential learning rate in its place, in float64."""

    alpha: Alpha
    """The learning rate α of the trajectory with weight decay."""
    weight_decay: Annotated[Number, Field(gt=0, le=1)]
    """Its weight decay λ. The other trajectory has none, and the learning rate α(1 − αλ)^(−2t−1) at update t."""
    updates: Annotated[Whole, Field(ge=1, le=1000)]
    """How many updates each makes."""

    def check(self, setting: Setting) -> Iterator[Mistake]:
        product = self.alpha * self.weight_decay
        if product > LARGEST:
            text = f"alpha · weight_decay is {product:g}; expected at most {LARGEST:g}"
            yield Mistake(("weight_decay",), text)


COLUMNS = {
    "alpha": "float64",
    "weight_decay": "float64",
    "broken": "str",
    "update": "int64",
    "loss": "float64",
    "difference": "float64",
}


def measure(context: Context, norm: str, seed: int, options: EquivalentSchedule) -> pd.DataFrame:
    """The largest difference of logits between two trajectories, before each update and after the last.

    Both start from the initialisation of `seed` and see the same mini-batches, those of ordinary training with its
    augmentation. All is in float64, in train mode, without momentum. Only kernels are decayed, or have the exponential
    schedule. The linear layer is fixed. Scales and shifts, or the biases of kernels without normalisation, are trained
    at the constant α without decay on both sides. Normalisation has no ε. Then each kernel with a normalisation after
    it is scale-invariant, and the two trajectories are one function (Li & Arora 2020).

    Where there is normalisation, four more comparisons break one of these assumptions each, so that the difference can
    be seen to fail. Without normalisation no kernel is scale-invariant, which breaks one by itself.

    Columns: alpha, weight_decay, broken (which assumption: "nothing", "schedule", where α stays constant without decay;
    "epsilon", where normalisation has the ε of training; "kernels only", where every parameter is decayed or
    scheduled; "momentum", where both have that of training), update (how many were made), loss (nats, of the
    trajectory with decay) and difference (the largest absolute one over classes and the images of the next
    mini-batch; NaN where it is not finite).
    """
    import pandas as pd

    from understanding_bn.analysis.exponential_schedule import Comparison, differences, normalisations

    comparisons = {
        "nothing": Comparison(),
        "schedule": Comparison(scheduled=False),
        "epsilon": Comparison(exact=False),
        "kernels only": Comparison(everything=True),
        "momentum": Comparison(momentum=context.optimiser.momentum),
    }
    facts = (options.alpha, options.weight_decay)
    rows = []
    for broken, comparison in comparisons.items():
        model = context.model(norm, seed).double()
        if broken != "nothing" and not normalisations(model):
            continue
        batches = islice(context.minibatches(seed), options.updates + 1)
        doubled = ((images.double(), labels) for images, labels in batches)
        path = differences(model, doubled, *facts, comparison)
        rows += [(*facts, broken, *each) for each in path]
    return pd.DataFrame(rows, columns=list(COLUMNS))
