"""Fig. 6: gradients with respect to the logits at initialisation."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn.figures import style

COLUMNS = ["norm", "seed", "image", "label", "class", "gradient"]


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A heatmap of images × classes for every seed (columns) and norm (rows), in units of 1/B.

    `values`: columns of `analysis.logit_gradients`. A class that the network predicts for every image shows as a
    column at +1; the true classes are the negative cells.
    """
    norms, seeds = style.ordered(values["norm"]), sorted(values["seed"].unique())
    batch_size = int(values["batch_size"].iloc[0])
    figure, axes = plt.subplots(
        len(norms),
        len(seeds),
        figsize=(style.WIDTH, 0.6 + 1.9 * len(norms)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for row, norm in zip(axes, norms, strict=True):
        for ax, seed in zip(row, seeds, strict=True):
            here = values[(values["norm"] == norm) & (values["seed"] == seed)]
            grid = batch_size * here.pivot(index="image", columns="class", values="gradient")
            image = ax.imshow(grid, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
            ax.grid(False)
            ax.set_title(f"{style.label(norm)}, seed {seed}", fontsize=7)
        row[0].set_ylabel("image in the mini-batch")
    for ax in axes[-1]:
        ax.set_xlabel("class")
    figure.colorbar(image, ax=axes, shrink=0.6, label="∂ℓ/∂logit, in units of 1/B")
    return figure, {"": values[COLUMNS]}


def one_class_for_all(values: pd.DataFrame) -> pd.Series:
    """Whether some class's gradient is positive for every image not of that class, indexed by norm and seed.

    Softmax gradients are positive for every wrong class, if only just: positive is read as at least half of the
    largest possible value, 1/B.
    """
    wrong = values[values["label"] != values["class"]]
    positive = wrong["gradient"] >= 0.5 / wrong["batch_size"]
    return positive.groupby([wrong["norm"], wrong["seed"], wrong["class"]]).all().groupby(["norm", "seed"]).any()
