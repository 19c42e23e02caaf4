"""Fig. 2: the gradient of one layer's kernel at initialisation, pooled over mini-batches."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from understanding_bn.settings import Initial, PaperLayer, Whole, layers_too_deep

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Mistake, Setting


class GradientHistogram(Initial):
    """Every entry of the gradient of one kernel, over mini-batches (Fig. 2)."""

    layer: PaperLayer = 55
    """A convolution, by the paper's number. The default is for ResNet-110."""
    minibatches: Annotated[Whole, Field(ge=1, le=10_000)]
    """How many mini-batches are pooled."""

    def check(self, setting: Setting) -> Iterator[Mistake]:
        yield from layers_too_deep({("layer",): self.layer}, setting.archs, last=False)


COLUMNS = {"layer": "int64", "minibatch": "int64", "gradient": "float32"}


def measure(context: Context, norm: str, seed: int, options: GradientHistogram) -> pd.DataFrame:
    """Every entry of ∂ℓ/∂W, W the kernel of `layer`, over `minibatches` mini-batches at the same weights.

    ℓ is the mean cross-entropy of a mini-batch. Columns: layer, minibatch (from 1), gradient (float32).
    """
    import pandas as pd
    import torch
    from torch.nn import functional as F

    model = context.model(norm, seed)
    kernel = model.layer(options.layer).weight
    tables = []
    for number, (images, labels) in enumerate(islice(context.minibatches(seed), options.minibatches), start=1):
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(images), labels), kernel)
        values = gradient.flatten().cpu().numpy()
        tables.append(pd.DataFrame({"layer": options.layer, "minibatch": number, "gradient": values}))
    return pd.concat(tables, ignore_index=True)
