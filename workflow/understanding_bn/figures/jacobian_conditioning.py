"""The condition number of the input–output Jacobian against depth, and that of a product of Gaussian matrices."""

import math

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from understanding_bn.figures import style
from understanding_bn.summaries.jacobian_conditioning import conditions, slopes, theory

SHORTCUTS = {"projection": "with shortcuts", "padding": "zero-padded shortcuts", "none": "without shortcuts"}
# Label and colour of an initialisation, of Okabe & Ito's palette.
INITS = {
    "xavier_uniform": ("Xavier", "#0072B2"),
    "xavier_normal": ("Xavier, normal", "#56B4E9"),
    "xavier_convolutions": ("Xavier, convolutions", "#882255"),
    "kaiming": ("Kaiming", "#E69F00"),
    "orthogonal": ("orthogonal", "#009E73"),
    "delta_orthogonal": ("delta-orthogonal", "#000000"),
    "fixup": ("Fixup", "#CC79A7"),
    "branch_scaled": ("branches × 1/√L", "#D55E00"),
}
MARKERS = ("o", "s", "^", "D", "v", "P")  # of a norm and BN mode, in order


def draw(jacobian_conditioning: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row for each kind of shortcut; a column for each norm and BN mode, and one for the slopes.

    Dots are seeds and images, lines their medians. What is infinite to working precision is a circle on a line at the
    top, with its rank. The summary has the slopes.
    """
    table = conditions(jacobian_conditioning)
    summary = slopes(table)
    modes = _modes(table)
    shortcuts = [kind for kind in SHORTCUTS if kind in set(table["shortcut"])]
    inits = [init for init in INITS if init in set(table["init"])]
    inits += sorted(set(table["init"]) - set(inits))
    highest = table["log10_condition"].max()
    top = 1.0 if math.isnan(highest) else math.ceil(highest + 0.5)
    shape, size = (len(shortcuts), len(modes) + 1), (style.WIDTH, 0.8 + 2.1 * len(shortcuts))
    figure, axes = plt.subplots(*shape, figsize=size, sharex="col", squeeze=False)
    for row, shortcut in zip(axes, shortcuts, strict=True):
        of_kind = table[table["shortcut"] == shortcut]
        for ax, (norm, bn_mode) in zip(row, modes, strict=False):
            _panel(ax, of_kind[(of_kind["norm"] == norm) & (of_kind["bn_mode"] == bn_mode)], inits, top)
            ax.set_title(f"{_name(norm, bn_mode)}\n{SHORTCUTS[shortcut]}")
            ax.tick_params(labelleft=ax is row[0])
        row[0].set_ylabel(r"condition number $\sigma_1/\sigma_N$")
        _slopes(row[-1], summary[summary["shortcut"] == shortcut], modes, inits)
    for ax in axes[-1]:
        ax.set_xlabel("depth" if ax is not axes[-1, -1] else "decades per layer")
    _legend(figure, table, inits, modes)
    return figure, {"": table, "summary": summary}


def _modes(table: pd.DataFrame) -> list[tuple[str, str]]:
    """The (norm, bn_mode) present: no norm first, then batch norm in train mode and in eval mode, then others."""
    present = set(table[["norm", "bn_mode"]].itertuples(index=False, name=None))
    known = [("none", "none"), ("batch", "train"), ("batch", "eval")]
    return [pair for pair in known if pair in present] + sorted(present - set(known))


def _name(norm: str, bn_mode: str) -> str:
    """What the figure calls a norm in a BN mode."""
    return style.label(norm) + ("" if bn_mode == "none" else f", {bn_mode} mode")


def _look(init: str) -> tuple[str, str]:
    """Label and colour of an initialisation."""
    return INITS.get(init, (init.replace("_", " "), "#999933"))


def _panel(ax: Axes, networks: pd.DataFrame, inits: list[str], top: float) -> None:
    """log10 of the condition numbers of one kind of network, and Theorem 1's, which soon leaves the panel."""
    depths = sorted(networks["depth"].unique())
    ceiling = 1.08 * top
    # Initialisations are side by side, so that they do not hide one another.
    shift = networks["init"].map(inits.index) - (len(inits) - 1) / 2
    networks = networks.assign(place=networks["depth"] + 0.012 * max(depths) * shift)
    whole = networks.groupby(["init", "depth"])["resolved"].transform("all")
    palette = {init: _look(init)[1] for init in inits}
    common = {"x": "place", "y": "log10_condition", "hue": "init", "palette": palette, "legend": False, "ax": ax}
    sns.scatterplot(networks, **style.DOTS, **common)
    if whole.any():
        sns.lineplot(networks[whole], estimator="median", errorbar=None, **common)
    infinite = networks[~networks["resolved"]]
    for number, (init, of_init) in enumerate(infinite.groupby(infinite["init"].map(inits.index))):
        name, colour = _look(inits[init])
        places = of_init["place"].unique()
        ax.plot(places, np.full(len(places), ceiling), "o", color=colour, mfc="white", markersize=3.5)
        text = f"{name}: rank {style.span(of_init['rank'].drop_duplicates(), 'd')}"
        place: style.Look = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        place |= {"ha": "right", "va": "top"}
        ax.annotate(text, (1, ceiling), (0, -6 - 7 * number), fontsize=5.5, color=colour, **place)
    _theory(ax, int(networks["size"].max()), max(depths), top)
    ax.axhline(ceiling, color="0.7", linewidth=0.6, zorder=0)
    ax.set(xlim=(0, 1.08 * max(depths)), ylim=(0, 1.15 * top), ylabel="")
    ax.set_xticks(depths, [str(depth) for depth in depths])
    ticks = np.arange(0, top + 1, max(1, round(top / 6)))
    ax.set_yticks([*ticks[ticks <= top], ceiling], [*(f"$10^{{{tick:.0f}}}$" for tick in ticks[ticks <= top]), "∞"])


def _theory(ax: Axes, size: int, deepest: int, top: float) -> None:
    """Theorem 1's log10 of the condition number against depth, up to the top: above it is infinity."""
    depths, expected = [2], [theory(2, size)[0]]
    while expected[-1] < top and depths[-1] < deepest:
        depths.append(depths[-1] + 1)
        expected.append(theory(depths[-1], size)[0])
    reached = np.interp(top, expected, depths)
    ax.plot([*depths[:-1], reached], np.minimum(expected, top), "--", color="0.35", linewidth=1)


def _slopes(ax: Axes, summary: pd.DataFrame, modes: list[tuple[str, str]], inits: list[str]) -> None:
    """Slopes and their intervals: a line of the panel for each initialisation, a marker for each norm and BN mode."""
    for row in summary.itertuples():
        order = modes.index((row.norm, row.bn_mode))
        y = inits.index(row.init) + 0.2 * (order - (len(modes) - 1) / 2)
        colour = _look(row.init)[1]
        ax.plot([row.condition_low, row.condition_high], [y, y], "-", color=colour)
        ax.plot(row.condition_slope, y, MARKERS[order % len(MARKERS)], color=colour, markersize=3, mew=0)
    for number, init in enumerate(inits):
        of_init = summary[summary["init"] == init]
        if of_init["condition_slope"].isna().all() and of_init["condition_theory"].notna().any():
            name, colour = _look(init)
            place: style.Look = {"ha": "center", "va": "center", "transform": ax.get_yaxis_transform()}
            ax.text(0.5, number, f"{name}: ∞", fontsize=5.5, color=colour, **place)
    theory = summary["condition_theory"].mean()
    title = "one depth: no slopes" if np.isnan(theory) else f"slopes (Theorem 1: {theory:.2f})"
    ax.set(ylim=(len(inits) - 0.5, -0.5), title=title)
    ax.set_yticks([])
    ax.axvline(0, color="0.6", linewidth=0.7)


def _legend(figure: Figure, table: pd.DataFrame, inits: list[str], modes: list[tuple[str, str]]) -> None:
    """One legend below all panels: colours, the theory, and the slopes' markers."""
    batch = ", ".join(map(str, sorted(table["batch_size"].unique())))
    images = table["image"].nunique()
    sizes = sorted(table["size"].unique())
    lines = [Line2D([], [], color=colour, label=name) for name, colour in map(_look, inits)]
    text = f"Theorem 1, N = {', '.join(map(str, sizes))}"
    lines.append(Line2D([], [], color="0.35", linestyle="--", label=text))
    lines.append(Line2D([], [], color="0.35", marker="o", mfc="white", markersize=3.5, linestyle="", label="rank < N"))
    for order, mode in enumerate(modes):
        marker = MARKERS[order % len(MARKERS)]
        lines.append(Line2D([], [], color="0.35", marker=marker, markersize=3, linestyle="", label=_name(*mode)))
    title = f"{table['seed'].nunique()} seeds, {images} image{'s' * (images > 1)} of each, mini-batches of B = {batch}"
    figure.legend(handles=lines, loc="outside lower center", ncols=5, title=title, title_fontsize=7)
