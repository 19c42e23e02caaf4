"""Fig. 6: gradients with respect to the logits at initialisation."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow

COLUMNS = ["norm", "seed", "image", "label", "class", "gradient"]
ACROSS = 5  # seeds side by side


def draw(logit_gradients: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A heatmap of images × classes for every norm and seed, in units of 1/B.

    A class that the network predicts for every image shows as a column at +1; the true classes are the negative cells.

    Raises:
        NothingToShow: no gradient is finite.
    """
    if not np.isfinite(logit_gradients["gradient"].astype(float)).any():
        raise NothingToShow("No gradient with respect to a logit is finite.")
    norms = style.ordered(logit_gradients["norm"])[::-1]  # without normalisation first: that is where columns show
    seeds = sorted(logit_gradients["seed"].unique())
    batch_size = int(logit_gradients["batch_size"].iloc[0])
    rows = [(norm, seeds[start : start + ACROSS]) for norm in norms for start in range(0, len(seeds), ACROSS)]
    shape, size = (len(rows), min(ACROSS, len(seeds))), (style.WIDTH, 0.7 + 1.8 * len(rows))
    figure, axes = plt.subplots(*shape, figsize=size, sharex=True, sharey=True, squeeze=False)
    lost = False
    for row, (norm, of_row) in zip(axes, rows, strict=True):
        for ax in row[len(of_row) :]:
            ax.set_axis_off()
        for ax, seed in zip(row, of_row, strict=False):
            of_seed = logit_gradients[(logit_gradients["norm"] == norm) & (logit_gradients["seed"] == seed)]
            grid = batch_size * of_seed.pivot(index="image", columns="class", values="gradient").astype(float)
            finite = grid.where(np.isfinite(grid))
            lost |= bool(finite.isna().to_numpy().any())
            ax.set_facecolor(keys.LOST)
            style.heatmap(ax, finite, cmap="RdBu_r", vmin=-1, vmax=1)
            ax.set_title(f"{style.label(norm)}, seed {seed}", fontsize=7)
            ax.set(xlabel="class", ylabel="image in the mini-batch")
            ax.label_outer(remove_inner_ticks=True)
            shown = ax.collections[0]
    label = "gradient ∂ℓ/∂logit (in units of 1/B)"
    bar = figure.colorbar(shown, ax=axes, shrink=0.6, aspect=30, label=label)
    bar.set_ticks([-1, -0.5, 0, 0.5, 1], labels=["−1", "−0.5", "0", "0.5", "1"])
    if lost:
        keys.key(figure, {"lost": {"overflow or NaN": keys.band(facecolor=keys.LOST)}}, headings=False)
    return figure, {"": logit_gradients[COLUMNS]}
