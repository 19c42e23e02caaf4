"""The Hessian's spectral density at initialisation and after training, and sharpness and trace against α."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from understanding_bn.analysis.spectral import density
from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain, positive
from understanding_bn.figures.titles import count, data, initialisation, listed, network, seeds_of
from understanding_bn.summaries.hessian import RUN, WHOLE, by_block, most_measured, with_partition
from understanding_bn.summaries.training import CELL, with_failures

COLUMNS = [*RUN, "probe", "node", "weight"]
MOST_ALPHAS = 3  # panels of trained networks: the smallest, the largest and a middle one
DECADES = 3  # below the largest |λ| at which the axis turns linear
DOT: style.Look = {"markersize": 3.4, "mew": 0, "alpha": 0.6}
START: style.Look = {"linestyle": ":", "linewidth": 1}
EVAL: style.Look = {"linestyle": "-.", "linewidth": 1}  # batch norm in eval mode; in train mode lines are solid
EDGE: style.Look = {"color": "0.3", "linestyle": "--", "linewidth": 0.9}  # of stability
WIDTH = 0.3  # of the Gaussian, in units of asinh(λ / linear width): e-folds of |λ|


def draw(histories: pd.DataFrame, hessian_spectrum: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Above the spectral densities, below sharpness and trace against α; of one network and B.

    A run that failed by its history is counted below, and in no density and no median: a network that gives one answer
    to every image still has a Hessian, which is in the summary. Batch norm in eval mode has lines of its own, but not
    at initialisation (see `most_measured`).
    Densities are smoothed by a Gaussian in asinh(λ / linear width), so that a peak is as wide on the axis wherever it
    is; they are shares of all eigenvalues per e-fold of |λ| (per linear width near zero). Lines are means over probes
    and seeds, bands go from the lowest to the highest seed (probe, where there is one seed). Ticks at the foot are the
    top and bottom eigenvalues. The CSV has the nodes drawn; the summary has every run, BN mode and block.

    Raises:
        NothingToShow: no network that trained, and none before training, has a spectrum.
    """
    values = with_failures(with_partition(hessian_spectrum), histories)
    usable = (values["failure"] == "") & np.isfinite(values["value"]) & (values["kind"] == "node")
    without_statistics = (values["bn_mode"] == "eval") & (values["epoch"] == 0)
    if not (usable & ~without_statistics & (values["block"] == WHOLE)).any():
        raise NothingToShow("No network has a spectrum: every one of those measured had diverged or stayed at chance.")
    table = by_block(values)
    start, trained = most_measured(values)
    end = trained[trained["failure"] == ""]
    if end.empty and start.empty:
        start, trained = most_measured(values[values["failure"] == ""])
        end = trained
    norms = style.ordered(pd.concat([start, trained])["norm"])
    palette = style.colours(norms)
    alphas = sorted(end["alpha"].unique())
    places = {int(place) for place in np.linspace(0, len(alphas) - 1, MOST_ALPHAS).round()} if alphas else set()
    panels = [("at initialisation", start)] if len(start) else []
    for alpha in (alphas[place] for place in sorted(places)):
        of_alpha = end[end["alpha"] == alpha]
        panels.append((f"{_epochs(of_alpha)}, α = {plain(alpha)}", of_alpha))
    panels = [(title, part) for title, part in panels if len(_nodes(part))]

    figure = plt.figure(figsize=(style.WIDTH, 5.3 if alphas else 3.1))
    rows = figure.subfigures(2 if alphas else 1, 1, height_ratios=[1, 1.1] if alphas else [1], squeeze=False)[:, 0]
    axes = rows[0].subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    drawn = pd.concat([part for _, part in panels])
    _densities(list(axes), panels, palette)
    rows[0].suptitle(_title(drawn), fontsize=8)
    rows[0].supxlabel("eigenvalue λ of the Hessian (nats per squared unit of weight; asinh scale)", fontsize=8)
    if alphas:
        whole = table[table["block"] == WHOLE]
        before, after = (whole.merge(part[RUN].drop_duplicates(), on=RUN) for part in (start, trained))
        _against_alpha(rows[1].subplots(1, 2), before, after, palette)
    _key(rows[-1], start, trained, drawn, palette)
    nodes = drawn[drawn["kind"] == "node"].rename(columns={"value": "node"})
    return figure, {"": nodes[COLUMNS], "summary": table}


