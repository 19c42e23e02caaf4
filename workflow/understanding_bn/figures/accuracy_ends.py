"""The right-hand panels of Fig. 1: final test accuracy by learning rate, and how many seeds failed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from understanding_bn.figures import style
from understanding_bn.figures.numbers import plain

CLOSEST = 0.02  # points below 100 % at which the axis ends
TICKS = (20, 50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95)  # percent
FINER = (*range(10, 90, 10), 85, *range(90, 99), 98.5, *(99 + 0.1 * tenth for tenth in range(10)))
MARKS = {"overflow": "×", "NaN": "×", "stuck at chance": "+"}  # before how many seeds failed in this way
LINE = 0.095  # height of a line of the counts, as a share of the panel

Places = dict[tuple[str, float], float]  # x by norm and α


def places(norms: list[str], alphas: list[float]) -> Places:
    """Where each norm and α stands: learning rates one after the other, the norms of one side by side."""
    step = min(0.2, 0.75 / len(norms))
    middle = (len(norms) - 1) / 2
    return {(n, a): x + (i - middle) * step for x, a in enumerate(alphas) for i, n in enumerate(norms)}


def magnify(ax: Axes, percents: Sequence[float], lines: int) -> None:
    """An axis of accuracy that is logarithmic in the error, so that 96 and 99 % stand as far apart as 84 and 96 %.

    Below the least accuracy there is room for so many lines of counts.
    """
    scale = (lambda shown: -np.log10(np.clip(100 - shown, CLOSEST, None)), lambda place: 100 - 10.0**-place)
    ax.set_yscale("function", functions=scale)
    errors = np.clip(100 - np.array(percents, dtype=float), CLOSEST, 100)
    worst, best = (errors.max(), errors.min()) if len(errors) else (90, 10)
    room = max(worst / best, 2) ** 0.05
    worst, best = min(100, worst * room), max(CLOSEST, best / room)
    decades = np.log10(worst / best)
    ax.set_ylim(100 - worst * 10 ** (decades * LINE * lines / (1 - LINE * lines)), 100 - best)
    ticks = _ticks(TICKS, worst, best)
    ticks = ticks if len(ticks) > 3 else max(ticks, _ticks(FINER, worst, best), key=len)
    ax.set_yticks(ticks, [plain(tick, 4) for tick in ticks])


def _ticks(candidates: tuple[float, ...], worst: float, best: float) -> list[float]:
    """Those between two errors, at least a tenth of the axis apart."""
    ticks: list[float] = []
    for tick in candidates:
        apart = np.log((100 - ticks[-1]) / (100 - tick)) / np.log(worst / best) if ticks else 1
        if best <= 100 - tick <= worst and apart >= 0.1:
            ticks.append(tick)
    return ticks


def draw(ax: Axes, ends: pd.DataFrame, where: Places, palette: dict[str, str], shapes: dict[float, str]) -> None:
    """Mean and seeds of every cell in which some seed learned; below them, how many failed."""
    sound = ends[ends["failure"].isna()].assign(percent=lambda runs: 100 * runs["test_accuracy"].astype(float))
    for norm, of_norm in sound.groupby("norm"):
        colour = palette[norm]
        for alpha, seeds in of_norm.groupby("alpha"):
            x = where[norm, alpha]
            ax.plot([x] * len(seeds), seeds["percent"], "_", color=colour, markersize=5, alpha=0.7)
            ax.plot(x, seeds["percent"].mean(), shapes[alpha], color=colour, markersize=4)
        means = of_norm.groupby("alpha")["percent"].mean()
        ax.plot([where[norm, alpha] for alpha in means.index], means, color=colour, linewidth=0.7)
    lines = failures(ends)
    if lines:
        ax.add_patch(Rectangle((0, 0), 1, LINE * len(lines), transform=ax.transAxes, facecolor="0.93", zorder=0))
    alphas = {alpha: round(x) for (_, alpha), x in where.items()}
    for height, (norm, texts) in enumerate(lines.items()):
        for alpha, text in texts.items():
            look: style.Look = {"color": palette[norm], "fontsize": 6.5, "ha": "center", "va": "center"}
            ax.text(alphas[alpha], LINE * (height + 0.5), text, transform=ax.get_xaxis_transform(), **look)


def failures(ends: pd.DataFrame) -> dict[str, dict[float, str]]:
    """By norm and α, how many seeds failed in each way: "×2 +1"."""
    failed = ends[ends["failure"].notna()]
    counted: dict[str, dict[float, str]] = {}
    for norm in style.ordered(failed["norm"]):
        for alpha, runs in failed[failed["norm"] == norm].groupby("alpha"):
            counts = runs["failure"].map(MARKS).value_counts()
            text = " ".join(f"{mark}{counts[mark]}" for mark in dict.fromkeys(MARKS.values()) if mark in counts)
            counted.setdefault(norm, {})[alpha] = text
    return counted
