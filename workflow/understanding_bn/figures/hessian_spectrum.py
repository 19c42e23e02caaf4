"""The Hessian's spectral density at initialisation and after training, and sharpness and trace against α."""

import math

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from understanding_bn.analysis.spectral import density
from understanding_bn.figures import style
from understanding_bn.summaries.hessian import RUN, WHOLE, by_block, most_measured
from understanding_bn.summaries.training import with_failures

COLUMNS = [*RUN, "probe", "node", "weight"]
MOST_ALPHAS = 3  # panels of trained networks: the smallest, the largest and a middle one
DECADES = 3  # below the largest |λ| at which the axis turns linear
WIDTH = 0.3  # of the Gaussian, in units of asinh(λ / linear width): e-folds of |λ|


def draw(histories: pd.DataFrame, hessian_spectrum: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Above the spectral densities, below sharpness and trace against α; of one network and B.

    A run that failed by its history is a cross below, and in no density and no median: a network that gives one answer
    to every image still has a Hessian.
    Densities are smoothed by a Gaussian in asinh(λ / linear width), so that a peak is as wide on the axis wherever it
    is; they are shares of all eigenvalues per e-fold of |λ| (per linear width near zero). Lines are means over probes
    and seeds, bands go from the lowest to the highest seed (probe, where there is one seed). Ticks at the foot are the
    top and bottom eigenvalues. The CSV has the nodes drawn; the summary has every run, BN mode and block.
    """
    values = with_failures(hessian_spectrum, histories)
    table = by_block(values)
    start, trained = most_measured(values)
    sound = trained[trained["failure"] == ""]
    end = sound if len(sound) or len(start) else trained
    norms = style.ordered(pd.concat([start, trained])["norm"])
    palette = style.colours(norms)
    alphas = sorted(end["alpha"].unique())
    places = {int(place) for place in np.linspace(0, len(alphas) - 1, MOST_ALPHAS).round()} if alphas else set()
    panels = [("at initialisation", start)] if len(start) else []
    for alpha in (alphas[place] for place in sorted(places)):
        of_alpha = end[end["alpha"] == alpha]
        panels.append((f"{_epochs(of_alpha)}, α = {alpha:g}", of_alpha))

    figure = plt.figure(figsize=(style.WIDTH, 4.9 if alphas else 2.8))
    rows = figure.subfigures(2 if alphas else 1, 1, height_ratios=[1.05, 1] if alphas else [1], squeeze=False)[:, 0]
    axes = rows[0].subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    drawn = pd.concat([part for _, part in panels])
    _densities(list(axes), panels, palette)
    rows[0].suptitle(_title(drawn), fontsize=8)
    rows[0].supxlabel("eigenvalue λ of the Hessian (asinh scale)", fontsize=8)
    handles = [Line2D([], [], color=colour, label=style.label(norm)) for norm, colour in palette.items()]
    if alphas:
        whole = table[table["block"] == WHOLE]
        before, after = (whole.merge(part[RUN].drop_duplicates(), on=RUN) for part in (start, trained))
        _against_alpha(rows[1].subplots(1, 2), before, after, palette)
        grey: style.Look = {"color": "0.3", "linewidth": 0.9}
        handles.append(Line2D([], [], linestyle="--", label="2/α", **grey))
        if len(start):
            handles.append(Line2D([], [], linestyle=":", label="at initialisation", **grey))
        if len(end) < len(trained):
            handles.append(Line2D([], [], color="0.3", linestyle="", marker="x", markersize=4, label="failed"))
    place = "outside upper center" if alphas else "outside lower center"
    rows[-1].legend(handles=handles, loc=place, ncols=len(handles))
    nodes = drawn[drawn["kind"] == "node"].rename(columns={"value": "node"})
    return figure, {"": nodes[COLUMNS], "summary": table}


def _densities(axes: list[Axes], panels: list[tuple[str, pd.DataFrame]], palette: dict[str, str]) -> None:
    """A panel for each title and its rows, with common axes."""
    nodes = pd.concat([part[part["kind"] == "node"] for _, part in panels])
    largest = nodes["value"].abs().max()
    linear = 10.0 ** (math.floor(math.log10(largest)) - DECADES + 1) if largest > 0 else 1.0
    low, high = (np.arcsinh(edge / linear) for edge in (min(nodes["value"].min(), 0), max(nodes["value"].max(), 0)))
    grid = np.linspace(low - 6 * WIDTH, high + 6 * WIDTH, 800)
    lowest, highest = math.inf, 0.0
    for ax, (title, part) in zip(axes, panels, strict=True):
        for norm, of_norm in part.groupby("norm"):
            curves = _curves(of_norm[of_norm["kind"] == "node"], grid, linear)
            mean = np.mean(list(curves.values()), axis=0)
            ax.fill_between(linear * np.sinh(grid), *_band(curves), color=palette[norm], alpha=0.25, linewidth=0)
            ax.plot(linear * np.sinh(grid), mean, color=palette[norm])
            ends = of_norm[of_norm["kind"].isin(["top", "bottom"])]["value"].dropna()
            height = 0.04 + 0.05 * list(palette).index(norm)
            ax.plot(ends, [height] * len(ends), "|", color=palette[norm], transform=ax.get_xaxis_transform())
            edge = of_norm.loc[of_norm["kind"] == "node", "value"].max()
            lowest = min(lowest, np.interp(np.arcsinh(edge / linear), grid, mean))
            highest = max(highest, mean.max())
        ax.set_xscale("asinh", linear_width=linear)
        ax.set_yscale("log")
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_title(title)
    axes[0].set_ylim(max(lowest, 1e-12) / 30, 3 * highest)  # a single eigenvalue of the largest network stays in view
    axes[0].set_xlim(linear * math.sinh(grid[0]), linear * math.sinh(grid[-1]))
    axes[0].set_ylabel("share of eigenvalues\nper e-fold of |λ|")
    _ticks(axes, linear, len(panels))


def _curves(nodes: pd.DataFrame, grid: np.ndarray, linear: float) -> dict[tuple[int, int], np.ndarray]:
    """The smoothed density of each (seed, probe)."""
    return {
        key: density(np.arcsinh(seen["value"].to_numpy() / linear), seen["weight"].to_numpy(), grid, WIDTH)
        for key, seen in nodes.groupby(["seed", "probe"])
    }


def _band(curves: dict[tuple[int, int], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest of the seeds' means over probes; of the probes where there is one seed."""
    seeds = {seed for seed, _ in curves}
    lines = list(curves.values())
    if len(seeds) > 1:
        lines = [np.mean([curve for key, curve in curves.items() if key[0] == seed], axis=0) for seed in seeds]
    return np.min(lines, axis=0), np.max(lines, axis=0)


def _ticks(axes: list[Axes], linear: float, panels: int) -> None:
    """Powers of ten on both sides of zero, as far apart as the panels are narrow."""
    left, right = axes[0].get_xlim()
    step = 1 if panels < 3 else 2
    powers = [linear * 10.0**k for k in range(1, 12, step)]
    places = [-p for p in powers if -p >= left] + [0] + [p for p in powers if p <= right]
    for ax in axes:
        ax.xaxis.set_major_locator(FixedLocator(sorted(places)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticks(sorted(places), [_power(place) for place in sorted(places)])


def _power(value: float) -> str:
    """±10^k in figures' notation."""
    if value == 0:
        return "0"
    exponent = round(math.log10(abs(value)))
    sign = "−" if value < 0 else ""
    return f"{sign}1" if exponent == 0 else f"{sign}$10^{{{exponent}}}$"


def _against_alpha(axes: np.ndarray, start: pd.DataFrame, end: pd.DataFrame, palette: dict[str, str]) -> None:
    """Left the top eigenvalue, right the trace, against α: dots are seeds, lines their median; crosses failed."""
    sound, failed = end[end["failure"] == ""], end[end["failure"] != ""]
    before = start.groupby("norm")[["top_eigenvalue", "trace"]].median()
    for ax, quantity in zip(axes, ("top_eigenvalue", "trace"), strict=True):
        common = {"x": "alpha", "y": quantity, "hue": "norm", "palette": palette, "legend": False, "ax": ax}
        if len(failed):
            sns.scatterplot(failed, marker="x", s=16, linewidth=1, **common)
        if len(sound):
            sns.scatterplot(sound, **style.DOTS, **common)
            sns.lineplot(sound, estimator="median", errorbar=None, **common)
        for norm, median in before[quantity].dropna().items():
            ax.axhline(median, color=palette[norm], linestyle=":", linewidth=0.9)
        ax.set(xscale="log", xlabel="learning rate α")
        style.ticks_at(ax.xaxis, end["alpha"])
    left, right = axes
    low, high = left.get_ylim()
    span = np.geomspace(end["alpha"].min(), end["alpha"].max(), 50)
    left.plot(span, 2 / span, "--", color="0.3", linewidth=0.9)
    if (end["top_eigenvalue"] > 0).all():
        left.set_yscale("log")
    else:
        left.set_ylim(low, high)
    traces = pd.concat([start["trace"], end["trace"]]).abs()
    if (end["trace"] > 0).all() and not (start["trace"] <= 0).any():
        right.set_yscale("log")
    elif traces.max() > 0:  # of both signs, and before training often thousands of times what it is after
        right.set_yscale("symlog", linthresh=10.0 ** math.floor(math.log10(traces[traces > 0].median())))
        low, high = right.get_ylim()
        right.set_ylim(min(2 * low, 0), high)
    left.set_ylabel("top eigenvalue (sharpness)")
    right.set_ylabel("trace")


def _epochs(end: pd.DataFrame) -> str:
    """How long the networks drawn were trained."""
    epochs = style.span(end["epoch"].drop_duplicates(), ".0f")
    return f"{epochs} epoch" if epochs == "1" else f"{epochs} epochs"


def _title(drawn: pd.DataFrame) -> str:
    """What is drawn, in words."""
    sizes = "/".join(str(size) for size in sorted(drawn["batch_size"].unique()))
    seeds, probes = drawn["seed"].nunique(), int(drawn["probe"].max()) + 1
    facts = drawn.iloc[0]
    counted = f"{seeds} {'seed' if seeds == 1 else 'seeds'} × {probes} {'probe' if probes == 1 else 'probes'}"
    init = facts["init"].replace("_", " ")
    return f"{facts['arch']} on {facts['dataset']}, {init}, B = {sizes}; {counted}"
