"""Where batch norm raises or lowers the noise of SGD at initialisation, against depth and shortcuts (Q2)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from understanding_bn.settings import Mistake, OnNetworks, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from torch import Tensor

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Setting

# Rounding errors grow with depth as gradients do: in a plain network of 56 layers with batch norm a gradient in float32
# is off by about a fifth of its length, and in one of 110 layers it has nothing to do with the exact one.
DTYPE = "float64"
# Domains of random streams, so that the mini-batches of the gradients say nothing about those of the Hessian.
GRADIENTS, HESSIAN = 103, 104


class NoiseByDepth(OnNetworks):
    """Noise and structure of mini-batch gradients against depth, and what the noise adds to the loss, in float64."""

    minibatches: Annotated[Whole, Field(ge=2, le=100_000)]
    """How many mini-batches have their gradients measured."""
    hessian_minibatches: Annotated[Whole, Field(ge=1, le=100_000)]
    """How many others the Hessian is measured on, each along the noise of one of those gradients."""

    def check(self, setting: Setting) -> Iterator[Mistake]:
        yield from super().check(setting)
        if self.hessian_minibatches > self.minibatches:
            text = f"{self.hessian_minibatches} is more than minibatches, expected at most {self.minibatches}"
            yield Mistake(("hessian_minibatches",), text)


COLUMNS = {
    "arch": "str",
    "init": "str",
    "batch_size": "int64",
    "block": "str",
    "bn_mode": "str",
    "quantity": "str",
    "value": "float64",
}


def measure(context: Context, norm: str, seed: int, options: NoiseByDepth) -> pd.DataFrame:
    """Moments and ranks of the gradients of independent mini-batches in train mode, for each network.

    All networks have the weights of `seed` and see the same mini-batches, drawn as for `gradient_structure`. Everything
    is in float64. Columns: arch, init, batch_size, block, bn_mode ("train", or
    "none" where no batch statistics are), quantity and value. Blocks and quantities are those of `gradient_structure`,
    and of the whole network ("all") also

    noise_curvature: tr(HΣ), Σ the covariance of a mini-batch's gradient and H the Hessian of the expected loss, from
        `hessian_minibatches` mini-batches that are independent of those of the gradients; unbiased, and negative where
        noise points along negative curvature. See `curvature_of_noise`. α²/2 · tr(HΣ) is what noise adds to the
        expected loss of the next step, to second order in α.
    loss: L, the mean cross-entropy (nats) of the Hessian's mini-batches.
    """
    import pandas as pd
    import torch

    from understanding_bn.analysis import gradient_moments as gm
    from understanding_bn.analysis.context import batch_norms
    from understanding_bn.analysis.curvature_of_noise import curvature_of_noise

    context = replace(context, batch_size=options.batch_size)
    rows = []
    for arch, init in product(options.networks.archs, options.networks.inits):
        of_network = replace(context, arch=arch, init=init)
        model = of_network.model(norm, seed).double()
        keys = (arch, init, options.batch_size)
        bn_mode = "train" if batch_norms(model) else "none"
        drawn = _doubled(of_network.draws("subset", options.minibatches, seed, GRADIENTS))
        gradients = torch.stack([gm.gradient(model, *batch) for batch in drawn])
        others = _doubled(of_network.draws("subset", options.hessian_minibatches, seed, HESSIAN))
        curvature, loss = curvature_of_noise(model, gradients, others)
        values = [*gm.structure(model, gradients, of_network)]
        values += [("all", "noise_curvature", curvature), ("all", "loss", loss)]
        rows += [(*keys, block, bn_mode, *each) for block, *each in values]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _doubled(batches: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """The same mini-batches with images in float64."""
    return ((images.double(), labels) for images, labels in batches)
