"""How large residual branches are at initialisation beside the stream that they are added to (claim Eg)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from understanding_bn import architecture
from understanding_bn.settings import BatchSize, Mistake, Networks, OnNetworks

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Setting

# Without batch norm, and with Fixup or Xavier, a deep network's variances grow or shrink by many orders of magnitude.
DTYPE = "float64"


class BranchVariance(OnNetworks):
    """The variance of every residual branch's output, and of the stream that it is added to, in float64."""

    networks: Networks
    """The residual networks that are measured, instead of the preset's own. One job does all of a norm."""
    batch_size: BatchSize
    """Images in the mini-batch."""

    def check(self, setting: Setting) -> Iterator[Mistake]:
        yield from super().check(setting)
        for position, arch in enumerate(self.networks.archs):
            if architecture.exists(arch) and architecture.parse(arch)[0] == "none":
                text = f"{arch} has no shortcuts; expected a residual network"
                yield Mistake(("networks", "archs", position), text)


COLUMNS = {
    "arch": "str",
    "init": "str",
    "batch_size": "int64",
    "bn_mode": "str",
    "stage": "int64",
    "block": "int64",
    "branch_variance": "float64",
    "stream_variance": "float64",
    "branch_square": "float64",
    "stream_square": "float64",
}


def measure(context: Context, norm: str, seed: int, options: BranchVariance) -> pd.DataFrame:
    """Moments of branch and stream in every block, on the first mini-batch of training, for each network.

    A block is relu(branch + stream); both are taken before the addition. The branch's output is that of its last
    normalisation, or of its last convolution where none follows, times its scale where it has one. The stream is what
    it is added to: the block's input, which a ReLU has passed, or in the first block of stages 2 and 3 the projection's
    output, which none has.

    Columns: arch, init, batch_size, bn_mode ("train": moments of this mini-batch; "none" where no batch statistics
    are), stage (1 to 3), block (its number ℓ within its stage, from 1), then `*_variance`, of each channel over images
    and positions, mean over channels, and `*_square`, the mean square of all entries. De & Smith (2020) derive that
    variances of the stream grow as ℓ in networks without that ReLU, where a stream has a mean of zero and the two
    agree.
    """
    import pandas as pd

    from understanding_bn.analysis.branches import branch_moments
    from understanding_bn.analysis.context import batch_norms

    context = replace(context, batch_size=options.batch_size)
    images, _ = next(context.minibatches(seed))
    images = images.double()
    rows = []
    for arch, init in product(options.networks.archs, options.networks.inits):
        model = replace(context, arch=arch, init=init).model(norm, seed).double()
        keys = (arch, init, options.batch_size, "train" if batch_norms(model) else "none")
        per_stage = (model.depth - 2) // 6
        for number, (branch, stream) in enumerate(branch_moments(model, images)):
            stage, block = divmod(number, per_stage)
            values = (branch.variance, stream.variance, branch.square, stream.square)
            rows.append((*keys, stage + 1, block + 1, *values))
    return pd.DataFrame(rows, columns=list(COLUMNS))