def _nodes(part: pd.DataFrame) -> pd.DataFrame:
    """The nodes of quadrature that a density is made of."""
    return part[(part["kind"] == "node") & np.isfinite(part["value"]) & (part["weight"] >= 0)]


def _key(owner: Any, start: pd.DataFrame, trained: pd.DataFrame, drawn: pd.DataFrame, palette: dict[str, str]) -> None:
    """Colours, what is drawn of the spectra above, and what against α below."""
    several, probes = drawn["seed"].nunique() > 1, drawn["probe"].nunique()
    above: keys.Group = {f"mean of {seeds_of(drawn, [*CELL, 'epoch'])}, {count(probes, 'probe')} each": keys.line()}
    if several or probes > 1:
        above[f"range of the {'seeds' if several else 'probes'}"] = keys.band(alpha=0.25)
    above["largest and smallest λ of a seed"] = keys.marker("|", markersize=6)
    modes = {"train": ("batch norm in train mode", {}), "eval": ("batch norm in eval mode", EVAL)}
    used = [modes[mode] for mode in modes if mode in set(drawn["bn_mode"])]
    colours = keys.norms(palette)
    if len(used) > 1:
        colours |= {name: keys.line(**look) for name, look in used}
    groups = {"norm": colours, "above": above}
    if len(trained):
        below: keys.Group = {"one seed": keys.marker("o", **DOT)}
        if "eval" in set(trained["bn_mode"]):
            below["one seed, batch norm in eval mode"] = keys.marker("s", **DOT)
        below["median"] = keys.line()
        if len(start):
            below["median at initialisation"] = keys.line(**START)
        below["2/α"] = keys.line(**EDGE)
        if (trained["failure"] != "").any():
            below["×n: n seeds failed"] = keys.line(linestyle="")
        groups["below"] = below
    keys.key(owner, groups)


def _densities(axes: list[Axes], panels: list[tuple[str, pd.DataFrame]], palette: dict[str, str]) -> None:
    """A panel for each title and its rows, with common axes."""
    nodes = pd.concat([_nodes(part) for _, part in panels])
    largest = nodes["value"].abs().max()
    linear = 10.0 ** (math.floor(math.log10(largest)) - DECADES + 1) if largest > 0 else 1.0
    low, high = (np.arcsinh(edge / linear) for edge in (min(nodes["value"].min(), 0), max(nodes["value"].max(), 0)))
    grid = np.linspace(low - 6 * WIDTH, high + 6 * WIDTH, 800)
    lowest, highest = math.inf, 0.0
    for ax, (title, part) in zip(axes, panels, strict=True):
        for (norm, mode), of_norm in part.groupby(["norm", "bn_mode"]):
            if _nodes(of_norm).empty:
                continue
            curves = _curves(_nodes(of_norm), grid, linear)
            mean = np.mean(list(curves.values()), axis=0)
            ax.fill_between(linear * np.sinh(grid), *_band(curves), color=palette[norm], alpha=0.25, linewidth=0)
            ax.plot(linear * np.sinh(grid), mean, color=palette[norm], **_look(mode))
            ends = of_norm[of_norm["kind"].isin(["top", "bottom"])]["value"].dropna()
            height = 0.04 + 0.05 * list(palette).index(norm)
            ax.plot(ends, [height] * len(ends), "|", color=palette[norm], transform=ax.get_xaxis_transform())
            edge = _nodes(of_norm)["value"].max()
            lowest = min(lowest, np.interp(np.arcsinh(edge / linear), grid, mean))
            highest = max(highest, mean.max())
        ax.set_xscale("asinh", linear_width=linear)
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(numticks=5))
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_title(title)
    axes[0].set_ylim(max(lowest, 1e-12) / 30, 3 * highest)  # a single eigenvalue of the largest network stays in view
    axes[0].set_xlim(linear * math.sinh(grid[0]), linear * math.sinh(grid[-1]))
    axes[0].set_ylabel("share of eigenvalues\nper e-fold of |λ|")
    _ticks(axes, linear, len(panels))


