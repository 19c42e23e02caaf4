"""Where the noise of SGD lives: gradients between mini-batches, layers, units and samples, and their rank (Q2)."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from understanding_bn.settings import Mistake, Trained, Whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Setting

# Domains of random streams, so that a mini-batch of one kind says nothing about one of another.
MINIBATCHES, SAMPLES, HESSIAN = 101, 102, 107


class GradientStructure(Trained):
    """Noise of mini-batch gradients, and their variance and rank between units, layers and samples."""

    minibatches: Annotated[Whole, Field(ge=2, le=100_000)]
    """How many mini-batches."""
    samples: Annotated[Whole, Field(ge=0, le=100_000)] = 0
    """How many single images have their gradients measured, where batch norm does not mix images."""
    signal_minibatches: Annotated[Whole, Field(ge=2, le=1_000_000)] | None = None
    """How many mini-batches the noise scale takes the mean gradient from; left out, as many as `minibatches`."""

    hessian_minibatches: Annotated[Whole, Field(ge=1, le=100_000)] | None = None
    """How many further mini-batches the Hessian in tr(HΣ) is of; left out, that is not measured."""

    def check(self, setting: Setting) -> Iterator[Mistake]:
        if self.hessian_minibatches is not None and self.hessian_minibatches > self.minibatches:
            text = f"{self.hessian_minibatches} is more than minibatches, expected at most {self.minibatches}"
            yield Mistake(("hessian_minibatches",), text)
        if self.signal_minibatches is not None and self.signal_minibatches < self.minibatches:
            text = f"{self.signal_minibatches} is less than minibatches; expected at least {self.minibatches}"
            yield Mistake(("signal_minibatches",), text)


COLUMNS = {"block": "str", "bn_mode": "str", "quantity": "str", "value": "float64"}


def measure(context: Context, norm: str, seed: int, options: GradientStructure) -> pd.DataFrame:
    """Moments and ranks of the gradients of independent mini-batches of B images, in train mode.

    Each mini-batch is drawn independently: B different images, as in an epoch of training, with its augmentation.
    Their gradients g_1 … g_n, n = `minibatches`, have the mean ḡ. All sums are float64 over float32 gradients. Columns:
    block ("all", or the paper's number of a layer, whose kernel or matrix is meant), bn_mode ("train", or "none"
    where no batch statistics are), quantity and value:

    noise: E‖g_B − g‖² by the sample variance, summed over the block's parameters.
    constant: the variance of a single sample's gradient that noise amounts to; see `gradient_moments.constant`. With
        batch norm, where no sample has a gradient of its own, it is a definition. Missing for B = N.
    gradient_norm2: |g|² = |ḡ|² − noise / n, unbiased, so that it may be negative where noise drowns it.
    entry_variance (layers): variance over the layer's weights of a mini-batch's gradient, mean over mini-batches,
        which is the spread of the paper's Fig. 2.
    unit_variation (layers): squared coefficient of variation, over units (output channels), of the root mean square
        of ḡ over a unit's weights.
    rank, full_rank (layers): effective rank of ḡ as a matrix of outputs × rest, and the most it can be.
    layer_variation ("all"): variance over layers of the natural logarithm of the root mean square of ḡ.
    minibatch_rank ("all"): effective rank of the n × parameters matrix of mini-batch gradients; n at the most.
    signal_norm2, signal_minibatches ("all"): |g|² as in gradient_norm2, from as many mini-batches as the second says,
        of which those above are the first; only with `signal_minibatches`. They are seen one at a time.
    noise_curvature, loss ("all"): tr(HΣ) and the loss L of the mini-batches that H is of, as in `noise_by_depth`; only
        with `hessian_minibatches`.
    sample_constant ("all"): C from the gradients of `samples` single images, where normalisation does not join the
        images of a mini-batch; with batch norm in eval mode (bn_mode "eval"), once there are running statistics, which
        are those of training after the n mini-batches measured here have updated them.

    Values are NaN where a gradient is not finite, and those that are shares or logarithms of it where it is zero.
    """
    import pandas as pd
    import torch

    from understanding_bn.analysis import gradient_moments as gm
    from understanding_bn.analysis.context import batch_norms
    from understanding_bn.analysis.curvature_of_noise import curvature_of_noise

    model = context.model(norm, seed)
    joined = bool(batch_norms(model))
    bn_mode = "train" if joined else "none"
    batches = context.draws("subset", options.signal_minibatches or options.minibatches, seed, MINIBATCHES)
    gradients = torch.stack([gm.gradient(model, *batch) for batch in islice(batches, options.minibatches)])
    rows = [(block, bn_mode, *each) for block, *each in gm.structure(model, gradients, context)]
    if options.hessian_minibatches:
        others = context.draws("subset", options.hessian_minibatches, seed, HESSIAN)
        curvature, loss = curvature_of_noise(model, gradients, others)
        rows += [("all", bn_mode, "noise_curvature", curvature), ("all", bn_mode, "loss", loss)]
    if options.samples and not (joined and context.weights is None):
        single = replace(context, batch_size=1).draws("replacement", options.samples, seed, SAMPLES)
        value = gm.sample_constant(model.eval(), single)
        rows += [("all", "eval" if joined else "none", "sample_constant", value)]
    if options.signal_minibatches:
        more = (gm.gradient(model.train(), *batch) for batch in batches)  # last: they change the running statistics
        rows += [("all", bn_mode, *each) for each in gm.signal(chain(gradients, more)).items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))
