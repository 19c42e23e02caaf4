"""Channel moments along a diverging update. `divergence_path`: a row for each norm, seed, layer, per cent, channel."""

import pandas as pd


def before_and_after(divergence_path: pd.DataFrame) -> pd.DataFrame:
    """Largest |mean| and variance over channels at 0 and 100 % of the update, for every norm, seed and layer.

    NaN where that of some channel is.
    """
    at_ends = divergence_path[divergence_path["percent"].isin([0, 100])]
    at_ends = at_ends.assign(mean=at_ends["mean"].abs())
    keys = ["norm", "seed", "alpha", "update", "diverged", "layer", "percent"]
    largest = at_ends.groupby(keys, as_index=False)[["mean", "variance"]].max(skipna=False)
    return largest.rename(columns={"mean": "largest_mean", "variance": "largest_variance"})
