"""Fig. 7: |gradient| of one layer's kernel between output and input channels, at initialisation."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn.figures import style

COLUMNS = ["norm", "seed", "layer", "out_channel", "in_channel", "gradient"]


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A heatmap of out × in channels for each norm (first seed), and the singular values' energy of every seed.

    `values`: columns of `analysis.kernel_gradients`. Each heatmap is scaled by its own mean, because the gradients
    differ by orders of magnitude. The summary has the share of the energy, σ₁²/Σσ², of every seed.
    """
    norms = style.ordered(values["norm"])[::-1]  # without normalisation first, as in the paper
    palette = style.colours(style.ordered(values["norm"]))
    layer = int(values["layer"].iloc[0])
    figure, axes = plt.subplots(
        1, len(norms) + 1, figsize=(style.WIDTH, 2.5), width_ratios=[1] * len(norms) + [1.15], squeeze=False
    )
    first = values[values["seed"] == values["seed"].min()]
    for ax, norm in zip(axes[0], norms, strict=False):
        grid = first[first["norm"] == norm].pivot(index="out_channel", columns="in_channel", values="gradient")
        image = ax.imshow(grid / grid.to_numpy().mean(), cmap="viridis", vmin=0, vmax=5, interpolation="nearest")
        ax.grid(False)
        ax.set(title=f"{style.label(norm)}, layer {layer}", xlabel="input channel")
    axes[0, 0].set_ylabel("output channel")
    figure.colorbar(image, ax=list(axes[0, :-1]), shrink=0.8, extend="max", label="|gradient| / its mean")
    summary = energy(values)
    ax = axes[0, -1]
    for norm in norms:
        here = summary[summary["norm"] == norm]
        curves = 1 - np.array([matrix_energy(m) for _, m in matrices(values[values["norm"] == norm])]).cumsum(1)
        rank = np.arange(1, curves.shape[1])
        ax.plot(rank, curves[:, :-1].T, color=palette[norm], alpha=0.35, linewidth=0.6)
        top = here["top_share"]
        text = f"{style.label(norm)}\nσ₁²/Σσ² = {style.span(100 * top, '.1f')} %"
        ax.plot(rank, curves[:, :-1].mean(0), color=palette[norm], linewidth=1.6, label=text)
    ax.set(xscale="log", yscale="log", xlabel="singular values kept", ylabel="share of the energy left out")
    ax.set_ylim(1e-7, 1)
    ax.legend(loc="lower left", fontsize=6, title=f"mean and {values['seed'].nunique()} seeds", title_fontsize=6)
    return figure, {"": values[COLUMNS], "summary": summary}


def energy(values: pd.DataFrame, column: str = "gradient") -> pd.DataFrame:
    """norm, seed, layer, top_share: the top singular value's share σ₁²/Σσ² of each seed's out × in matrix."""
    rows = [(*key, matrix_energy(matrix)[0]) for key, matrix in matrices(values, column)]
    return pd.DataFrame(rows, columns=["norm", "seed", "layer", "top_share"])


def matrices(values: pd.DataFrame, column: str = "gradient"):
    """((norm, seed, layer), matrix of out × in channels) of every seed."""
    for key, here in values.groupby(["norm", "seed", "layer"], sort=False):
        yield key, here.pivot(index="out_channel", columns="in_channel", values=column).to_numpy()


def matrix_energy(matrix: np.ndarray) -> np.ndarray:
    """σ²/Σσ², descending, of a matrix."""
    squares = np.linalg.svd(matrix, compute_uv=False) ** 2
    return squares / squares.sum()
