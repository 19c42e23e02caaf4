"""Fig. 4: channel moments along the update at which training diverges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field

from understanding_bn.settings import Alpha, Initial, PaperLayers, Site, Whole, layers_too_deep, numbered, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Mistake, Setting


class DivergencePath(Initial):
    """Channel moments along the update at which training diverges (Fig. 4)."""

    alpha: Alpha
    """Learning rate of the training."""
    layers: PaperLayers = (8, 44, 80)
    """Convolutions, by the paper's numbers. The default is for ResNet-110."""
    percent_step: Annotated[Literal[1, 2, 4, 5, 10, 20, 25, 50, 100], BeforeValidator(whole)]
    """Per cent of the update from one point to the next."""
    most_updates: Annotated[Whole, Field(ge=1, le=100_000)]
    """Updates to wait for one that diverges. If none does, the last is shown."""
    site: Site
    """`convolution`: the convolution's output. `stream`: the residual stream after the ReLU."""

    def check(self, setting: Setting) -> Iterator[Mistake]:
        yield from layers_too_deep(numbered(self.layers), setting.archs, last=False)


COLUMNS = {
    "layer": "int64",
    "percent": "int64",
    "channel": "int64",
    "mean": "float64",
    "variance": "float64",
    "loss": "float64",
    "alpha": "float64",
    "update": "int64",
    "diverged": "bool",
}


def measure(context: Context, norm: str, seed: int, options: DivergencePath) -> pd.DataFrame:
    """Mean and variance of each channel at 0 … 100 % of the diverging update, on the update's own mini-batch.

    Training runs as usual at learning rate α until an update raises its mini-batch's loss beyond 1e3 times the loss
    at the start of training, or makes it infinite or NaN. That update, momentum and weight decay included, is then
    applied a little at a time. If no update up to `most_updates` does so, the last one is shown and `diverged` is
    false.

    Columns: alpha, update (from 1), diverged, loss (nats, at this per cent), layer, percent, channel, mean, variance.
    """
    import numpy as np
    import pandas as pd

    from understanding_bn.analysis.channel_moments import moments, recorded
    from understanding_bn.analysis.context import loss_at, move
    from understanding_bn.analysis.diverging_update import diverging_update

    model = context.model(norm, seed)
    update = diverging_update(context, model, seed, options.alpha, options.most_updates)
    tables = []
    for percent in range(0, 101, options.percent_step):
        move(model, update.origin, update.direction, percent / 100)
        with recorded(model, options.layers, options.site) as outputs:
            loss = loss_at(model, update.images, update.labels)
        for layer in options.layers:
            mean, variance = moments(outputs[layer])
            table = pd.DataFrame({"layer": layer, "percent": percent, "channel": np.arange(len(mean))})
            tables.append(table.assign(mean=mean, variance=variance, loss=loss))
    table = pd.concat(tables, ignore_index=True)
    return table.assign(alpha=options.alpha, update=update.number, diverged=update.diverged)
