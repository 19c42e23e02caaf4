"""What the noise of batch statistics does: losses and accuracies against the images that statistics are from."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain
from understanding_bn.figures.titles import count, network
from understanding_bn.summaries.batch_noise import LOSSES, by_statistics
from understanding_bn.summaries.training import CELL

COLUMNS = [*CELL, "seed", "failure", "statistics", *LOSSES]
PANELS = {
    "test_loss": "test loss (nats)",
    "train_loss": "train loss (nats)",
    "test_accuracy": "test accuracy (%)",
}
SHAPES = "os^Dv*P"  # of the learning rates, from the largest
ASIDE = 1.07  # factor between learning rates, so that they do not hide one another


def draw(histories: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A panel per quantity: means over the seeds that did not fail, bars their standard deviation; a line per α.

    Raises:
        NothingToShow: there is no ghost norm beside batch norm, or every such run failed.
    """
    table = by_statistics(histories)
    sound = table[table["failure"] == ""]
    if sound["statistics"].nunique() < 2:
        raise NothingToShow("No runs that differ in the images of their batch statistics alone are sound.")
    alphas = sorted(sound["alpha"].unique(), reverse=True)
    figure, axes = plt.subplots(1, len(PANELS), figsize=(style.WIDTH, 2.7))
    for ax, (quantity, title) in zip(axes, PANELS.items(), strict=True):
        for number, alpha in enumerate(alphas):
            values = sound[sound["alpha"] == alpha].set_index("statistics")[quantity].astype(float)
            values = 100 * values if quantity.endswith("accuracy") else values
            seeds = values[np.isfinite(values)].groupby("statistics").agg(["mean", "std"])
            place = seeds.index.to_numpy() * ASIDE ** (number - (len(alphas) - 1) / 2)
            shade = plt.cm.viridis(0.1 + 0.75 * number / max(len(alphas) - 1, 1))
            look: style.Look = {"color": shade, "marker": SHAPES[number % len(SHAPES)], "markersize": 4}
            ax.errorbar(place, seeds["mean"], yerr=seeds["std"].fillna(0), elinewidth=0.8, linewidth=1, **look)
        sizes = sorted(sound["statistics"].unique())
        ax.set_xscale("log", base=2)
        ax.set_xticks(sizes, [str(size) for size in sizes])
        ax.minorticks_off()
        ax.set(title=title, xlabel="images in the statistics")
    facts = sound.iloc[0]
    lines: keys.Group = {}
    for number, alpha in enumerate(alphas):
        shade = plt.cm.viridis(0.1 + 0.75 * number / max(len(alphas) - 1, 1))
        lines[plain(alpha)] = keys.line(color=shade, marker=SHAPES[number % len(SHAPES)], markersize=4)
    marks: keys.Group = {
        f"mean over {count(sound['seed'].nunique(), 'seed')}": keys.marker("o"),
        "± standard deviation": keys.marker("|", markersize=9),
    }
    failed = int((table["failure"] != "").sum())
    if failed:
        marks[f"{failed} of {len(table)} runs failed and are left out"] = keys.line(linestyle="")
    setting = f"{network(facts['arch'])}, B = {facts['batch_size']}, {facts['epochs']} epochs"
    keys.key(figure, {"learning rate α": lines, setting: marks})
    return figure, {"": table[COLUMNS]}
