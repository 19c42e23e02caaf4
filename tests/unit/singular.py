"""Made-up rows of `jacobian_conditioning`."""

import numpy as np
import pandas as pd


def as_values(singular, **changes):
    """Rows of a measurement with these singular values."""
    keys = {
        "kind": "network",
        "arch": "plain-8",
        "norm": "none",
        "bn_mode": "none",
        "init": "kaiming",
        "seed": 0,
        "image": 0,
    }
    keys |= {"batch_size": 8, "outputs": 256, "inputs": len(singular)} | changes
    return pd.DataFrame(
        keys | {"index": np.arange(1, len(singular) + 1), "singular_value": np.asarray(singular, float)}
    )
