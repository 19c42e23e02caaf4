"""Fig. 7: |gradient| of one layer's kernel between output and input channels, at initialisation."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn.figures import style
from understanding_bn.summaries.kernel_gradients import energy, energy_left_out

COLUMNS = ["norm", "seed", "layer", "out_channel", "in_channel", "gradient"]


def draw(kernel_gradients: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A heatmap of out × in channels for each norm (first seed), and the singular values' energy of every seed.

    Each heatmap is scaled by its own mean, because the gradients differ by orders of magnitude. The summary has the
    share of the energy, σ₁²/Σσ², of every seed.
    """
    norms = style.ordered(kernel_gradients["norm"])[::-1]  # without normalisation first, as in the paper
    layer = int(kernel_gradients["layer"].iloc[0])
    ratios = [1] * len(norms) + [1.15]
    figure, (*heatmaps, curves) = plt.subplots(1, len(ratios), figsize=(style.WIDTH, 2.5), width_ratios=ratios)
    first = kernel_gradients[kernel_gradients["seed"] == kernel_gradients["seed"].min()]
    for ax, norm in zip(heatmaps, norms, strict=True):
        grid = first[first["norm"] == norm].pivot(index="out_channel", columns="in_channel", values="gradient")
        style.heatmap(ax, grid / grid.to_numpy().mean(), cmap="viridis", vmin=0, vmax=5, square=True)
        first_only = "output channel" if ax is heatmaps[0] else ""
        ax.set(title=f"{style.label(norm)}, layer {layer}", xlabel="input channel", ylabel=first_only)
    figure.colorbar(ax.collections[0], ax=heatmaps, shrink=0.8, extend="max", label="|gradient| / its mean")
    summary, left_out = energy(kernel_gradients), energy_left_out(kernel_gradients)
    common = {"data": left_out, "x": "rank", "y": "left_out", "ax": curves} | style.by_norm(left_out)
    sns.lineplot(**common, units="seed", estimator=None, legend=False, **style.SEED)
    sns.lineplot(**common | {"hue_order": norms}, errorbar=None, linewidth=1.6)
    tops = {norm: style.span(100 * summary.loc[summary["norm"] == norm, "top_share"], ".1f") for norm in norms}
    names = {norm: f"{style.label(norm)}\nσ₁²/Σσ² = {top} %" for norm, top in tops.items()}
    curves.set(xscale="log", yscale="log", xlabel="singular values kept", ylabel="share of the energy left out")
    curves.set_ylim(1e-7, 1)
    title = f"mean and {kernel_gradients['seed'].nunique()} seeds"
    style.legend(curves, names, loc="lower left", fontsize=6, title=title)
    return figure, {"": kernel_gradients[COLUMNS], "summary": summary}
