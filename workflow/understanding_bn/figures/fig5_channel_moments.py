"""Fig. 5: logarithms of channel means and standard deviations against depth, at initialisation."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn import paper
from understanding_bn.figures import style
from understanding_bn.summaries.channel_moments import MAIN_SITE, distance_from_paper, moments_by_layer

COLUMNS = ["norm", "seed", "layer", "statistic", "value", "spread", "site", "dead_channels"]
TITLES = {
    "log_mean": "mean over channels of log |channel mean|",
    "log_std": "mean over channels of log channel std",
}
SITES = {MAIN_SITE: "stream after the ReLU", "convolution": "output of the convolution"}
WIDTHS = {MAIN_SITE: 1.2, "convolution": 0.8}  # of the lines


def draw(channel_moments: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Both statistics side by side; error bars are the standard deviation over channels, as in the paper.

    Dots are single seeds, lines their mean; natural logarithms. The main site is drawn solid, the other one dashed.
    """
    table = moments_by_layer(channel_moments)
    at_scale = paper.is_scale_of(channel_moments)
    colour = style.by_norm(table)
    names = style.labels(colour["palette"]) | SITES
    figure, axes = plt.subplots(1, 2, figsize=(style.WIDTH, 3.1), sharex=True)
    for ax, (statistic, title) in zip(axes, TITLES.items(), strict=True):
        of_both = table[table["statistic"] == statistic]
        main = of_both[of_both["site"] == MAIN_SITE]
        common = {"x": "layer", "y": "value", "ax": ax} | colour
        by_site = {"style": "site", "style_order": list(SITES), "size": "site", "sizes": WIDTHS}
        sns.lineplot(of_both, errorbar=None, **by_site, **common)
        sns.scatterplot(main, legend=False, **style.DOTS, **common)
        for norm, shade in colour["palette"].items():
            means = main[main["norm"] == norm].groupby("layer")[["value", "spread"]].mean()
            ax.errorbar(means.index, means["value"], means["spread"], fmt="none", ecolor=shade, capsize=2, elinewidth=1)
            published = paper.CHANNEL_MOMENTS.value.get((norm, statistic))
            if at_scale and published:
                name = f"{style.label(norm)}, {style.paper(paper.CHANNEL_MOMENTS.origin)}"
                names[name] = name
                ax.plot(paper.MOMENT_LAYERS, published, "x", color=shade, markersize=5, label=name)
        ax.set(title=title, xlabel="layer", ylabel="natural logarithm" if ax is axes[0] else "")
        ax.get_legend().remove()
    style.legend(axes[0], names, owner=figure, loc="outside lower center", ncols=3)
    return figure, {"": table[COLUMNS], "summary": distance_from_paper(table, at_scale)}
