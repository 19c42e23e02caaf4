"""Table 1: do the terms of a kernel gradient, one per image and position, cancel or add up?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from understanding_bn.settings import Initial, PaperLayers, layers_too_deep, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Mistake, Setting


class GradientSums(Initial):
    """Whether the terms of a kernel's gradient cancel or add up (Table 1)."""

    layers: PaperLayers = (18, 54, 108)
    """Convolutions, by the paper's numbers. The default is for ResNet-110."""

    @classmethod
    def on_readings(cls) -> bool:
        return True

    def check(self, setting: Setting) -> Iterator[Mistake]:
        yield from layers_too_deep(numbered(self.layers), setting.archs, last=False)


COLUMNS = {"layer": "int64", "a": "float64", "b": "float64", "ratio": "float64"}


def measure(context: Context, norm: str, seed: int, options: GradientSums) -> pd.DataFrame:
    """a and b of every kernel in `layers`, on the first mini-batch at initialisation.

    Columns: layer, a, b, ratio (a / b; NaN where a layer has no gradient, as some have that Fixup sets to zero); see
    `analysis.kernel_sums.sums`.
    """
    import pandas as pd

    from understanding_bn.analysis.kernel_sums import inputs_and_gradients, sums

    model = context.model(norm, seed)
    images, labels = next(context.minibatches(seed))
    rows = []
    for layer, (inputs, gradient) in inputs_and_gradients(model, options.layers, images, labels).items():
        a, b = sums(inputs, gradient, model.convolution(layer))
        rows.append((layer, a, b))
    table = pd.DataFrame(rows, columns=["layer", "a", "b"])
    return table.assign(ratio=table["a"].astype(float) / table["b"].astype(float))
