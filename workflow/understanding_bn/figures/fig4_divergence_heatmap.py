"""Fig. 4: channel means and variances along a diverging update."""

from itertools import product

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from understanding_bn.figures import style
from understanding_bn.summaries.divergence_path import before_and_after

COLUMNS = ["norm", "seed", "layer", "percent", "channel", "mean", "variance"]
STATISTICS = {"mean": "|channel mean|", "variance": "channel variance"}


def draw(divergence_path: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Rows are layers, columns |mean| and variance for each norm; the first seed of each norm.

    The summary has every seed: the largest |mean| and variance of each layer before and after the update, and which
    update it was.
    """
    norms = style.ordered(divergence_path["norm"])[::-1]  # without normalisation first: that is where it happens
    layers = sorted(divergence_path["layer"].unique())
    drawn = divergence_path[divergence_path["seed"] == divergence_path["seed"].min()]
    size = (style.WIDTH, 0.7 + 1.25 * len(layers))
    figure, axes = plt.subplots(len(layers), 2 * len(norms), figsize=size, squeeze=False)
    for column, (norm, statistic) in zip(axes.T, product(norms, STATISTICS), strict=True):
        of_norm = drawn[drawn["norm"] == norm]
        values = of_norm.assign(value=of_norm[statistic].abs())
        positive = values["value"][np.isfinite(values["value"]) & (values["value"] > 0)]
        scale = LogNorm(positive.quantile(0.01), positive.max())
        for ax, layer in zip(column, layers, strict=True):
            grid = values[values["layer"] == layer].pivot(index="percent", columns="channel", values="value")
            style.heatmap(ax, grid, norm=scale, cmap="viridis")
            ax.invert_yaxis()
            of_update = f"layer {layer}\n% of the update" if ax in axes[:, 0] else f"layer {layer}"
            ax.set(xlabel="channel" if layer == layers[-1] else "", ylabel=of_update if statistic == "mean" else "")
            if statistic != "mean":
                ax.set_yticklabels([])
        facts = of_norm.iloc[0]
        state = "diverges" if facts["diverged"] else "does not diverge"
        title = (
            f"{style.label(norm)}, α = {facts['alpha']:g}\nupdate {facts['update']} {state}\n{STATISTICS[statistic]}"
        )
        column[0].set_title(title, fontsize=7)
        figure.colorbar(ax.collections[0], ax=column, location="bottom", shrink=0.9, aspect=14, pad=0.02)
    return figure, {"": drawn[COLUMNS], "summary": before_and_after(divergence_path)}
