"""The second-order effect of SGD's noise on the loss.

For independent mini-batches, a step of SGD without momentum, w − α·g_B, changes the expected loss L by

    E L(w − α·g_B) − L(w) = −α|g|² + α²/2 · (gᵀHg + tr(HΣ)) + O(α³),

where g_B has mean g and covariance Σ, and H is the Hessian of L. It is the mean of the second-order Taylor polynomial:
E g_BᵀHg_B = gᵀHg + tr(HΣ). Only the last term is due to noise.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from understanding_bn.analysis.hessian import Loss, Objective


def curvature_of_noise(
    model: nn.Module, gradients: Tensor, batches: Iterable[tuple[Tensor, Tensor]], loss: Loss = F.cross_entropy
) -> tuple[float, float]:
    """tr(HΣ) of the mini-batch gradients, and the mean loss L of the mini-batches that H is of; train mode.

    The estimate of tr(HΣ) is the mean over the m mini-batches of n/(n − 1) · d_iᵀ H_i d_i, where d_i = g_i − ḡ and H_i
    is the Hessian of the i-th mini-batch's loss. It is unbiased if these mini-batches are drawn independently of those
    of the gradients, with the same B: then E H_i = H is the Hessian of the expected loss of a mini-batch, with batch
    norm in train mode too, and E d_i d_iᵀ = (n − 1)/n · Σ. It may be negative, as H may be.

    Deviations are scaled to length 1 before they are multiplied by H, so that the model's dtype neither overflows nor
    underflows. Scalar products and sums are float64.

    Args:
        gradients: (n, parameters) of n ≥ 2 independent mini-batches.
        batches: the m ≤ n mini-batches that H is of.

    Returns:
        tr(HΣ), NaN where a gradient or the Hessian is not finite, and L.
    """
    count = len(gradients)
    mean = gradients.double().mean(0)
    products, losses = [], []
    for gradient, batch in zip(gradients, batches, strict=False):
        objective = Objective(model, [batch], "train", memory=0, loss=loss)
        losses.append(objective.loss())
        deviation = gradient.double() - mean
        length = deviation.norm()
        unit = deviation / length if length > 0 else deviation
        products.append((length**2 * torch.dot(objective.hvp(unit), unit)).item())
    return count / (count - 1) * sum(products) / len(products), sum(losses) / len(losses)
