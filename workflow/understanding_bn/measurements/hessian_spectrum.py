"""The spectrum of the loss's Hessian: its density, its two ends and its trace, also layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from understanding_bn.settings import (
    BatchSize,
    BNMode,
    Distinct,
    Layer,
    Several,
    Trained,
    Whole,
    layers_too_deep,
    numbered,
    too_many,
    ungrouped,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Mistake, Setting


class HessianSpectrum(Trained):
    """Eigenvalues, trace and spectral density of the Hessian on a fixed part of the images."""

    subset: Annotated[Whole, Field(ge=2, le=1_000_000)]
    """How many images, rounded down to whole mini-batches, of which there is one at least."""
    batch_size: BatchSize | None = None
    """Images in each mini-batch of the partition; left out, the cell's own."""
    bn_modes: Several[BNMode] = ("train",)
    """Statistics of batch norm. `train`: the mini-batch's. `eval`: the running ones; sharpness is then of these."""
    top: Annotated[Whole, Field(ge=1, le=1000)]
    """How many eigenvalues at each end of the spectrum."""
    probes: Annotated[Whole, Field(ge=1, le=10_000)]
    """How many random vectors of stochastic Lanczos quadrature."""
    steps: Annotated[Whole, Field(ge=2, le=10_000)]
    """Lanczos steps for each random vector."""
    layers: Distinct[Layer] = ()
    """Layers whose own Hessian is measured too, by the paper's numbers."""

    def check(self, setting: Setting) -> Iterator[Mistake]:
        yield from too_many(("subset",), self.subset, setting)
        if self.batch_size:
            yield from too_many(("batch_size",), self.batch_size, setting)
            if "train" in self.bn_modes:
                yield from ungrouped(("batch_size",), self.batch_size, setting.measured)
        yield from layers_too_deep(numbered(self.layers), setting.archs, last=True)


COLUMNS = {
    "partition": "int64",
    "bn_mode": "str",
    "block": "str",
    "kind": "str",
    "index": "float64",
    "probe": "float64",
    "value": "float64",
    "weight": "float64",
    "residual": "float64",
}


def measure(context: Context, norm: str, seed: int, options: HessianSpectrum) -> pd.DataFrame:
    """The spectrum at the weights of the network, on the images of `analysis.spectrum.partition`.

    Columns: partition (images in each of its mini-batches), then those of `analysis.spectrum.spectrum`.
    """
    from understanding_bn.analysis.spectrum import partition, spectrum

    size = options.batch_size or context.batch_size
    batches = partition(context.split, options.subset, size, seed)
    table = spectrum(
        context.model(norm, seed),
        batches,
        options.bn_modes,
        options.top,
        options.probes,
        options.steps,
        options.layers,
        seed,
    )
    table.insert(0, "partition", size)
    return table
