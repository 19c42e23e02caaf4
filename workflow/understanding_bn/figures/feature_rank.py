"""The effective rank of a mini-batch's features at initialisation, against depth."""

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
from understanding_bn.summaries.feature_rank import COLUMNS, kept, means, ranks

__all__ = ["COLUMNS", "draw"]

SHORTCUTS = {"none": "plain", "projection": "residual", "padding": "residual, padded"}


def draw(feature_rank: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A panel for each kind of shortcut that was measured, both axes logarithmic, for the first initialisation.

    Thin lines are seeds, thick ones their geometric means. The text above a panel compares the deepest network with the
    shallowest. The CSV has every network, `kept` that comparison for each seed, `summary` its mean with an interval.

    Raises:
        NothingToShow: no network has features of a rank above one.
    """
    table = ranks(feature_rank)
    shown = table[table["init"] == table["init"].iloc[0]] if len(table) else table
    if not len(positive(shown["beyond_one"])):
        raise NothingToShow("No network has finite features of a rank above one.")
    shallow, deep = int(table["depth"].min()), int(table["depth"].max())
    by_seed = kept(table, shallow, deep)
    summary = means(by_seed)
    palette = style.colours(style.ordered(shown["norm"]))
    families = [shortcut for shortcut in SHORTCUTS if shortcut in set(shown["shortcut"])]
    figure, axes = plt.subplots(
        1, len(families), figsize=(style.WIDTH * (0.6, 1)[len(families) > 1], 2.9), sharey=True, squeeze=False
    )
    for shortcut, ax in zip(families, axes[0], strict=True):
        of_family = shown[shown["shortcut"] == shortcut]
        _panel(ax, of_family, palette)
        said = [_kept(norm, summary, shortcut, shown["init"].iloc[0], shallow, deep) for norm in palette]
        ax.set_title("\n".join([SHORTCUTS[shortcut], *filter(None, said)]), fontsize=7)
    style.logarithmic(axes[0, 0].yaxis, shown["beyond_one"])
    axes[0, 0].minorticks_off()
    axes[0, 0].set_ylabel("effective rank of the features − 1")
    _key(figure, shown, palette)
    return figure, {"": table, "kept": by_seed, "summary": summary}


def _kept(norm: str, summary: pd.DataFrame, shortcut: str, init: str, shallow: int, deep: int) -> str:
    """What a panel says of a norm: `batch norm: depth 56 / 8 = 0.46 (0.3–0.7)`; "" where there is no such ratio."""
    chosen = summary[(summary["norm"] == norm) & (summary["shortcut"] == shortcut) & (summary["init"] == init)]
    if chosen.empty or math.isnan(chosen.iloc[0]["kept"]) or shallow == deep:
        return ""
    row = chosen.iloc[0]
    ends = "" if math.isnan(row["kept_low"]) else f" ({plain(row['kept_low'], 2)} to {plain(row['kept_high'], 2)})"
    return f"{style.label(norm)}: depth {deep} over {shallow}: {plain(row['kept'], 2)}{ends}"


def _panel(ax: Axes, family: pd.DataFrame, palette: dict[str, str]) -> None:
    """Each seed and their mean against depth, for each norm."""
    for norm, colour in palette.items():
        wide = family[family["norm"] == norm].pivot_table(
            index="depth", columns="seed", values="beyond_one", dropna=False
        )
        wide = wide.where(np.isfinite(wide) & (wide > 0))
        ax.plot(wide.index, wide, color=colour, **style.SEED)
        mean = np.exp(np.log(wide).mean(axis=1, skipna=False))
        ax.plot(mean.index, mean, marker="o", markersize=2.5, color=colour, linewidth=1.3)
    ax.set(xscale="log", xlabel="depth (layers)")
    style.ticks_at(ax.xaxis, family["depth"])


def _key(figure: Figure, shown: pd.DataFrame, palette: dict[str, str]) -> None:
    """Colours are norms; which networks, and how many seeds."""
    seeds = shown["seed"].nunique()
    lines: keys.Group = {f"mean of {count(seeds, 'seed')}": keys.line(marker="o", markersize=2.5)}
    if seeds > 1:
        lines["one seed"] = keys.line(**style.SEED)
    setting = f"{initialisation(shown['init'].iloc[0])}, B = {listed(shown['batch_size'])}"
    keys.key(figure, {"norm": keys.norms(palette), setting: lines})
