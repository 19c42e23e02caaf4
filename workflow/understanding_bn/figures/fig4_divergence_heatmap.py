"""Fig. 4: channel means and variances along a diverging update."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from understanding_bn.figures import style

COLUMNS = ["norm", "seed", "layer", "percent", "channel", "mean", "variance"]
STATISTICS = (("mean", "|channel mean|"), ("variance", "channel variance"))


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Rows are layers, columns |mean| and variance for each norm; the first seed of each norm.

    `values`: columns of `analysis.divergence_path`. The summary has every seed: the largest |mean| and variance of
    each layer before and after the update, and which update it was.
    """
    norms = style.ordered(values["norm"])[::-1]  # without normalisation first: that is where it happens
    layers = sorted(values["layer"].unique())
    drawn = values[values["seed"] == values["seed"].min()]
    figure, axes = plt.subplots(
        len(layers), 2 * len(norms), figsize=(style.WIDTH, 0.7 + 1.25 * len(layers)), squeeze=False
    )
    for position, (norm, (statistic, text)) in enumerate((n, s) for n in norms for s in STATISTICS):
        here = drawn[drawn["norm"] == norm]
        here = here.assign(value=here[statistic].abs())
        positive = here["value"][np.isfinite(here["value"]) & (here["value"] > 0)]
        scale = LogNorm(positive.quantile(0.01), positive.max())
        for row, layer in enumerate(layers):
            ax = axes[row, position]
            grid = here[here["layer"] == layer].pivot(index="percent", columns="channel", values="value")
            image = ax.pcolormesh(
                np.arange(grid.shape[1] + 1),
                _edges(grid.index),
                grid,
                norm=scale,
                cmap="viridis",
                rasterized=True,
            )
            ax.grid(False)
            ax.set_xlim(0, grid.shape[1])
            if position % 2 == 0:
                ax.set_ylabel(f"layer {layer}\n% of the update" if position == 0 else f"layer {layer}")
            else:
                ax.set_yticklabels([])
            if row == len(layers) - 1:
                ax.set_xlabel("channel")
        first = here.iloc[0]
        state = "diverges" if first["diverged"] else "does not diverge"
        title = f"{style.label(norm)}, α = {first['alpha']:g}\nupdate {first['update']} {state}\n{text}"
        axes[0, position].set_title(title, fontsize=7)
        figure.colorbar(image, ax=axes[:, position], location="bottom", shrink=0.9, aspect=14, pad=0.02)
    return figure, {"": drawn[COLUMNS], "summary": _summary(values)}


def _edges(percent: pd.Index) -> np.ndarray:
    """Cell edges around evenly spaced per cents."""
    half = (percent[1] - percent[0]) / 2 if len(percent) > 1 else 50
    return np.append(percent - half, percent[-1] + half)


def _summary(values: pd.DataFrame) -> pd.DataFrame:
    """Largest |mean| and variance over channels at 0 and 100 %, for every norm, seed and layer."""
    ends = values[values["percent"].isin([0, 100])].assign(mean=lambda table: table["mean"].abs())
    keys = ["norm", "seed", "alpha", "update", "diverged", "layer", "percent"]
    largest = ends.groupby(keys, as_index=False)[["mean", "variance"]].max()
    return largest.rename(columns={"mean": "largest_mean", "variance": "largest_variance"})
