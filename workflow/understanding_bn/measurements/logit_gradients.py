"""Fig. 6: the gradient with respect to the logits at initialisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understanding_bn.settings import Initial

if TYPE_CHECKING:
    import pandas as pd

    from understanding_bn.analysis.context import Context


class LogitGradients(Initial):
    """The gradient with respect to the logits (Fig. 6)."""

    @classmethod
    def on_readings(cls) -> bool:
        return True


COLUMNS = {"image": "int64", "label": "int64", "class": "int64", "gradient": "float32"}


def measure(context: Context, norm: str, seed: int, options: LogitGradients) -> pd.DataFrame:
    """∂ℓ/∂logits of the first mini-batch, ℓ its mean cross-entropy: (softmax − one-hot) / B.

    Columns: image (position in the mini-batch), label, class, gradient (float32).
    """
    import pandas as pd
    import torch
    from torch.nn import functional as F

    images, labels = next(context.minibatches(seed))
    with torch.no_grad():
        logits = context.model(norm, seed)(images)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels), logits)
    table = pd.DataFrame(gradient.cpu().numpy())
    table.insert(0, "label", labels.cpu().numpy())
    table.insert(0, "image", range(len(table)))
    return table.melt(id_vars=["image", "label"], var_name="class", value_name="gradient").astype({"class": int})
