"""Fig. 5: means and variances of the channels at initialisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understanding_bn.settings import Initial, PaperLayers, layers_too_deep, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Mistake, Setting


class ChannelMoments(Initial):
    """Means and variances of the channels of some layers (Fig. 5)."""

    layers: PaperLayers = (6, 18, 30, 42, 54, 66, 78, 90, 102, 110)
    """Layers, by the paper's numbers; the linear layer counts too. The default is for ResNet-110."""

    @classmethod
    def on_readings(cls) -> bool:
        return True

    def check(self, setting: Setting) -> Iterator[Mistake]:
        yield from layers_too_deep(numbered(self.layers), setting.archs, last=True)


COLUMNS = {"site": "str", "layer": "int64", "channel": "int64", "mean": "float64", "variance": "float64"}


def measure(context: Context, norm: str, seed: int, options: ChannelMoments) -> pd.DataFrame:
    """Mean and variance of every channel over the first mini-batch and all positions, at both sites.

    Columns: site, layer, channel, mean, variance (unbiased; float64 accumulation of float32 activations).
    """
    import numpy as np
    import pandas as pd
    import torch

    from understanding_bn.analysis.channel_moments import SITES, moments, recorded

    model = context.model(norm, seed)
    images, _ = next(context.minibatches(seed))
    tables = []
    for site in SITES:
        with torch.no_grad(), recorded(model, options.layers, site) as outputs:
            model(images)
        for layer in options.layers:
            mean, variance = moments(outputs[layer])
            table = pd.DataFrame({"site": site, "layer": layer, "channel": np.arange(len(mean))})
            tables.append(table.assign(mean=mean, variance=variance))
    return pd.concat(tables, ignore_index=True)
