"""How input gradients correlate at neighbouring inputs, against depth, at initialisation."""

import math

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain, positive
from understanding_bn.figures.titles import count, initialisation, listed
from understanding_bn.summaries.gradient_correlation import COLUMNS, by_depth, fits, means

__all__ = ["COLUMNS", "draw"]

SHORTCUTS = {"none": "plain", "projection": "residual", "padding": "residual, padded"}
# By BN mode; "none" is that of networks without batch statistics.
MODES: dict[str, tuple[str, style.Look]] = {
    "train": ("train: the batch's own", {"linestyle": "-"}),
    "eval": ("eval: held fixed", {"linestyle": (0, (1, 1))}),
    "none": ("", {"linestyle": "-"}),
}


def draw(gradient_correlation: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row for each kind of shortcut, a column for each step; the first initialisation.

    The correlation's axis is logarithmic. Depth's is linear for plain networks, where an exponential is a straight
    line, and logarithmic for residual ones, where a power is. Thin lines are seeds, thick ones their geometric means. A
    correlation that is not resolved (see `by_depth`) is not drawn, and a depth at which some seed has none has no mean.
    The text above a panel has the fits of networks
    with batch norm in train mode and of those without. The CSV has every network, `fits` every seed's, `summary` their
    means with intervals.

    Raises:
        NothingToShow: no correlation is resolved.
    """
    table = by_depth(gradient_correlation)
    shown = table[table["init"] == table["init"].iloc[0]] if len(table) else table
    if not len(positive(shown.loc[shown["resolved"], "correlation"])):
        raise NothingToShow("No correlation of gradients is above twice its standard error, so none has a logarithm.")
    by_seed = fits(table)
    summary = means(by_seed)
    palette = style.colours(style.ordered(shown["norm"]))
    families = [shortcut for shortcut in SHORTCUTS if shortcut in set(shown["shortcut"])]
    steps = sorted(shown["step"].unique())
    size = style.WIDTH * min(1, 0.2 + 0.4 * len(steps)), 0.9 + 2.0 * len(families)
    figure, axes = plt.subplots(len(families), len(steps), figsize=size, squeeze=False, sharex="row", sharey="col")
    for row, shortcut in zip(axes, families, strict=True):
        for ax, step in zip(row, steps, strict=True):
            part = shown[(shown["shortcut"] == shortcut) & (shown["step"] == step)]
            _panel(ax, part, palette)
            fitted = summary[(summary["shortcut"] == shortcut) & (summary["step"] == step)]
            fitted = fitted[(fitted["init"] == shown["init"].iloc[0]) & (fitted["bn_mode"] != "eval")]
            said = [_fit(fit) for fit in fitted.to_dict("records")]
            ax.set_title("\n".join([f"{SHORTCUTS[shortcut]}, {_named(step)}", *filter(None, said)]), fontsize=7)
        of_family = shown.loc[shown["shortcut"] == shortcut, "depth"]
        row[0].set_xscale("linear" if shortcut == "none" else "log")
        style.ticks_at(row[0].xaxis, _apart(of_family, linear=shortcut == "none"))
        row[0].set_ylabel("correlation of gradients")
    for column, step in zip(axes.T, steps, strict=True):
        style.logarithmic(column[0].yaxis, shown.loc[shown["resolved"] & (shown["step"] == step), "correlation"])
        column[-1].set_xlabel("depth (layers)")
    for ax in axes.flat:
        ax.minorticks_off()
    _key(figure, shown, palette)
    return figure, {"": table, "fits": by_seed, "summary": summary}


def _named(step: float) -> str:
    """What a step is called: `1 % of the way`, or `another image`."""
    return "another image" if step == 1 else f"{plain(100 * step)} % of the way"


def _fit(fit: dict[str, float | str]) -> str:
    """The better known fit of a kind of network, as its panel's axes have it: `batch norm: R² = 0.98, −0.1 a layer`."""
    name = style.label(str(fit["norm"]))
    if math.isnan(float(fit["rate"])):
        return f"{name}: no fit"
    if fit["shortcut"] == "none":
        r2 = "" if math.isnan(float(fit["exponential_r2"])) else f", R² {float(fit['exponential_r2']):.2f}"
        return f"{name}: {plain(float(fit['rate']), 2)} a layer{r2}"
    r2 = "" if math.isnan(float(fit["power_r2"])) else f", R² {float(fit['power_r2']):.2f}"
    return f"{name}: exponent {plain(float(fit['exponent']), 2)}{r2}"


def _apart(depths: pd.Series, linear: bool) -> pd.Series:
    """Those depths whose numbers do not run into each other, from the deepest on."""
    places = np.unique(depths)[::-1]
    apart = [places[0]]
    for depth in places[1:]:
        room = apart[-1] - depth >= 0.14 * places[0] if linear else apart[-1] >= 1.3 * depth
        apart += [depth] * bool(room)
    return pd.Series(apart)


def _panel(ax: Axes, part: pd.DataFrame, palette: dict[str, str]) -> None:
    """Each seed and their mean against depth, for each norm and BN mode."""
    for norm, colour in palette.items():
        for mode, (_, look) in MODES.items():
            rows = part[(part["norm"] == norm) & (part["bn_mode"] == mode)]
            if rows.empty:
                continue
            rows = rows.assign(correlation=rows["correlation"].where(rows["resolved"]))
            wide = rows.pivot_table(index="depth", columns="seed", values="correlation", dropna=False)
            ax.plot(wide.index, wide, color=colour, linestyle=look["linestyle"], **style.SEED)
            mean = np.exp(np.log(wide).mean(axis=1, skipna=False))
            ax.plot(mean.index, mean, marker="o", markersize=2.5, color=colour, linewidth=1.3, **look)


def _key(figure: Figure, shown: pd.DataFrame, palette: dict[str, str]) -> None:
    """Colours are norms, line styles BN modes; which networks, and how many seeds."""
    seeds = shown["seed"].nunique()
    lines: keys.Group = {f"mean of {count(seeds, 'seed')}": keys.line(marker="o", markersize=2.5)}
    if seeds > 1:
        lines["one seed"] = keys.line(**style.SEED)
    setting = f"{initialisation(shown['init'].iloc[0])}, B = {listed(shown['batch_size'])}"
    modes: keys.Group = {
        name: keys.line(**look) for mode, (name, look) in MODES.items() if name and mode in set(shown["bn_mode"])
    }
    keys.key(figure, {"norm": keys.norms(palette), setting: lines, "moments of batch norm": modes})
