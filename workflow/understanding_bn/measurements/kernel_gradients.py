"""Fig. 7: the gradient of one layer's kernel, channel by channel, at initialisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understanding_bn.settings import Initial, PaperLayer, layers_too_deep

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Mistake, Setting


class KernelGradients(Initial):
    """The gradient of one kernel, channel by channel (Fig. 7)."""

    layer: PaperLayer = 45
    """A convolution, by the paper's number. The default is for ResNet-110."""

    def check(self, setting: Setting) -> Iterator[Mistake]:
        yield from layers_too_deep({("layer",): self.layer}, setting.archs, last=False)


COLUMNS = {
    "layer": "int64",
    "out_channel": "int64",
    "in_channel": "int64",
    "gradient": "float64",
    "magnitude": "float64",
}


def measure(context: Context, norm: str, seed: int, options: KernelGradients) -> pd.DataFrame:
    """|∂L/∂W| between every output and input channel, on the first mini-batch, L its mean cross-entropy.

    Columns: layer, out_channel, in_channel, gradient (Σ over kernel positions of |Σ d|, where Σ d, the sum over
    images and positions of the map, is the gradient) and magnitude (Σ over kernel positions of Σ|d|, the other
    reading of the paper's caption). float32 gradients, float64 sums.
    """
    import numpy as np
    import pandas as pd

    from understanding_bn.analysis.kernel_sums import inputs_and_gradients, sums_by_entry

    model = context.model(norm, seed)
    images, labels = next(context.minibatches(seed))
    inputs, gradient = inputs_and_gradients(model, [options.layer], images, labels)[options.layer]
    magnitudes, total = sums_by_entry(inputs, gradient, model.convolution(options.layer))
    outs, ins = total.shape[:2]
    return pd.DataFrame(
        {
            "layer": options.layer,
            "out_channel": np.repeat(np.arange(outs), ins),
            "in_channel": np.tile(np.arange(ins), outs),
            "gradient": total.abs().sum((2, 3)).flatten().cpu().numpy(),
            "magnitude": magnitudes.sum((2, 3)).flatten().cpu().numpy(),
        }
    )
