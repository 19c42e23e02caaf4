"""Fig. 2: histogram of one layer's kernel gradient at initialisation."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from scipy import stats

from understanding_bn.figures import style

BINS = 81


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """One panel per norm, a line per seed, logarithmic counts, the Gaussian of the same spread dotted.

    `values`: columns of `analysis.gradient_histogram`. Every entry lies in a bin: the range of a panel is that of
    its largest entry, and on a logarithmic axis a Gaussian is a parabola, so that tails show.
    """
    norms = style.ordered(values["norm"])
    palette = style.colours(norms)
    figure, axes = plt.subplots(1, len(norms), figsize=(style.WIDTH, 2.6), squeeze=False)
    bins, summaries = [], []
    for ax, norm in zip(axes[0], norms, strict=True):
        here = values[values["norm"] == norm]
        largest = float(here["gradient"].abs().max())
        edges = np.linspace(-largest, largest, BINS + 1)
        for seed, entries in here.groupby("seed")["gradient"]:
            gradient = entries.to_numpy(dtype=np.float64)
            counts, _ = np.histogram(gradient, edges)
            ax.stairs(counts, edges, color=palette[norm], alpha=0.7, linewidth=0.9)
            keys = {"norm": norm, "layer": int(here["layer"].iloc[0]), "seed": seed}
            bins.append(pd.DataFrame(keys | {"bin_left": edges[:-1], "bin_right": edges[1:], "count": counts}))
            kurtosis = float(stats.kurtosis(gradient, fisher=False))
            summaries.append(keys | {"sd": gradient.std(), "kurtosis": kurtosis, "entries": len(gradient)})
        summary = pd.DataFrame([s for s in summaries if s["norm"] == norm])
        width, entries, sd = edges[1] - edges[0], summary["entries"].mean(), summary["sd"].mean()
        finer = np.linspace(-largest, largest, 1001)
        ax.plot(
            finer,
            entries * width * stats.norm.pdf(finer, scale=sd),
            ":",
            color="0.3",
            label="Gaussian, same sd",
        )
        ax.set_yscale("log")
        ax.set_ylim(0.5, 3 * max(table["count"].max() for table in bins if table["norm"].iloc[0] == norm))
        ax.set_title(
            f"{style.label(norm)}, layer {summary['layer'].iloc[0]}\n"
            f"sd {style.span(summary['sd'], '.2g')}, kurtosis {style.span(summary['kurtosis'], '.2g')}"
        )
        ax.set_xlabel("gradient of a kernel entry")
        ax.legend(loc="upper right")
    axes[0, 0].set_ylabel(f"kernel entries in a bin, {values['seed'].nunique()} seeds")
    return figure, {"": pd.concat(bins, ignore_index=True), "summary": pd.DataFrame(summaries)}
