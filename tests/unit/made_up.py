"""Made-up values that figures are drawn from."""

import numpy as np
import pandas as pd

FACTS = {"dataset": "digits", "arch": "resnet-8", "init": "xavier_uniform", "batch_size": 8}
PAPER = {"dataset": "cifar10-0123abcd", "arch": "resnet-110", "batch_size": 128}


def history(norm, alpha, accuracies, failure=None):
    """A history of two epochs per seed; an accuracy of None is a run that diverged in epoch 1."""
    rows = []
    for seed, accuracy in enumerate(accuracies):
        bad = accuracy is None
        ending = {"failure": ("overflow" if bad else failure), "first_bad_step": 3 if bad else None}
        for epoch in [1] if bad else [1, 2]:
            value = None if bad else accuracy * epoch / 2
            measured = {"train_accuracy": value, "test_accuracy": value, "first_absolute_step": None}
            rows.append({"norm": norm, "alpha": alpha, "epochs": 2, "seed": seed, "epoch": epoch} | measured | ending)
            rows[-1] |= {"fraction": epoch / 2, "last_finite_loss": 9.0 if bad else None}
    table = pd.DataFrame(rows).assign(**FACTS)
    floats = ["train_accuracy", "test_accuracy", "last_finite_loss"]
    return table.astype(dict.fromkeys(floats, float) | {"first_bad_step": "Int64", "failure": "string"})


def moments_table():
    index = pd.MultiIndex.from_product(
        [["convolution", "stream"], ["batch", "none"], [0, 1], [6, 18], [0, 1]],
        names=["site", "norm", "seed", "layer", "channel"],
    ).to_frame(index=False)
    return index.assign(mean=np.where(index["channel"] == 0, -np.e, np.e**3), variance=np.e**4, **FACTS)
