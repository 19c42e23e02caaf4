"""Claim 6: how the noise of a mini-batch's gradient depends on B, and that of an update on α."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice, product
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from understanding_bn.settings import Alpha, BatchSize, Distinct, Initial, Mistake, Whole, unfit

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Setting

DOMAIN = 100  # of the random streams of mini-batches that are not an epoch's


class GradientNoise(Initial):
    """Noise of mini-batch gradients against B, and of updates against α (claim 6)."""

    batch_sizes: Annotated[Distinct[BatchSize], Field(min_length=2)]
    """Sizes B of the mini-batches. An epoch must have `minibatches` of each; with `samplings`, of the two smallest."""
    minibatches: Annotated[Whole, Field(ge=2, le=100_000)]
    """How many mini-batches of each size."""
    alphas: Annotated[Distinct[Alpha], Field(min_length=2)]
    """Learning rates α of the updates."""
    samplings: Distinct[Literal["subset", "replacement"]] = ()
    """Further ways to draw mini-batches. `subset`: B different images. `replacement`: every image from all."""

    def check(self, setting: Setting) -> Iterator[Mistake]:
        for position, size in enumerate(self.batch_sizes):
            yield from unfit(("batch_sizes", position), size, setting)
        # An epoch has few mini-batches of a large size. A slope over B needs two sizes; others can be drawn otherwise.
        size, count = sorted(self.batch_sizes)[1 if self.samplings else -1], self.minibatches
        if size * count > setting.images:
            images = int(setting.images)
            fewer = [f"at most {images // size}"] if images // size > 1 else []
            smaller = [f"batch_sizes of at most {images // count}"] if images // count > 1 else []
            text = f"{count} mini-batches of {size} images each take {size * count}, and an epoch has {images}"
            yield Mistake(("minibatches",), f"{text}; expected {', or '.join(fewer + smaller) or 'more images'}")


COLUMNS = {
    "batch_size": "int64",
    "sampling": "str",
    "images": "int64",
    "alpha": "float64",
    "epoch": "int64",
    "minibatches": "int64",
    "noise": "float64",
    "constant": "float64",
    "log_noise_error": "float64",
    "update_noise": "float64",
}


def measure(context: Context, norm: str, seed: int, options: GradientNoise) -> pd.DataFrame:
    """Noise of gradients and of updates at initialisation, from `minibatches` mini-batches of each size.

    noise estimates E‖g_B − g‖² with g = E g_B by the sample variance, summed over all parameters (float64). With batch
    norm in train mode g itself depends on B, and noise is the variance about that. update_noise is the same of the
    first update that the ordinary optimiser really makes at learning rate α; it should be α² times noise.

    How mini-batches are drawn from the N images decides what is estimated, C being a single sample's variance; those of
    an epoch are always measured, others where `samplings` names them:
        epoch: disjoint ones, as in an epoch. That they share no image makes the estimate unbiased for C / B.
        replacement: each image drawn independently from all: C / B.
        subset: B different images, independently of other mini-batches: C / B · (N − B) / (N − 1).
    Where an epoch has fewer than `minibatches` mini-batches, as it may of a size that `samplings` measure, it has no
    row: those of several epochs share images.

    Columns: batch_size, sampling, images (N), alpha, epoch (0), minibatches, noise, constant (noise · B, the C of
    α²C/|B|), log_noise_error (the standard error of log noise, by the jackknife over mini-batches; NaN for two),
    update_noise.
    """
    import pandas as pd
    from torch.nn import functional as F

    from understanding_bn.analysis.context import flat
    from understanding_bn.analysis.gradient_moments import Variance, jackknife_error

    model = context.model(norm, seed)
    parameters = list(model.parameters())
    origin = [p.detach().clone() for p in parameters]
    count, images_in_all = options.minibatches, context.split.count
    rows = []
    for batch_size, sampling in product(options.batch_sizes, ("epoch", *options.samplings)):
        disjoint = sampling == "epoch"
        if disjoint and count * batch_size > images_in_all:
            continue
        gradients, single = Variance(), []
        updates = {alpha: Variance() for alpha in options.alphas}
        sized = replace(context, batch_size=batch_size)
        batches = islice(sized.minibatches(seed), count) if disjoint else sized.draws(sampling, count, seed, DOMAIN)
        for images, labels in batches:
            model.zero_grad(set_to_none=True)
            F.cross_entropy(model(images), labels).backward()
            single.append(flat([p.grad for p in parameters if p.grad is not None]))
            gradients.add(single[-1])
            for alpha in options.alphas if disjoint else ():
                updates[alpha].add(context.first_update(model, origin, alpha))
        noise = gradients.value()
        facts = (0, count, noise, noise * batch_size, jackknife_error(single))
        rows += [(batch_size, sampling, images_in_all, alpha, *facts, v.value()) for alpha, v in updates.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))
