"""Noise of mini-batch gradients. `gradient_noise` has a row for each norm, seed, sampling, B and α."""

import numpy as np
import pandas as pd


def slopes(gradient_noise: pd.DataFrame) -> pd.DataFrame:
    """norm, seed, batch_size_slope, alpha_slope: least squares of log noise on log B, and of the update's on log α.

    The first is fitted at the smallest α (noise of the gradient does not depend on it), the second at the largest B.
    batch_size_slope_error is the first's standard error within the seed, from the jackknife errors of log noise as if
    sizes were independent; NaN where those were not recorded.
    """
    rows = []
    of_epoch = gradient_noise[gradient_noise["sampling"] == "epoch"]
    for (norm, seed), group in of_epoch.groupby(["norm", "seed"]):
        over_b = group[group["alpha"] == group["alpha"].min()]
        over_alpha = group[group["batch_size"] == group["batch_size"].max()]
        by_b = _slope(over_b["batch_size"], over_b["noise"])
        by_alpha = _slope(over_alpha["alpha"], over_alpha["update_noise"])
        logs = np.log(over_b["batch_size"]) - np.log(over_b["batch_size"]).mean()
        errors = over_b.get("log_noise_error", pd.Series(np.nan, index=over_b.index))
        error = np.sqrt(((logs / (logs**2).sum() * errors) ** 2).sum(skipna=False))
        rows.append((norm, seed, by_b, error, by_alpha))
    return pd.DataFrame(rows, columns=["norm", "seed", "batch_size_slope", "batch_size_slope_error", "alpha_slope"])


def _slope(x: pd.Series, y: pd.Series) -> float:
    """Least squares of log y on log x; NaN if x has one value, or if a y has no logarithm: none is left out."""
    if x.nunique() < 2 or not (np.isfinite(y) & (y > 0)).all():
        return np.nan
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def relative_to_replacement(gradient_noise: pd.DataFrame) -> pd.DataFrame:
    """norm, sampling, batch_size, seed, share: B · noise over its mean with replacement of the same norm and seed.

    The mean is over all B; taken at the smallest α.
    """
    rows = gradient_noise[gradient_noise["alpha"] == gradient_noise["alpha"].min()]
    keys = ["norm", "seed"]
    replaced = rows[rows["sampling"] == "replacement"]
    reference = replaced.groupby(keys)["constant"].mean().rename("reference").reset_index()
    merged = rows.merge(reference, how="left", on=keys)
    merged["share"] = merged["constant"] / merged["reference"]
    return merged[["norm", "sampling", "batch_size", "seed", "share"]]


def share_without_replacement(batch_size: np.ndarray, images: int) -> np.ndarray:
    """(N − B) / (N − 1): the noise of B of N images without replacement, over that of B with replacement."""
    return (images - batch_size) / (images - 1)
