"""Figs. 8 and 9: singular values of products of Gaussian matrices, with Theorem 1's density over them."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn.analysis.random_matrices import density_of_singular_values
from understanding_bn.figures import style
from understanding_bn.summaries.random_matrices import bin_width, bins, draws


def draw(random_matrices: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """One panel per number of factors: counts over all draws, and Theorem 1's expectation as a line.

    50 bins reach from 0 to Theorem 1's upper edge; where finite matrices overshoot it, there are more bins.
    """
    counts, summary = bins(random_matrices), draws(random_matrices)
    factors = sorted(random_matrices["factors"].unique())
    figure, axes = plt.subplots(1, len(factors), figsize=(style.WIDTH, 2.4), sharey=True, squeeze=False)
    for ax, number in zip(axes[0], factors, strict=True):
        of_all = summary[summary["factors"] == number]
        totals = counts[counts["factors"] == number].groupby(["bin_left", "bin_right"], as_index=False)["count"].sum()
        edges = np.append(totals["bin_left"], totals["bin_right"].iloc[-1])
        centres = totals.assign(centre=(totals["bin_left"] + totals["bin_right"]) / 2)
        look = {"element": "step", "color": "#0072B2", "alpha": 0.3, "linewidth": 0.8, "label": f"{len(of_all)} draws"}
        sns.histplot(centres, x="centre", weights="count", bins=list(edges), ax=ax, **look)
        s, density = density_of_singular_values(number)
        ax.plot(s, density * bin_width(number) * of_all["size"].sum(), color="black", linewidth=1, label="Theorem 1")
        median = of_all["condition_number"].median()
        ax.set_title(f"{number} factor{'' if number == 1 else 's'}\nmedian σ₁/σ_N = {median:.1e}")
        ax.set(xlabel="singular value", ylabel="", yscale="log", xlim=(0, edges[-1]))
    highest = counts.groupby(["factors", "bin_left"])["count"].sum().max()
    size = int(random_matrices["size"].iloc[0])
    axes[0, 0].set(ylim=(5, 1.5 * highest), ylabel=f"singular values in a bin (N = {size})")
    axes[0, -1].legend(loc="upper right")
    return figure, {"": counts, "summary": summary}
