"""Noise of mini-batch gradients against B, and of updates against α."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.figures import style

COLUMNS = ["arch", "norm", "alpha", "batch_size", "sampling", "seed", "epoch", "noise", "constant", "update_noise"]
COLUMNS += ["minibatches", "images"]
SAMPLINGS = {"epoch": ("o", "disjoint, as in an epoch"), "replacement": ("^", "with replacement")}
SAMPLINGS["subset"] = ("v", "without replacement")


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Left E‖g_B − g‖² against B, then that of one update against α at the largest B; both axes logarithmic.

    `values`: columns of `analysis.gradient_noise`. Dots are seeds, lines their geometric mean; dotted lines have
    the slope that the bound α²C/B predicts. A third panel, where mini-batches were drawn in several ways, has the noise
    over C/B beside what sampling with and without replacement predicts. The summary has each seed's slopes.
    """
    norms = style.ordered(values["norm"])
    palette = style.colours(norms)
    table = slopes(values)
    of_epoch = values[values["sampling"] == "epoch"]
    largest = of_epoch["batch_size"].max()
    several = values["sampling"].nunique() > 1
    figure, axes = plt.subplots(1, 2 + several, figsize=(style.WIDTH, 2.7))
    panels = (
        (axes[0], "batch_size", "noise", of_epoch[of_epoch["alpha"] == of_epoch["alpha"].min()], -1),
        (axes[1], "alpha", "update_noise", of_epoch[of_epoch["batch_size"] == largest], 2),
    )
    if several:
        _samplings(axes[2], values, norms, palette)
    for ax, x, y, here, slope in panels:
        for norm in norms:
            dots = here[here["norm"] == norm]
            ax.plot(dots[x], dots[y], ".", color=palette[norm], markersize=4, alpha=0.5)
            mean = np.exp(np.log(dots[y]).groupby(dots[x]).mean())
            measured = table[f"{x}_slope"][table["norm"] == norm].mean()
            ax.plot(mean.index, mean, color=palette[norm], label=f"{style.label(norm)}, slope {measured:.2f}")
            ax.plot(mean.index, mean.iloc[0] * (mean.index / mean.index[0]) ** slope, ":", color="0.3", linewidth=0.9)
        ax.set(xscale="log", yscale="log")
        low, high = ax.get_ylim()
        ax.set_ylim(low, high * (high / low) ** 0.35)  # room for the legend
        ax.legend(
            loc="upper center", title=f"{values['seed'].nunique()} seeds; dotted: slope {slope:+d}", title_fontsize=6.5
        )
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
    for (norm, seed), here in values[values["sampling"] == "epoch"].groupby(["norm", "seed"]):
        over_b = here[here["alpha"] == here["alpha"].min()]
        over_alpha = here[here["batch_size"] == here["batch_size"].max()]
        by_b = np.polyfit(np.log(over_b["batch_size"]), np.log(over_b["noise"]), 1)[0]
        by_alpha = np.polyfit(np.log(over_alpha["alpha"]), np.log(over_alpha["update_noise"]), 1)[0]
        rows.append((norm, seed, by_b, by_alpha))
    return pd.DataFrame(rows, columns=["norm", "seed", "batch_size_slope", "alpha_slope"])


def _samplings(ax: Axes, values: pd.DataFrame, norms: list[str], palette: dict[str, str]) -> None:
    """B · noise over its mean with replacement, and the two laws: 1, and (N − B) / (N − 1)."""
    values = values[values["alpha"] == values["alpha"].min()]
    images = values["images"].iloc[0]
    sizes = np.geomspace(values["batch_size"].min(), values["batch_size"].max(), 100)
    ax.plot(sizes, np.ones_like(sizes), ":", color="0.3", linewidth=0.9)
    ax.plot(sizes, (images - sizes) / (images - 1), ":", color="0.3", linewidth=0.9)
    named = []
    for shift, norm in zip(np.linspace(-1, 1, len(norms)) if len(norms) > 1 else [0], norms, strict=True):
        own = values[values["norm"] == norm]
        reference = own[own["sampling"] == "replacement"].groupby("seed")["constant"].mean()
        for sampling, (marker, text) in SAMPLINGS.items():
            here = own[own["sampling"] == sampling]
            share = (here["constant"] / here["seed"].map(reference)).groupby(here["batch_size"])
            middle = share.mean()
            label = None if sampling in named else text
            named.append(sampling)
            spread = [middle - share.min(), share.max() - middle]
            ax.errorbar(
                middle.index * 1.06**shift, middle, spread, fmt=marker, color=palette[norm], markersize=3.5, label=label
            )
    ax.set(xscale="log", xlabel="batch size B", ylabel="noise / (C/B)", ylim=(0, None))
    ticks = sorted(values["batch_size"].unique())
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.legend(loc="lower left", title=f"drawn from {images} images:", title_fontsize=6.5, fontsize=6.5)
