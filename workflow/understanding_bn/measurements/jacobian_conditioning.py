"""Singular values of the Jacobian of a network's features with respect to one image's pixels, at initialisation.

Beside them, those of products of Gaussian matrices of a plain network's own sizes. Saxe et al. (2014) and Pennington et
al. (2017) call a network whose singular values all lie near 1 dynamically isometric; Xiao et al. (2018) build
convolutional networks that are.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from understanding_bn import architecture
from understanding_bn.settings import (
    BatchSize,
    BNMode,
    Factor,
    Flag,
    Initial,
    Mistake,
    Networks,
    Several,
    Whole,
    unfit,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pandas as pd
    from torch import Tensor

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Setting

DTYPE = "float64"
# What a matrix is, and the share of entries that passes each of the masks of a product of Gaussian matrices.
NETWORK = "network"
PASSED = {"gaussian": 1.0, "gaussian_masked": 0.5}


class JacobianConditioning(Initial):
    """Singular values of the features' Jacobian, against depth and initialisation, in float64."""

    networks: Networks
    """The networks that are measured, instead of the preset's own. One job does all of a norm."""
    batch_size: Factor[BatchSize]
    """Images in the mini-batch, of one size or several. Eval mode has the moments of the largest."""
    images: Annotated[Whole, Field(ge=1, le=1_000_000)] = 1
    """At how many of its images the Jacobian is measured."""
    bn_modes: Several[BNMode] = ("train", "eval")
    """Moments of batch norm. `train`: they change with the image. `eval`: the same moments, held fixed."""
    directions: Literal["colours", "grey"] = "colours"
    """Derivatives with respect to each colour of each pixel; `grey`: all colours of a pixel change alike."""
    gaussian: Flag = False
    """Whether to measure products of Gaussian matrices of plain networks' sizes, too, if the norm is `none`."""

    def other_inits(self) -> tuple[str, ...]:
        return self.networks.inits

    def check(self, setting: Setting) -> Iterator[Mistake]:
        for position, size in enumerate(self.batch_size):
            yield from unfit(("batch_size", position), size, setting)
        if self.images > (least := min(self.batch_size)):
            yield Mistake(("images",), f"{self.images} is more than batch_size, expected at most {least}")


COLUMNS = {
    "kind": "str",
    "arch": "str",
    "init": "str",
    "batch_size": "int64",
    "bn_mode": "str",
    "image": "int64",
    "outputs": "int64",
    "inputs": "int64",
    "index": "int64",
    "singular_value": "float64",
}


def measure(context: Context, norm: str, seed: int, options: JacobianConditioning) -> pd.DataFrame:
    """Every singular value of the Jacobian at the first `images` images of the first mini-batch, for each network.

    All networks have the weights of `seed`, and smaller mini-batches are the first images of the largest. Networks with
    batch norm are measured in each of `bn_modes`, all in float64; with a ghost norm, the image's group stands for the
    mini-batch:

        train: the moments are the mini-batch's own. The pixels of an image act through them too, on its own features;
            the other images stay as they are. Measured at each batch size: the larger it is, the less they act.
        eval: the moments are set to those of the largest mini-batch, which estimates a data set's best, and held fixed,
            so that an image passes by itself. Its features are the same as in train mode, their derivatives are not.

    The others are the same in both modes and at each batch size, and measured once, with bn_mode "none" and the largest
    batch size. Where `gaussian` asks for them, the `products` of the plain ones come last.

    Columns: kind, arch, init, batch_size, bn_mode, image (from 0), outputs and inputs (rows and columns of the matrix),
    index (from 1), singular_value, descending; NaN where an entry of the Jacobian is not finite.
    """
    import pandas as pd
    import torch

    from understanding_bn.analysis.context import batch_norms
    from understanding_bn.analysis.finite import if_finite
    from understanding_bn.analysis.jacobian import in_modes, jacobian, seen, sharing

    largest, grey = max(options.batch_size), options.directions == "grey"
    context = replace(context, batch_size=largest)
    pixels, _ = next(context.minibatches(seed))
    pixels = pixels.double()
    tables = []
    for arch, init in product(options.networks.archs, options.networks.inits):
        model = replace(context, arch=arch, init=init).model(norm, seed).double()
        for size in options.batch_size if batch_norms(model) else [largest]:
            modes = [mode for mode in options.bn_modes if mode == "train" or size == largest]
            for image in range(options.images):
                together, place = sharing(model, pixels[:size], image)
                for bn_mode in in_modes(model, together, modes):
                    matrix = jacobian(model, *seen(together, place, bn_mode), grey)
                    unknown = matrix.new_full((min(matrix.shape),), float("nan"))
                    values = if_finite(torch.linalg.svdvals, matrix, otherwise=unknown).cpu().numpy()
                    facts = {"kind": NETWORK, "arch": arch, "init": init, "batch_size": size, "bn_mode": bn_mode}
                    tables.append(_table(values, matrix.shape, facts | {"image": image}))
    if options.gaussian and norm == "none":
        tables += products(context, seed, pixels[:1], options)
    return pd.concat(tables, ignore_index=True)


def products(context: Context, seed: int, image: Tensor, options: JacobianConditioning) -> list[pd.DataFrame]:
    """Products of Gaussian matrices of the sizes of plain networks (`random_matrices.chain`).

    Such a product has as many factors as the network has convolutions. Each is of that convolution's size, from all
    entries of its input, whatever its stride, to all of its output; the first begins at the pixels. The kind is
    "gaussian", or "gaussian_masked" where half of the entries after each factor are zero, as after a ReLU.

    What they leave out: a convolution's matrix is sparse, and positions share its entries; whether one unit passes
    depends on the others. They have no kernels, so that init is "none". A residual network is a sum of products over
    paths, whose weights depend on initialisation and norm; no product stands beside it.
    """
    from understanding_bn.analysis import random_matrices
    from understanding_bn.analysis.jacobian import sizes

    tables = []
    for arch in options.networks.archs:
        if architecture.parse(arch)[0] != "none":
            continue
        model = replace(context, arch=arch).model("none", seed).double()
        chain = sizes(model, image, options.directions == "grey")
        for kind, passed in PASSED.items():
            facts = {"kind": kind, "arch": arch, "init": "none", "batch_size": context.batch_size, "bn_mode": "none"}
            values = random_matrices.chain(chain, passed, seed)
            tables.append(_table(values, (chain[-1], chain[0]), facts | {"image": 0}))
    return tables


def _table(values: np.ndarray, shape: Sequence[int], facts: dict[str, Any]) -> pd.DataFrame:
    """The rows of one matrix."""
    import numpy as np
    import pandas as pd

    facts = facts | {"outputs": shape[0], "inputs": shape[1]}
    return pd.DataFrame(facts | {"index": np.arange(1, len(values) + 1), "singular_value": values})
