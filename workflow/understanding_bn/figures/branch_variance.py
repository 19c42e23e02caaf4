"""How large residual branches are beside their streams at initialisation, block by block."""

import math

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import positive
from understanding_bn.figures.titles import count, initialisation, listed, network
from understanding_bn.summaries.branch_variance import AFTER_RELU, COLUMNS, means, ratios, slopes

__all__ = ["COLUMNS", "draw"]

LAWS: dict[str, tuple[float, style.Look]] = {
    "1/ℓ: no ReLU after the addition": (1.0, style.LAW),
    f"{AFTER_RELU:.2f}/ℓ: with it": (AFTER_RELU, style.LAW | {"linestyle": (0, (4, 1.5))}),
}


def draw(branch_variance: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A panel for each stage of the deepest network with the first initialisation, both axes logarithmic.

    Thin lines are seeds, thick ones their geometric means. Beside them are two laws (see `AFTER_RELU`). The text above
    a panel has each norm's slope. The CSV has every network and block, `slopes` every seed's, `summary` their means
    with intervals.

    Raises:
        NothingToShow: no block has a branch and a stream that are finite and above zero.
    """
    table = ratios(branch_variance)
    shown = table[table["init"] == table["init"].iloc[0]] if len(table) else table
    shown = shown[shown["depth"] == shown["depth"].max()]
    shown = shown[shown["arch"] == shown["arch"].max()]  # of two with the same depth, that with projections
    if not len(positive(shown["ratio"])):
        raise NothingToShow("No block has a branch and a stream with a finite variance above zero.")
    by_seed = slopes(table)
    summary = means(by_seed)
    palette = style.colours(style.ordered(shown["norm"]))
    figure, axes = plt.subplots(1, 3, figsize=(style.WIDTH, 2.9), sharex=True, sharey=True)
    for stage, ax in enumerate(axes, start=1):
        _panel(ax, shown[shown["stage"] == stage], palette)
        of_stage = summary[(summary["stage"] == stage) & (summary["init"] == shown["init"].iloc[0])]
        of_stage = of_stage[of_stage["arch"] == shown["arch"].iloc[0]].set_index("norm")
        said = [f"{style.label(norm)}: {_slope(of_stage.loc[norm])}" for norm in palette if norm in of_stage.index]
        ax.set_title("\n".join([f"stage {stage}: slopes", *said]), fontsize=7)
    style.logarithmic(axes[0].yaxis, pd.Series([*positive(shown["ratio"]), 1 / shown["block"].max()]))
    style.logarithmic(axes[0].xaxis, shown["block"])
    for ax in axes:
        ax.minorticks_off()
        ax.set_xlabel("block ℓ of its stage")
    axes[0].set_ylabel("variance of branch / of stream")
    _key(figure, shown, palette)
    return figure, {"": table, "slopes": by_seed, "summary": summary}


def _slope(row: pd.Series) -> str:
    """A mean slope with its interval: `−1.05 (−1.20 to −0.90)`."""
    if math.isnan(row["slope"]):
        return "none"
    text, low, high = (style.number(row[name], "z.2f") for name in ("slope", "slope_low", "slope_high"))
    return text if math.isnan(row["slope_low"]) else f"{text} ({low} to {high})"


def _panel(ax: Axes, stage: pd.DataFrame, palette: dict[str, str]) -> None:
    """Each seed and their mean, for each norm, and the laws."""
    blocks = np.unique(stage["block"])
    for factor, look in LAWS.values():
        ax.plot(blocks, factor / blocks, zorder=1, **look)
    for norm, colour in palette.items():
        wide = stage[stage["norm"] == norm].pivot(index="block", columns="seed", values="ratio")
        wide = wide.where(np.isfinite(wide) & (wide > 0))
        ax.plot(wide.index, wide, color=colour, **style.SEED)
        mean = np.exp(np.log(wide).mean(axis=1, skipna=False))
        ax.plot(mean.index, mean, marker="o", markersize=2.5, color=colour, linewidth=1.3)


def _key(figure: Figure, shown: pd.DataFrame, palette: dict[str, str]) -> None:
    """Colours are norms; which network, how many seeds, and the laws."""
    facts = shown.iloc[0]
    seeds = shown["seed"].nunique()
    lines: keys.Group = {f"mean of {count(seeds, 'seed')}": keys.line(marker="o", markersize=2.5)}
    if seeds > 1:
        lines["one seed"] = keys.line(**style.SEED)
    setting = f"{network(facts['arch'])}, {initialisation(facts['init'])}, B = {listed(shown['batch_size'])}"
    laws: keys.Group = {name: keys.line(**look) for name, (_, look) in LAWS.items()}
    keys.key(figure, {"norm": keys.norms(palette), setting: lines, "slope −1": laws})
