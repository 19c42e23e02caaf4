"""Figs. 8 and 9: singular values of products of Gaussian matrices, with Theorem 1's density over them."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn.analysis import random_matrices
from understanding_bn.figures import style

BINS = 50


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """One panel per number of factors: counts over all draws, and Theorem 1's expectation as a line.

    `values`: columns of `analysis.random_matrices`. 50 bins reach from 0 to Theorem 1's upper edge; further bins of
    the same width follow where finite matrices overshoot it, so that no value is dropped.
    """
    factors = sorted(values["factors"].unique())
    figure, axes = plt.subplots(1, len(factors), figsize=(style.WIDTH, 2.4), sharey=True, squeeze=False)
    bins, summaries, highest = [], [], 0
    for ax, number in zip(axes[0], factors, strict=True):
        here = values[values["factors"] == number]
        width = random_matrices.upper_edge(number) / BINS
        edges = width * np.arange(max(BINS, int(here["singular_value"].max() / width) + 1) + 1)
        total = np.zeros(len(edges) - 1, dtype=int)
        for draw_, table in here.groupby("draw"):
            singular = table["singular_value"].to_numpy()
            counts, _ = np.histogram(singular, edges)
            total += counts
            keys = {"factors": number, "draw": draw_}
            bins.append(pd.DataFrame(keys | {"bin_left": edges[:-1], "bin_right": edges[1:], "count": counts}))
            condition = singular.max() / singular.min()
            ks = random_matrices.ks_statistic(singular, number)
            summaries.append(
                {"factors": number, "size": len(singular), "draw": draw_, "condition_number": condition}
                | {"ks_statistic": ks}
            )
        ax.stairs(total, edges, fill=True, color="#56B4E9", alpha=0.5)
        ax.stairs(total, edges, color="#0072B2", linewidth=0.8, label=f"{here['draw'].nunique()} draws")
        s, density = random_matrices.density_of_singular_values(number)
        ax.plot(s, density * width * len(here), color="black", linewidth=1, label="Theorem 1")
        median = np.median([row["condition_number"] for row in summaries if row["factors"] == number])
        ax.set_title(f"{number} factor{'' if number == 1 else 's'}\nmedian σ₁/σ_N = {median:.1e}")
        ax.set(xlabel="singular value", yscale="log", xlim=(0, edges[-1]))
        highest = max(highest, total.max())
    axes[0, 0].set_ylim(5, 1.5 * highest)
    size = int(values["size"].iloc[0])
    axes[0, 0].set_ylabel(f"singular values in a bin (N = {size})")
    axes[0, -1].legend(loc="upper right")
    return figure, {"": pd.concat(bins, ignore_index=True), "summary": pd.DataFrame(summaries)}
