"""The condition number of the input–output Jacobian against depth, and those of products of Gaussian matrices."""

import math
from itertools import product

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import span
from understanding_bn.figures.titles import count, listed
from understanding_bn.measurements.jacobian_conditioning import NETWORK
from understanding_bn.summaries.jacobian_conditioning import COLUMNS, conditions, slopes, theory

__all__ = ["COLUMNS", "draw"]

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
# What can be drawn, and how its axis is called: the second where the first is infinite throughout.
RATIOS = {
    "log10_condition": r"condition number $\sigma_1/\sigma_N$",
    "log10_median_ratio": r"$\sigma_1$ / median $\sigma$  ($\sigma_1/\sigma_N$ is $\infty$)",
}
DOT: style.Look = {"markersize": 3, "mew": 0, "alpha": 0.6}
LAW: style.Look = {"color": "0.35", "linestyle": "--", "linewidth": 1}
# Products of Gaussian matrices of the networks' own sizes, by their kind.
PRODUCTS: dict[str, tuple[str, style.Look]] = {
    "gaussian_masked": ("with half masks", {"color": "black", "linestyle": (0, (5, 1)), "linewidth": 1.4}),
    "gaussian": ("without masks", {"color": "black", "linestyle": ":", "linewidth": 1.4}),
}
MODE = ["norm", "bn_mode", "batch_size"]
Mode = tuple[str, str, int]
MARKERS = ("o", "s", "^", "D", "v", "P")  # of a norm, BN mode and B, in order


