"""Singular values of the Jacobian of a network's features with respect to one image's pixels, at initialisation.

Saxe et al. (2014) and Pennington et al. (2017) call a network whose singular values all lie near 1 dynamically
isometric; Xiao et al. (2018) build convolutional networks that are.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from understanding_bn.settings import BatchSize, BNMode, Initial, Mistake, Networks, Several, Whole, too_many, ungrouped

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Setting

DTYPE = "float64"


class JacobianConditioning(Initial):
    """Singular values of the features' Jacobian, against depth and initialisation, in float64."""

    networks: Networks
    """The networks that are measured, instead of the preset's own. One job does all of a norm."""
    batch_size: BatchSize
    """Images in the mini-batch."""
    images: Annotated[Whole, Field(ge=1, le=1_000_000)] = 1
    """At how many of its images the Jacobian is measured."""
    bn_modes: Several[BNMode] = ("train", "eval")
    """Moments of batch norm. `train`: they change with the image. `eval`: the same moments, held fixed."""

    def other_inits(self) -> tuple[str, ...]:
        return self.networks.inits

    def check(self, setting: Setting) -> Iterator[Mistake]:
        yield from too_many(("batch_size",), self.batch_size, setting)
        yield from ungrouped(("batch_size",), self.batch_size, setting.measured)
        if self.images > self.batch_size:
            yield Mistake(("images",), f"{self.images} is more than batch_size, expected at most {self.batch_size}")


COLUMNS = {
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

    All networks have the weights of `seed`. Those with batch norm are measured in each of `bn_modes`; with a ghost
    norm, the image's group stands for the mini-batch:

        train: the moments are the mini-batch's own. The pixels of an image act through them too, on its own features;
            the other images stay as they are.
        eval: the moments are set to the mini-batch's and held fixed, so that an image passes by itself. Its features
            are the same as in train mode, their derivatives are not.

    The others are the same in both modes, and measured once, with bn_mode "none". All in float64.

    Columns: arch, init, batch_size, bn_mode, image (from 0), outputs and inputs (rows and columns of the Jacobian),
    index (from 1), singular_value, descending; NaN where an entry of the Jacobian is not finite.
    """
    import numpy as np
    import pandas as pd
    import torch

    from understanding_bn.analysis.finite import if_finite
    from understanding_bn.analysis.jacobian import in_modes, jacobian, seen, sharing

    context = replace(context, batch_size=options.batch_size)
    pixels, _ = next(context.minibatches(seed))
    pixels = pixels.double()
    tables = []
    for arch, init in product(options.networks.archs, options.networks.inits):
        model = replace(context, arch=arch, init=init).model(norm, seed).double()
        for image in range(options.images):
            together, place = sharing(model, pixels, image)
            for bn_mode in in_modes(model, together, options.bn_modes):
                matrix = jacobian(model, *seen(together, place, bn_mode))
                unknown = matrix.new_full((min(matrix.shape),), float("nan"))
                values = if_finite(torch.linalg.svdvals, matrix, otherwise=unknown).cpu().numpy()
                keys = {"arch": arch, "init": init, "batch_size": options.batch_size, "bn_mode": bn_mode}
                keys |= {"image": image, "outputs": matrix.shape[0], "inputs": matrix.shape[1]}
                tables.append(pd.DataFrame(keys | {"index": np.arange(1, len(values) + 1), "singular_value": values}))
    return pd.concat(tables, ignore_index=True)