def _look(bn_mode: str) -> style.Look:
    """The line of a BN mode."""
    return EVAL if bn_mode == "eval" else {}


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
    """Left the top eigenvalue, right the trace, against α: dots are seeds, lines their median; failures are counted."""
    sound = end[end["failure"] == ""].replace([np.inf, -np.inf], np.nan)
    before = start.groupby("norm")[["top_eigenvalue", "trace"]].median().replace([np.inf, -np.inf], np.nan)
    left, right = axes
    for ax, quantity in ((left, "top_eigenvalue"), (right, "trace")):
        for norm, colour in palette.items():
            for mode, of_mode in sound[sound["norm"] == norm].dropna(subset=quantity).groupby("bn_mode"):
                shape = "s" if mode == "eval" else "o"
                ax.plot(of_mode["alpha"], of_mode[quantity], shape, color=colour, **DOT)
                median = of_mode.groupby("alpha")[quantity].median()
                ax.plot(median.index, median, **{"color": colour, "linewidth": 1.2} | _look(mode))
            if norm in before.index and np.isfinite(before.loc[norm, quantity]):
                ax.axhline(before.loc[norm, quantity], color=colour, **START)
        ax.set(xscale="log", xlabel="learning rate α")
        style.ticks_at(ax.xaxis, end["alpha"])
    span = np.geomspace(end["alpha"].min(), end["alpha"].max(), 50)
    seen = pd.concat([before["top_eigenvalue"], sound["top_eigenvalue"]])
    if len(positive(seen)):
        style.logarithmic(left.yaxis, positive_part := seen[seen > 0])
        left.set_ylim(positive_part.min() / 1.8, positive_part.max() * 1.8)
    left.plot(span, 2 / span, scaley=False, **EDGE)
    _scale_of_traces(right, pd.concat([before["trace"], sound["trace"]]).dropna())
    for ax in axes:
        ax.minorticks_off()
        _counts(ax, end[end["failure"] != ""], palette)
    left.set_ylabel(r"sharpness $\lambda_\mathrm{max}$")
    right.set_ylabel("trace of the Hessian")


def _scale_of_traces(ax: Axes, traces: pd.Series) -> None:
    """Logarithmic; symmetrically so for both signs, as a trace is often thousands of times larger before training."""
    sizes = traces.abs()[traces != 0]
    if (traces > 0).all():
        if len(traces):
            style.logarithmic(ax.yaxis, traces)
    elif len(sizes):
        ax.set_yscale("symlog", linthresh=10.0 ** math.floor(math.log10(sizes.median())))
        low, high = ax.get_ylim()
        ax.set_ylim(min(2 * low, 0), high)


def _counts(ax: Axes, failed: pd.DataFrame, palette: dict[str, str]) -> None:
    """How many seeds failed at each α, a line for each norm, above the panel: they have no place on its axis."""
    norms = [norm for norm in palette if norm in set(failed["norm"])]
    for height, norm in enumerate(reversed(norms)):
        for alpha, runs in failed[failed["norm"] == norm].groupby("alpha"):
            place: style.Look = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "bottom"}
            ax.text(
                alpha, 1.01 + 0.09 * height, f"×{runs['seed'].nunique()}", fontsize=6.5, color=palette[norm], **place
            )


def _epochs(end: pd.DataFrame) -> str:
    """How long the networks drawn were trained."""
    epochs = style.span(end["epoch"].drop_duplicates(), ".0f")
    return f"{epochs} epoch" if epochs == "1" else f"{epochs} epochs"


def _title(drawn: pd.DataFrame) -> str:
    """What is drawn, in words."""
    sizes = "/".join(str(size) for size in sorted(drawn["batch_size"].unique()))
    facts = drawn.iloc[0]
    what = f"{network(facts['arch'])} on {data(facts['dataset'])}, {initialisation(facts['init'])}, B = {sizes}"
    modes = " and ".join(mode for mode in ("train", "eval") if mode in set(drawn["bn_mode"]))
    partition = f"Hessian over mini-batches of {listed(drawn['partition'])} images"
    return f"{what}\n{partition}" + (f", batch norm in {modes} mode" if modes else "")
