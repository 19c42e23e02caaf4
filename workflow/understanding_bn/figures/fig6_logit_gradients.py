"""Fig. 6: gradients with respect to the logits at initialisation."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn.figures import style

COLUMNS = ["norm", "seed", "image", "label", "class", "gradient"]


def draw(logit_gradients: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A heatmap of images × classes for every seed (columns) and norm (rows), in units of 1/B.

    A class that the network predicts for every image shows as a column at +1; the true classes are the negative cells.
    """
    norms, seeds = style.ordered(logit_gradients["norm"]), sorted(logit_gradients["seed"].unique())
    batch_size = int(logit_gradients["batch_size"].iloc[0])
    shape, size = (len(norms), len(seeds)), (style.WIDTH, 0.6 + 1.9 * len(norms))
    figure, axes = plt.subplots(*shape, figsize=size, sharex=True, sharey=True, squeeze=False)
    for row, norm in zip(axes, norms, strict=True):
        for ax, seed in zip(row, seeds, strict=True):
            of_seed = logit_gradients[(logit_gradients["norm"] == norm) & (logit_gradients["seed"] == seed)]
            grid = batch_size * of_seed.pivot(index="image", columns="class", values="gradient")
            style.heatmap(ax, grid, cmap="RdBu_r", vmin=-1, vmax=1)
            ax.set_title(f"{style.label(norm)}, seed {seed}", fontsize=7)
            ax.set(xlabel="class", ylabel="image in the mini-batch")
            ax.label_outer(remove_inner_ticks=True)
    figure.colorbar(ax.collections[0], ax=axes, shrink=0.6, label="∂ℓ/∂logit, in units of 1/B")
    return figure, {"": logit_gradients[COLUMNS]}
