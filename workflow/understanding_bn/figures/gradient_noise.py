"""Noise of mini-batch gradients against B, and of updates against α."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn.figures import style

COLUMNS = ["arch", "norm", "alpha", "batch_size", "seed", "epoch", "noise", "constant", "update_noise", "minibatches"]


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Left E‖g_B − g‖² against B, right that of one update against α at the largest B; both axes logarithmic.

    `values`: columns of `analysis.gradient_noise`. Dots are seeds, lines their geometric mean; dotted lines have
    the slope that the bound α²C/B predicts. The summary has each seed's slopes.
    """
    norms = style.ordered(values["norm"])
    palette = style.colours(norms)
    table = slopes(values)
    largest = values["batch_size"].max()
    figure, axes = plt.subplots(1, 2, figsize=(style.WIDTH, 2.7))
    panels = (
        (axes[0], "batch_size", "noise", values[values["alpha"] == values["alpha"].min()], -1),
        (axes[1], "alpha", "update_noise", values[values["batch_size"] == largest], 2),
    )
    for ax, x, y, here, slope in panels:
        for norm in norms:
            dots = here[here["norm"] == norm]
            ax.plot(dots[x], dots[y], ".", color=palette[norm], markersize=4, alpha=0.5)
            mean = np.exp(np.log(dots[y]).groupby(dots[x]).mean())
            measured = table[f"{x}_slope"][table["norm"] == norm].mean()
            ax.plot(mean.index, mean, color=palette[norm], label=f"{style.label(norm)}, slope {measured:.2f}")
            ax.plot(mean.index, mean.iloc[0] * (mean.index / mean.index[0]) ** slope, ":", color="0.3", linewidth=0.9)
        ax.set(xscale="log", yscale="log")
        ax.legend(loc="best", title=f"{values['seed'].nunique()} seeds; dotted: slope {slope:+d}", title_fontsize=6.5)
        ticks = sorted(here[x].unique())
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()
    axes[0].set(xlabel="batch size B", ylabel="gradient noise  E‖g_B − g‖²")
    axes[1].set(xlabel=f"learning rate α (B = {largest})", ylabel="noise of one update")
    return figure, {"": values[COLUMNS], "summary": table}


def slopes(values: pd.DataFrame) -> pd.DataFrame:
    """norm, seed, batch_size_slope, alpha_slope: least squares of log noise on log B, and of the update's on log α.

    The first is fitted at the smallest α (noise of the gradient does not depend on it), the second at the largest B.
    """
    rows = []
    for (norm, seed), here in values.groupby(["norm", "seed"]):
        over_b = here[here["alpha"] == here["alpha"].min()]
        over_alpha = here[here["batch_size"] == here["batch_size"].max()]
        by_b = np.polyfit(np.log(over_b["batch_size"]), np.log(over_b["noise"]), 1)[0]
        by_alpha = np.polyfit(np.log(over_alpha["alpha"]), np.log(over_alpha["update_noise"]), 1)[0]
        rows.append((norm, seed, by_b, by_alpha))
    return pd.DataFrame(rows, columns=["norm", "seed", "batch_size_slope", "alpha_slope"])
