"""The largest stable learning rate against sharpness before training, over networks, norms and initialisations."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn import architecture
from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain
from understanding_bn.figures.titles import count, data, initialisation, listed, network
from understanding_bn.summaries.initial_sharpness import LEFT_OUT, by_network, fits

COLUMNS = ["arch", "init", "norm", "seed", "sharpness", "alpha", "limit", "left_out"]
MARKERS = "osD^vP"  # of an initialisation
DOT: style.Look = {"linestyle": "", "markersize": 3.6, "mew": 0.8, "alpha": 0.75}


def draw(initial_sharpness: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A marker per network and seed, and the line that is the mean of the seeds' least-squares lines.

    Colours are norms, shapes initialisations; plain networks are open. The summary has the line of each seed.

    Raises:
        NothingToShow: no network has both a bound of its search and a positive λ_max.
    """
    networks = by_network(initial_sharpness)
    fitted = networks[networks["left_out"] == ""]
    if fitted.empty:
        raise NothingToShow("No search found a largest stable learning rate of a network with a positive λ_max.")
    lines = fits(networks)
    figure, ax = plt.subplots(figsize=(0.75 * style.WIDTH, 3.9))
    palette = style.colours(style.ordered(fitted["norm"]))
    shapes = dict(zip(fitted["init"].unique(), MARKERS * len(fitted), strict=False))
    for (norm, init, arch), dots in fitted.groupby(["norm", "init", "arch"], sort=False):
        face = {"markerfacecolor": "none"} if _is_plain(arch) else {}
        ax.plot(dots["sharpness"], dots["alpha"], shapes[init], color=palette[norm], **DOT | face)
    ends = np.array([fitted["sharpness"].min(), fitted["sharpness"].max()])
    mean = lines[["slope", "intercept"]].mean()
    ax.plot(ends, 10 ** (mean["intercept"] + mean["slope"] * np.log10(ends)), color="0.2", linewidth=1.2, zorder=1)
    heights = ax.get_ylim()
    beta = initial_sharpness["momentum"].iloc[0]
    ax.plot(ends, (2 + 2 * beta) / ends, **style.LAW)
    style.logarithmic(ax.xaxis, fitted["sharpness"])
    style.logarithmic(ax.yaxis, fitted["alpha"])
    low, high = fitted["alpha"].min(), fitted["alpha"].max()
    ax.set_ylim(min(heights[0], low / 2) if heights[0] > 0 else low / 2, 2 * high)
    ax.set(xlabel=r"$\lambda_{\max}$ before training", ylabel="largest stable learning rate α")
    _key(figure, ax, initial_sharpness, networks, lines, palette, shapes, beta)
    return figure, {"": networks[COLUMNS], "summary": lines}


def _is_plain(arch: str) -> bool:
    return architecture.parse(arch)[0] == "none"


def _key(
    figure: Figure,
    ax: Axes,
    trials: pd.DataFrame,
    networks: pd.DataFrame,
    lines: pd.DataFrame,
    palette: dict[str, str],
    shapes: dict[str, str],
    beta: float,
) -> None:
    """Colours, shapes, lines; in the title what was measured, and below it what is left out."""
    inits: keys.Group = {initialisation(init): keys.marker(shape) for init, shape in shapes.items()}
    archs = architecture.in_order(networks["arch"])
    kinds: keys.Group = {}
    for plain_ones, look in ((False, {}), (True, {"markerfacecolor": "none"})):
        depths = [network(arch) for arch in archs if _is_plain(arch) == plain_ones]
        if depths:
            kinds[", ".join(depths)] = keys.marker("o", **look)
    if lines["slope"].notna().any():
        mean = lines[["slope", "r2"]].mean()
        text = f"fit: slope {plain(mean['slope'], 3)}, R² = {plain(mean['r2'], 2)}"
        kinds[text] = keys.line(color="0.2", linewidth=1.2)
    kinds[f"edge of stability, (2 + 2β)/λ, β = {plain(beta)}"] = keys.line(**style.LAW)
    seeds = count(networks["seed"].nunique(), "seed")
    ax.set_title(
        f"{data(trials['dataset'].iloc[0])}: {seeds}, B = {listed(trials['batch_size'])}, "
        f"{listed(trials['updates'])} updates"
    )
    counts = networks["left_out"].value_counts()
    absent: keys.Group = {
        f"{counts[limit]} {words}": keys.line(linestyle="") for limit, words in LEFT_OUT.items() if limit in counts
    }
    groups = {"norm": keys.norms(palette), "initialisation": inits, "networks and lines": kinds, "not shown": absent}
    keys.key(figure, groups, columnspacing=1.2)
