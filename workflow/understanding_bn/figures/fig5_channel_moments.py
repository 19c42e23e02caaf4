"""Fig. 5: logarithms of channel means and standard deviations against depth, at initialisation."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn import paper
from understanding_bn.figures import style

# The site drawn as the main line. The other one is drawn thin: where the paper took its moments is not certain, and
# the outputs of the convolutions come nearer to its numbers (see the summary).
MAIN_SITE = "convolution"
COLUMNS = ["norm", "seed", "layer", "statistic", "value", "spread"]
TITLES = {
    "log_mean": "mean over channels of log |channel mean|",
    "log_std": "mean over channels of log channel std",
}


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Both statistics side by side; error bars are the standard deviation over channels, as in the paper.

    `values`: columns of `analysis.channel_moments`. Dots are single seeds, lines their mean; natural logarithms.
    """
    table = moments_by_layer(values)
    norms = style.ordered(table["norm"])
    palette = style.colours(norms)
    at_scale = paper.is_scale_of(values)
    figure, axes = plt.subplots(1, 2, figsize=(style.WIDTH, 2.9), sharex=True)
    for ax, (statistic, title) in zip(axes, TITLES.items(), strict=True):
        for norm in norms:
            here = table[(table["norm"] == norm) & (table["statistic"] == statistic)]
            main = here[here["site"] == MAIN_SITE]
            by_layer = main.groupby("layer")[["value", "spread"]].mean()
            name = style.label(norm)
            output = f"{name}, output of the convolution"
            ax.errorbar(
                by_layer.index,
                by_layer["value"],
                by_layer["spread"],
                color=palette[norm],
                capsize=2,
                label=output,
            )
            ax.plot(main["layer"], main["value"], ".", color=palette[norm], markersize=2.5, alpha=0.6)
            other = here[here["site"] != MAIN_SITE].groupby("layer")["value"].mean()
            stream = f"{name}, stream after ReLU"
            ax.plot(other.index, other, "--", color=palette[norm], linewidth=0.8, alpha=0.8, label=stream)
            if at_scale and (norm, statistic) in paper.CHANNEL_MOMENTS:
                published = paper.CHANNEL_MOMENTS[norm, statistic]
                ax.plot(
                    paper.MOMENT_LAYERS,
                    published,
                    "x",
                    color=palette[norm],
                    markersize=5,
                    label=f"{name}, paper",
                )
        ax.set(title=title, xlabel="layer")
    axes[0].set_ylabel("natural logarithm")
    axes[0].legend(loc="best", fontsize=6)
    return figure, {"": table[[*COLUMNS, "site", "dead_channels"]], "summary": distance(table, at_scale)}


def moments_by_layer(values: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over channels of log|mean| and log std, for every site, norm, seed and layer.

    Channels that are exactly zero have no logarithm; they are left out and counted in `dead_channels`.
    """
    parts = []
    for statistic, raw in (("log_mean", values["mean"].abs()), ("log_std", values["variance"] ** 0.5)):
        logs = np.log(raw.where((raw > 0) & np.isfinite(raw)))
        grouped = values.assign(log=logs, dead=raw == 0).groupby(["site", "norm", "seed", "layer"], as_index=False)
        part = grouped.agg(value=("log", "mean"), spread=("log", "std"), dead_channels=("dead", "sum"))
        parts.append(part.assign(statistic=statistic))
    return pd.concat(parts, ignore_index=True)


def distance(table: pd.DataFrame, at_scale: bool) -> pd.DataFrame:
    """Root-mean-square distance from the paper's values over layers, in natural-log units, for each site."""
    rows = []
    for (site, norm, statistic), here in table.groupby(["site", "norm", "statistic"]):
        ours = here.groupby("layer")["value"].mean()
        published = paper.CHANNEL_MOMENTS.get((norm, statistic))
        distance = np.nan
        if at_scale and published is not None:
            gap = ours - pd.Series(published, index=list(paper.MOMENT_LAYERS))
            distance = float(np.sqrt((gap.dropna() ** 2).mean()))
        rows.append({"site": site, "norm": norm, "statistic": statistic, "rms_distance_from_paper": distance})
    return pd.DataFrame(rows)
