"""Gradients with respect to the logits. `logit_gradients` has a row for each norm, seed, image and class."""

import numpy as np
import pandas as pd


def one_class_for_all(logit_gradients: pd.DataFrame) -> pd.Series:
    """Whether some class's gradient is positive for every image not of that class, indexed by norm and seed.

    Missing (NA) for networks of which a gradient is not finite.

    Softmax gradients are positive for every wrong class, if only just: positive is read as at least half of the
    largest possible value, 1/B.
    """
    wrong = logit_gradients[logit_gradients["label"] != logit_gradients["class"]]
    positive = wrong["gradient"] >= 0.5 / wrong["batch_size"]
    some = positive.groupby([wrong["norm"], wrong["seed"], wrong["class"]]).all().groupby(["norm", "seed"]).any()
    finite = np.isfinite(wrong["gradient"].astype(float)).groupby([wrong["norm"], wrong["seed"]]).all()
    return some.astype("boolean").where(finite)
