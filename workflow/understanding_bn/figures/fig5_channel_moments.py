"""Fig. 5: logarithms of channel means and standard deviations against depth, at initialisation."""

from itertools import pairwise

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from understanding_bn import paper
from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.summaries.channel_moments import MAIN_SITE, distance_from_paper, moments_by_layer

COLUMNS = ["norm", "seed", "layer", "statistic", "value", "spread", "site", "dead_channels", "not_finite"]
TITLES = {
    "log_mean": ("channel means", "mean of ln |channel mean|"),
    "log_std": ("channel standard deviations", "mean of ln (channel standard deviation)"),
}
SITES: dict[str, style.Look] = {
    MAIN_SITE: {"linestyle": "-", "linewidth": 1.3},
    "convolution": {"linestyle": (0, (3, 1.5)), "linewidth": 0.8},
}
MOST_TICKS = 10  # one for every layer
NAMES = {MAIN_SITE: "stream after the ReLU", "convolution": "output of the convolution"}
PUBLISHED: style.Look = {"marker": "x", "markersize": 5, "linestyle": ""}
SPREAD: style.Look = {"capsize": 2, "elinewidth": 0.8, "capthick": 0.8, "alpha": 0.6}


def draw(channel_moments: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Both statistics side by side; error bars are the standard deviation over channels, as in the paper.

    Dots are single seeds, lines their mean; natural logarithms. The main site is drawn solid, the other one dashed.
    The error bars of the norms stand beside each other, not on the same place.

    Raises:
        NothingToShow: no channel has a finite moment other than zero.
    """
    table = moments_by_layer(channel_moments)
    if table["value"].isna().all():
        raise NothingToShow("No channel has a finite mean or standard deviation other than zero.")
    at_scale = paper.is_scale_of(channel_moments)
    palette = style.colours(style.ordered(table["norm"]))
    layers = sorted(table["layer"].unique())
    figure, axes = plt.subplots(1, 2, figsize=(style.WIDTH, 3.4), sharex=True)
    for ax, (statistic, (title, label)) in zip(axes, TITLES.items(), strict=True):
        _panel(ax, table[table["statistic"] == statistic], palette)
        for norm, shade in palette.items():
            published = paper.CHANNEL_MOMENTS.value.get((norm, statistic))
            if at_scale and published:
                ax.plot(paper.MOMENT_LAYERS, published, color=shade, label=_paper_name(), **PUBLISHED)
        ax.set(title=title, xlabel="layer", ylabel=label)
        if len(layers) <= MOST_TICKS:
            ax.set_xticks(layers, _names(layers))
        else:
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    seeds, sites = table["seed"].nunique(), [site for site in SITES if site in set(table["site"])]
    number = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    lines = {f"{NAMES[site]}, {number}": keys.line(**SITES[site]) for site in sites}
    marks: keys.Group = {"one seed": keys.marker("o", markersize=3)} if seeds > 1 else {}
    marks["± standard deviation over channels"] = keys.marker("|", markersize=8)
    if at_scale and any(norm in palette for norm, _ in paper.CHANNEL_MOMENTS.value):
        marks[_paper_name()] = keys.line(**PUBLISHED)
    drawn = set(table.loc[table["value"].notna(), "norm"])
    keys.key(figure, {"norm": keys.norms(palette, drawn), "lines": lines, "marks": marks})
    return figure, {"": table[COLUMNS], "summary": distance_from_paper(table, at_scale)}


def _panel(ax: Axes, table: pd.DataFrame, palette: dict[str, str]) -> None:
    """Lines of both sites, and seeds and spreads of the main one."""
    layers = table["layer"].drop_duplicates().sort_values()
    step = 0.12 * (layers.diff().min() if len(layers) > 1 else 1)
    for place, (norm, colour) in enumerate(palette.items()):
        shift = step * (place - (len(palette) - 1) / 2)
        for site, look in SITES.items():
            of_site = table[(table["norm"] == norm) & (table["site"] == site)].dropna(subset="value")
            means = of_site.groupby("layer")[["value", "spread"]].mean()
            ax.plot(means.index, means["value"], color=colour, **look)
            if site == MAIN_SITE:
                ax.scatter(of_site["layer"], of_site["value"], color=colour, **style.DOTS)
                ax.errorbar(means.index + shift, means["value"], means["spread"], fmt="none", ecolor=colour, **SPREAD)


def _names(layers: list[int]) -> list[str]:
    """The layers' numbers, but not of one that has no room before the next."""
    room = 0.09 * (layers[-1] - layers[0])
    return [f"{one}" if after - one > room else "" for one, after in pairwise(layers)] + [f"{layers[-1]}"]


def _paper_name() -> str:
    return style.paper(paper.CHANNEL_MOMENTS.origin)
