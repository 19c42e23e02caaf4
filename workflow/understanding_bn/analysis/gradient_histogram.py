"""Fig. 2: the gradient of one layer's kernel at initialisation, pooled over mini-batches."""

from itertools import islice

import pandas as pd
import torch
from torch.nn import functional as F

from understanding_bn.analysis.context import Context


def measure(context: Context, norm: str, seed: int, layer: int, minibatches: int) -> pd.DataFrame:
    """Every entry of ∂ℓ/∂W for layer `layer`'s kernel W, over `minibatches` mini-batches at the same weights.

    ℓ is the mean cross-entropy of a mini-batch. Columns: layer, minibatch (from 1), gradient (float32).
    """
    model = context.model(norm, seed)
    kernel = model.layer(layer).weight
    tables = []
    for number, (images, labels) in enumerate(islice(context.minibatches(seed), minibatches), start=1):
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(images), labels), kernel)
        values = gradient.flatten().cpu().numpy()
        tables.append(pd.DataFrame({"layer": layer, "minibatch": number, "gradient": values}))
    return pd.concat(tables, ignore_index=True)
