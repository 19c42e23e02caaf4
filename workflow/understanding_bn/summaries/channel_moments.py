"""Channel means and variances against depth. `channel_moments` has a row for each site, norm, seed, layer, channel."""

import numpy as np
import pandas as pd

from understanding_bn import paper

MAIN_SITE = "stream"  # after the ReLU, where the paper took its moments


def moments_by_layer(channel_moments: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over channels of log|mean| and log std, for every site, norm, seed and layer.

    Natural logarithms. Channels that are exactly zero have none; they are left out and counted in `dead_channels`. A
    layer with channels that are not finite, which `not_finite` counts, has no value.
    Columns: site, norm, seed, layer, value, spread, dead_channels, not_finite, statistic ("log_mean" or "log_std").
    """
    keys = ["site", "norm", "seed", "layer"]
    parts = []
    for statistic, raw in (
        ("log_mean", channel_moments["mean"].abs()),
        ("log_std", channel_moments["variance"] ** 0.5),
    ):
        logs = np.log(raw.where((raw > 0) & np.isfinite(raw)))
        counted = channel_moments.assign(log=logs, dead=raw == 0, lost=~np.isfinite(raw)).groupby(keys, as_index=False)
        part = counted.agg(
            value=("log", "mean"), spread=("log", "std"), dead_channels=("dead", "sum"), not_finite=("lost", "sum")
        )
        part.loc[part["not_finite"] > 0, ["value", "spread"]] = np.nan
        parts.append(part.assign(statistic=statistic))
    return pd.concat(parts, ignore_index=True)


def distance_from_paper(table: pd.DataFrame, at_scale: bool) -> pd.DataFrame:
    """Root-mean-square distance from the paper's values over layers, in natural-log units, for each site.

    `table` is that of `moments_by_layer`. The distance is NaN where the paper has no value, or not at its scale;
    `paper_origin`, missing there too, is how we know its values.
    """
    rows = []
    for (site, norm, statistic), group in table.groupby(["site", "norm", "statistic"]):
        ours = group.groupby("layer")["value"].mean()
        published = paper.CHANNEL_MOMENTS.value.get((norm, statistic))
        distance, origin = np.nan, None
        if at_scale and published is not None:
            gap = ours - pd.Series(published, index=list(paper.MOMENT_LAYERS))
            distance, origin = float(np.sqrt((gap.dropna() ** 2).mean())), paper.CHANNEL_MOMENTS.origin
        facts = {"site": site, "norm": norm, "statistic": statistic}
        rows.append(facts | {"rms_distance_from_paper": distance, "paper_origin": origin})
    return pd.DataFrame(rows)
