"""The spectrum of the loss's Hessian: its density, its two ends and its trace, also layer by layer."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from understanding_bn.analysis import lanczos
from understanding_bn.analysis.context import batch_norms
from understanding_bn.analysis.hessian import Objective
from understanding_bn.data.batches import Split, stream
from understanding_bn.errors import UserError
from understanding_bn.models.resnet import ResNet
from understanding_bn.progress import Progress

COLUMNS = ["bn_mode", "block", "kind", "index", "probe", "value", "weight", "residual"]
WHOLE = "all"
_PARTITION = 1_000_000  # sets the images' order apart from those of epochs, which use (seed, epoch)
# Of the spectrum's width. Float32 products carry errors of some 1e-6 of it; a weak lower end needs more than 1e-4.
TOLERANCE = 1e-5
SHARPNESS_TOLERANCE = 1e-3  # of λ_max itself, where it alone is asked for


def spectrum(
    model: ResNet,
    batches: list[tuple[Tensor, Tensor]],
    bn_modes: Sequence[str],
    top: int,
    probes: int,
    steps: int,
    layers: Sequence[int],
    seed: int,
) -> pd.DataFrame:
    """The Hessian's spectrum at the model's weights, for the mean cross-entropy over these mini-batches.

    Args:
        model: the network; it is left as it is.
        batches: images (B, C, H, W) and labels (B,).
        bn_modes: "train", "eval" or both. A network without batch statistics is the same in both: it is measured
            once, with bn_mode "none".
        top: how many eigenvalues at each end.
        probes, steps: of stochastic Lanczos quadrature.
        layers: numbers of layers whose weights' diagonal block is measured too.
        seed: of the probes and of the search for the ends.

    Returns:
        Columns bn_mode, block ("all" or the layer's number), kind, index, probe, value, weight, residual:

        - kind "node": one row per node (value) of each probe's quadrature, with its weight; a probe's add up to 1.
        - kind "top" and "bottom": the index-th eigenvalue from that end (value), with the residual ‖Hv − λv‖.
        - kind "trace": v·Hv of each probe (value), an unbiased estimate of the trace.

        Eigenvalues are in nats per squared unit of weight. Cells without meaning are NaN, and so is all that is
        measured of a network whose loss or products are not finite; its probes then have a node each.

    Raises:
        UserError: a block has no more than `top` weights.
    """
    modes = {mode: mode for mode in bn_modes} if batch_norms(model) else {"train": "none"}
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    blocks = {WHOLE: None} | {str(layer): [names[model.layer(layer).weight]] for layer in layers}
    progress = Progress("Hessian", len(modes) * len(blocks) * (probes + 1), "probes and pairs of ends")
    progress.show(0)
    done, rows = 0, []
    for mode, label in modes.items():
        objective = Objective(model, batches, mode)
        for number, (block, only) in enumerate(blocks.items()):
            chosen = objective if only is None else objective.block(only)
            if top >= chosen.size:
                text = f"layer {block} has {chosen.size} weights; expected at most {chosen.size - 1}"
                raise UserError(f"top: {top} eigenvalues at each end are too many, for {text}")
            for part in _parts(chosen, top, probes, steps, stream(seed, number)):
                rows += [(label, block, *row) for row in part]
                done += 1
                progress.show(done, f"bn_mode {label}, block {block}")
    return pd.DataFrame(rows, columns=COLUMNS)


def sharpness(model: ResNet, batches: list[tuple[Tensor, Tensor]], seed: int) -> float:
    """λ_max of the Hessian of the mean cross-entropy over these mini-batches, with batch norm in train mode.

    In the model's own dtype, by Lanczos from a random vector of this seed. NaN where the loss is not finite, or the
    eigenvalue did not converge.
    """
    objective = Objective(model, batches, "train")
    start = torch.from_numpy(np.random.default_rng(seed).standard_normal(objective.size)).to(objective.device)
    return lanczos.largest(_product(objective), start, SHARPNESS_TOLERANCE)[0]


def partition(split: Split, subset: int, batch_size: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """⌊subset / B⌋ mini-batches of different images, at least one, not augmented, the same for the same seed.

    The mini-batches are the first ones of one random order, so a larger subset only adds to a smaller one. Each is
    images (B, C, H, W), channels-last, and labels (B,).

    Raises:
        UserError: there are not enough images.
    """
    split.must_have("batch_size", batch_size)
    split.must_have("subset", subset)
    count = max(1, subset // batch_size)
    order = torch.randperm(split.count, generator=torch.Generator().manual_seed(stream(seed, _PARTITION)))
    batches = []
    for index in order[: count * batch_size].to(split.pixels.device).split(batch_size):
        centre = torch.full_like(index, split.pad)
        images = split.gather(index, centre, centre)
        batches.append((images, split.labels[index]))
    return batches


def _product(objective: Objective) -> lanczos.Product:
    """Products with the Hessian; NaN where the loss is not finite, so that its derivatives mean nothing."""
    return objective.hvp if math.isfinite(objective.loss()) else lambda vector: torch.full_like(vector, math.nan)


def _parts(objective: Objective, top: int, probes: int, steps: int, seed: int) -> Iterator[list[tuple]]:
    """Rows (kind, index, probe, value, weight, residual): first of both ends, then of each probe."""
    size, device, nan, product = objective.size, str(objective.device), math.nan, _product(objective)
    ends = lanczos.extremes(product, size, top, TOLERANCE, seed, device)
    yield [
        (kind, index, nan, value, nan, residual)
        for kind, (values, residuals) in ends.items()
        for index, (value, residual) in enumerate(zip(values, residuals, strict=True))
    ]
    generator = torch.Generator().manual_seed(seed)
    for probe, seen in enumerate(lanczos.quadrature(product, size, probes, steps, generator, device)):
        nodes = zip(seen.nodes, seen.weights, strict=True)
        rows = [("node", index, probe, value, weight, nan) for index, (value, weight) in enumerate(nodes)]
        yield [*rows, ("trace", nan, probe, seen.form, nan, nan)]