def draw(jacobian_conditioning: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row for each kind of shortcut, with a panel for each norm, BN mode and B; below, the slopes if depths vary.

    Dots are seeds and images, lines their medians. What is infinite to working precision is a circle on a line at the
    top, with its rank. Where every condition number is, σ₁ over the median singular value is drawn instead. Products of
    Gaussian matrices of plain networks' sizes are lines beside these, where they were measured. The summary has the
    slopes of both ratios, and how many Jacobians are not finite, which are not drawn.

    Raises:
        NothingToShow: no Jacobian is finite and has a direction that passes.
    """
    found = conditions(jacobian_conditioning)
    networks = found["kind"] == NETWORK
    if not (found.loc[networks, "rank"] > 0).any():
        raise NothingToShow("No Jacobian has finite singular values and a direction that passes through the network.")
    summary, table, products = slopes(found), found[networks & found["finite"]], found[~networks]
    known = summary[summary["matrices"] > summary["not_finite"]]
    quantity = next((ratio for ratio in RATIOS if table[ratio].notna().any()), "log10_condition")
    modes = _modes(table)
    sizes = table["batch_size"].nunique() > 1
    shortcuts = [kind for kind in SHORTCUTS if kind in set(table["shortcut"])]
    inits = [init for init in INITS if init in set(table["init"])]
    inits += sorted(set(table["init"]) - set(inits))
    highest = table[quantity].max()
    top = 1.0 if math.isnan(highest) else float(math.ceil(highest + 0.5))
    depths = sorted(table["depth"].unique().tolist())
    sloped = len(depths) > 1
    figure = plt.figure(figsize=(style.WIDTH, 1.1 + 1.9 * len(shortcuts) + 1.9 * sloped))
    grid = figure.add_gridspec(len(shortcuts) + sloped, len(modes) * len(shortcuts))
    theorised = False
    axes: list[Axes] = []
    for row, shortcut in enumerate(shortcuts):
        of_kind = table[table["shortcut"] == shortcut]
        chains = products[products["shortcut"] == shortcut]
        for column, mode in enumerate(modes):
            place = grid[row, column * len(shortcuts) : (column + 1) * len(shortcuts)]
            ax = figure.add_subplot(place, sharex=axes[0] if axes else None)
            axes.append(ax)
            of_mode = of_kind[(of_kind[MODE] == list(mode)).all(axis=1)]
            if of_mode.empty:
                ax.set_axis_off()
                continue
            theorised |= _panel(ax, of_mode, chains, depths, inits, top, quantity)
            if row == 0:
                ax.set_title(_name(mode, sizes, "\n"))
            if column == 0:
                ax.set_ylabel(f"{SHORTCUTS[shortcut]}\n{RATIOS[quantity]}")
            ax.tick_params(labelleft=column == 0, labelbottom=row == len(shortcuts) - 1)
            if row == len(shortcuts) - 1:
                ax.set_xlabel("depth (layers)")
    for column, shortcut in enumerate(shortcuts if sloped else []):
        place = grid[-1, column * len(modes) : (column + 1) * len(modes)]
        ax = figure.add_subplot(place, sharex=axes[-1] if column else None)
        axes.append(ax)
        _slopes(ax, known[known["shortcut"] == shortcut], modes, inits, quantity)
        ax.set_title(f"{SHORTCUTS[shortcut]}: {ax.get_title()}")
    _key(figure, table, inits, modes if sloped else [], set(products["kind"]), quantity, theorised)
    return figure, {"": found, "summary": summary}


def _modes(table: pd.DataFrame) -> list[Mode]:
    """The (norm, bn_mode, batch_size) present: no norm, batch norm in train and in eval mode, others; B ascends."""
    present = set(table[MODE].itertuples(index=False, name=None))
    norms = sorted(style.ordered(table["norm"]), key=lambda norm: norm != "none")
    order = {pair: position for position, pair in enumerate(product(norms, ("none", "train", "eval")))}
    return sorted(present, key=lambda mode: (order[mode[:2]], mode[2]))


def _name(mode: Mode, sizes: bool, between: str = " ") -> str:
    """What the figure calls a norm in a BN mode, with B where `sizes` vary."""
    norm, bn_mode, batch_size = mode
    if bn_mode == "none":
        return style.label(norm)
    return f"{style.label(norm)},{between}{bn_mode}" + (f", B = {batch_size}" if sizes else " mode")


def _look(init: str) -> tuple[str, str]:
    """Label and colour of an initialisation."""
    return INITS.get(init, (init.replace("_", " "), "#999933"))


def _panel(
    ax: Axes,
    networks: pd.DataFrame,
    products: pd.DataFrame,
    depths: list[int],
    inits: list[str],
    top: float,
    quantity: str,
) -> bool:
    """log10 of the ratios of one kind of network, and of products of Gaussian matrices.

    Theorem 1's soon leaves the panel. Whether any of it is in it.
    """
    ceiling = 1.08 * top
    # Initialisations are side by side, so that they do not hide one another.
    shift = networks["init"].map(inits.index) - (len(inits) - 1) / 2
    networks = networks.assign(place=networks["depth"] + 0.012 * max(depths) * shift, ratio=networks[quantity])
    whole = networks.groupby(["init", "depth"])["ratio"].transform(lambda ratios: ratios.notna().all())
    for init in inits:
        of_init = networks[networks["init"] == init]
        ax.plot(of_init["place"], of_init["ratio"], "o", color=_look(init)[1], **DOT)
        median = of_init[whole[of_init.index]].groupby("place")["ratio"].median()
        ax.plot(median.index, median, color=_look(init)[1], linewidth=1.2)
    for kind, (_, look) in PRODUCTS.items():
        ratios = products[products["kind"] == kind].groupby("depth")[quantity].median()
        ax.plot(ratios.index, ratios, **look)
    infinite = networks[networks["ratio"].isna()]
    for number, (init, of_init) in enumerate(infinite.groupby(infinite["init"].map(inits.index))):
        name, colour = _look(inits[init])
        places = of_init["place"].unique()
        ax.plot(places, np.full(len(places), ceiling), "o", color=colour, mfc="white", markersize=3.5)
        text = f"{name}: rank {span(of_init['rank'], 6)}"
        place: style.Look = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        place |= {"ha": "right", "va": "top"}
        ax.annotate(text, (1, ceiling), (0, -6 - 7 * number), fontsize=6, color=colour, **place)
    if len(infinite):
        ax.axhline(ceiling, color="0.7", linewidth=0.6, zorder=0)
    ax.set(xlim=(0, 1.08 * max(depths)), ylim=(0, 1.15 * top), ylabel="")
    apart = depths[-1:]  # from the deepest on, those that leave room for their numbers
    for depth in reversed(depths):
        apart += [depth] * (apart[-1] - depth >= 0.2 * depths[-1])
    ax.set_xticks(apart, [str(depth) for depth in apart])
    if quantity != "log10_condition":
        text = f"rank {span(networks['rank'], 6)} of {listed(networks['size'])}"
        ax.text(0.97, 0.03, text, fontsize=6, color=keys.GREY, ha="right", transform=ax.transAxes)
    ticks = np.arange(0, top + 1, max(1, round(top / 6)))
    ticks = ticks[ticks <= (0.95 * top if len(infinite) else top)]
    infinity = ([ceiling], ["∞"]) if len(infinite) else ([], [])
    ax.set_yticks([*ticks, *infinity[0]], [*(f"$10^{{{tick:.0f}}}$" for tick in ticks), *infinity[1]])
    return _theory(ax, int(networks["size"].max()), max(depths), top, [*RATIOS].index(quantity))


def _theory(ax: Axes, size: int, deepest: int, top: float, which: int) -> bool:
    """Theorem 1's log10 of a ratio against depth, up to the top: above it is infinity. Whether any of it is there."""
    depths, expected = [2], [theory(2, size)[which]]
    while expected[-1] < top and depths[-1] < deepest:
        depths.append(depths[-1] + 1)
        expected.append(theory(depths[-1], size)[which])
    if expected[0] >= top or len(depths) < 2:
        return False
    reached = np.interp(min(top, expected[-1]), expected, depths)
    ax.plot([*depths[:-1], reached], np.minimum(expected, top), **LAW)
    return True


def _slopes(ax: Axes, summary: pd.DataFrame, modes: list[Mode], inits: list[str], quantity: str) -> None:
    """Slopes and intervals: a place for each initialisation, a marker for each norm, BN mode and B; of products too."""
    name = quantity.removeprefix("log10_")
    for kind, (_, look) in PRODUCTS.items():
        beside = summary[[f"{name}_{kind}", f"{name}_{kind}_low", f"{name}_{kind}_high"]].dropna()
        if len(beside):  # the same product beside each network of these depths
            slope, low, high = beside.mean()
            ax.axvspan(low, high, color="0.85", linewidth=0, zorder=0)
            ax.axvline(slope, **look)
    for row in summary.to_dict("records"):
        order = modes.index((row["norm"], row["bn_mode"], row["batch_size"]))
        y = inits.index(row["init"]) + 0.75 / len(modes) * (order - (len(modes) - 1) / 2)
        colour = _look(row["init"])[1]
        ax.plot([row[f"{name}_low"], row[f"{name}_high"]], [y, y], "-", color=colour)
        ax.plot(row[f"{name}_slope"], y, MARKERS[order % len(MARKERS)], color=colour, markersize=3.5, mew=0)
    for number, init in enumerate(inits):
        of_init = summary[summary["init"] == init]
        if of_init[f"{name}_slope"].isna().all() and of_init[f"{name}_theory"].notna().any():
            label, colour = _look(init)
            place: style.Look = {"ha": "center", "va": "center", "transform": ax.get_yaxis_transform()}
            ax.text(0.5, number, f"{label}: ∞", fontsize=6, color=colour, **place)
    theory = summary[f"{name}_theory"].mean()
    ax.set(ylim=(len(inits) - 0.5, -0.5), title="slopes" + ("" if np.isnan(theory) else f" (Theorem 1: {theory:.2f})"))
    ax.set(xlabel="decades per layer", yticks=[])
    ax.axvline(0, color="0.6", linewidth=0.7)


def _key(
    figure: Figure,
    table: pd.DataFrame,
    inits: list[str],
    modes: list[Mode],
    products: set[str],
    quantity: str,
    theorised: bool,
) -> None:
    """Colours of initialisations, what the marks are, and those of the slopes if there are any."""
    finite = set(table.loc[table[quantity].notna(), "init"])
    circle = {"marker": "o", "mfc": "white", "markersize": 3.5, "linestyle": ""}
    colours: keys.Group = {
        _look(init)[0]: keys.line(color=_look(init)[1], **({"linewidth": 1.6} if init in finite else circle))
        for init in inits
    }
    images = table["image"].nunique()
    sizes = table["batch_size"].nunique() > 1
    setting = count(table["seed"].nunique(), "seed") + ("" if sizes else f", B = {listed(table['batch_size'])}")
    marks: keys.Group = {"median": keys.line(), "one seed" + " and image" * (images > 1): keys.marker("o", **DOT)}
    if table[quantity].isna().any():
        marks["∞: rank below N"] = keys.line(**circle)
    if theorised:
        marks[f"Theorem 1, N = {listed(table['size'])}"] = keys.line(**LAW)
    chains: keys.Group = {text: keys.line(**look) for kind, (text, look) in PRODUCTS.items() if kind in products}
    means: keys.Group = {
        _name(mode, sizes): keys.marker(MARKERS[order % len(MARKERS)], markersize=3.5)
        for order, mode in enumerate(modes)
    }
    groups = {"initialisation": colours, setting: marks, "Gaussian, own sizes": chains, "slopes, 95 % interval": means}
    keys.key(figure, groups)
