"""Fig. 2: histogram of one layer's kernel gradient at initialisation."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from understanding_bn.figures import style
from understanding_bn.summaries.gradient_histogram import bins, shapes


def draw(gradient_histogram: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """One panel per norm, a line per seed, logarithmic counts, the Gaussian of the same spread dotted.

    Every entry is in a bin: the range of a panel is that of its largest entry. On a logarithmic axis a Gaussian is a
    parabola, so that tails show.
    """
    norms = style.ordered(gradient_histogram["norm"])
    in_order = gradient_histogram.set_index("norm").loc[norms].reset_index()
    counts, summary = bins(in_order), shapes(in_order)
    figure, axes = plt.subplots(1, len(norms), figsize=(style.WIDTH, 2.6), squeeze=False)
    for ax, (norm, colour) in zip(axes[0], style.colours(norms).items(), strict=True):
        of_norm, shape = counts[counts["norm"] == norm], summary[summary["norm"] == norm]
        edges = np.append(of_norm["bin_left"].unique(), of_norm["bin_right"].max())
        lines = {"bins": list(edges), "element": "step", "fill": False, "alpha": 0.7, "linewidth": 0.9}
        centres = of_norm.assign(centre=(of_norm["bin_left"] + of_norm["bin_right"]) / 2)
        palette = dict.fromkeys(shape["seed"], colour)
        sns.histplot(centres, x="centre", weights="count", hue="seed", palette=palette, legend=False, ax=ax, **lines)
        finer = np.linspace(edges[0], edges[-1], 1001)
        gaussian = stats.norm.pdf(finer, scale=shape["sd"].mean())
        scale = shape["entries"].mean() * (edges[1] - edges[0])
        ax.plot(finer, scale * gaussian, ":", color="0.3", label="Gaussian, same sd")
        ax.set(yscale="log", ylim=(0.5, 3 * of_norm["count"].max()), xlabel="gradient of a kernel entry", ylabel="")
        ax.set_title(
            f"{style.label(norm)}, layer {shape['layer'].iloc[0]}\n"
            f"sd {style.span(shape['sd'], '.2g')}, kurtosis {style.span(shape['kurtosis'], '.2g')}"
        )
        ax.legend(loc="upper right")
    axes[0, 0].set_ylabel(f"kernel entries in a bin, {gradient_histogram['seed'].nunique()} seeds")
    return figure, {"": counts, "summary": summary}
