"""Singular values of a mini-batch's features at initialisation, against depth (claim Ei)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from understanding_bn.settings import BatchSize, OnNetworks

if TYPE_CHECKING:
    import pandas as pd

    from understanding_bn.analysis.context import Context

# Without a norm, features of a deep plain network shrink by many orders of magnitude, and hardly differ.
DTYPE = "float64"


class FeatureRank(OnNetworks):
    """Singular values of the features of a mini-batch, images × features, in float64."""

    batch_size: BatchSize
    """Images in the mini-batch."""


COLUMNS = {
    "arch": "str",
    "init": "str",
    "batch_size": "int64",
    "bn_mode": "str",
    "index": "int64",
    "singular_value": "float64",
}


def measure(context: Context, norm: str, seed: int, options: FeatureRank) -> pd.DataFrame:
    """Every singular value of the features of the first mini-batch of training, for each network.

    The matrix has a row for each image and a column for each feature that the linear layer reads: the last block's
    output, averaged over positions. Its columns are not centred: if all images have the same features, or features that
    differ in size alone, one singular value is left. That is the collapse which the effective rank tells.

    Columns: arch, init, batch_size, bn_mode ("train": moments of this mini-batch; "none" where no batch statistics
    are), index (from 1) and singular_value, descending; NaN where a feature is not finite.
    """
    import numpy as np
    import pandas as pd
    import torch

    from understanding_bn.analysis.context import batch_norms
    from understanding_bn.analysis.finite import if_finite

    context = replace(context, batch_size=options.batch_size)
    images, _ = next(context.minibatches(seed))
    images = images.double()
    tables = []
    for arch, init in product(options.networks.archs, options.networks.inits):
        model = replace(context, arch=arch, init=init).model(norm, seed).double()
        with torch.no_grad():
            features = model.features(images).mean((2, 3))
        unknown = features.new_full((min(features.shape),), float("nan"))
        values = if_finite(torch.linalg.svdvals, features, otherwise=unknown).cpu().numpy()
        facts = {"arch": arch, "init": init, "batch_size": options.batch_size}
        facts["bn_mode"] = "train" if batch_norms(model) else "none"
        index = np.arange(1, len(values) + 1)
        tables.append(pd.DataFrame(facts | {"index": index, "singular_value": values}))
    return pd.concat(tables, ignore_index=True)
