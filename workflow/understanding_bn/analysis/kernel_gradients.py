"""Fig. 7: the gradient of one layer's kernel, channel by channel, at initialisation."""

import numpy as np
import pandas as pd

from understanding_bn.analysis.context import Context
from understanding_bn.analysis.gradient_sums import inputs_and_gradients, sums_by_entry


def measure(context: Context, norm: str, seed: int, layer: int) -> pd.DataFrame:
    """|∂L/∂W| between every output and input channel, on the first mini-batch, L its mean cross-entropy.

    Columns: layer, out_channel, in_channel, gradient (Σ over kernel positions of |Σ d|, where Σ d, the sum over
    images and positions of the map, is the gradient) and magnitude (Σ over kernel positions of Σ|d|, the other
    reading of the paper's caption). float32 gradients, float64 sums.
    """
    model = context.model(norm, seed)
    images, labels = next(context.minibatches(seed))
    inputs, gradient = inputs_and_gradients(model, [layer], images, labels)[layer]
    magnitudes, total = sums_by_entry(inputs, gradient, model.layer(layer))
    outs, ins = total.shape[:2]
    return pd.DataFrame(
        {
            "layer": layer,
            "out_channel": np.repeat(np.arange(outs), ins),
            "in_channel": np.tile(np.arange(ins), outs),
            "gradient": total.abs().sum((2, 3)).flatten().cpu().numpy(),
            "magnitude": magnitudes.sum((2, 3)).flatten().cpu().numpy(),
        }
    )
