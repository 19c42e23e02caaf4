"""The largest stable learning rate against depth, and against the initialisation."""

import math

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn import architecture
from understanding_bn.figures import style

KEYS = ["norm", "init", "arch", "seed"]
COLUMNS = ["norm", "init", "depth", "seed", "alpha", "limit", "fails_by"]


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Left against depth, right against the initialisation; dots are seeds, lines their median.

    `values`: columns of `analysis.max_learning_rate`. The summary has every learning rate tried and its outcome.
    """
    table = found(values)
    norms = style.ordered(table["norm"])
    palette = style.colours(norms)
    by_depth, by_init = varied(table, "depth"), varied(table, "init")
    inits = list(dict.fromkeys(by_init["init"]))
    figure, (left, right) = plt.subplots(1, 2, figsize=(style.WIDTH, 2.7), sharey=True)
    for offset, norm in zip(np.linspace(-1, 1, len(norms)) if len(norms) > 1 else [0], norms, strict=True):
        here = by_depth[by_depth["norm"] == norm]
        _points(left, here["depth"] * 1.03**offset, here, palette[norm])
        median = here.groupby("depth")["alpha"].median().dropna()
        left.plot(median.index, median, "-", color=palette[norm], label=style.label(norm))
        here = by_init[by_init["norm"] == norm]
        _points(right, here["init"].map(inits.index) + 0.12 * offset, here, palette[norm])
    depths = sorted(by_depth["depth"].unique())
    left.set(xscale="log", yscale="log", xlabel="depth", ylabel="largest stable learning rate α")
    left.set_xticks(depths, [str(depth) for depth in depths])
    left.minorticks_off()
    left.set_title(", ".join(by_depth["init"].unique()))
    right.set_xticks(range(len(inits)), [init.replace("_", "\n") for init in inits])
    right.set_xlim(-0.5, len(inits) - 0.5)
    right.set_title(f"depth {', '.join(str(depth) for depth in by_init['depth'].unique())}")
    facts = values.iloc[0]
    title = f"{values['seed'].nunique()} seeds, B = {facts['batch_size']}, {facts['updates']} updates"
    left.legend(loc="best", title=title, title_fontsize=6.5)
    return figure, {
        "": table[COLUMNS],
        "summary": values[[*KEYS, "batch_size", "updates", "alpha", "outcome", "update"]],
    }


def found(values: pd.DataFrame) -> pd.DataFrame:
    """The largest stable α of every search (see `largest_stable`), with depth."""
    table = largest_stable(values, KEYS)
    return table.assign(depth=table["arch"].map(architecture.depth))


def largest_stable(trials: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """One row per search, a search being a value of `keys`: alpha, the largest stable one, and limit.

    Where no α of the grid was stable, alpha is NaN and limit is "below"; where even the largest was, limit is
    "above": the true value is at least alpha. Otherwise limit is "".
    """
    rows = []
    for key, search in trials.groupby(keys, sort=False):
        stable = search["alpha"][search["outcome"] == "stable"]
        unstable = search["alpha"][search["outcome"] != "stable"]
        limit = "below" if stable.empty else "above" if unstable.empty else ""
        first_bad = search.loc[unstable.idxmin(), "outcome"] if len(unstable) else ""
        alpha = stable.max() if len(stable) else math.nan
        rows.append((*key, alpha, limit, first_bad))
    return pd.DataFrame(rows, columns=[*keys, "alpha", "limit", "fails_by"])


def varied(table: pd.DataFrame, factor: str) -> pd.DataFrame:
    """The rows in which only `factor` ("depth" or "init") varies: the other one is that of most searches."""
    other = "init" if factor == "depth" else "depth"
    kept = table.groupby(other)[factor].nunique().idxmax()
    return table[table[other] == kept].sort_values([factor, "norm", "seed"], key=_main_first)


def _main_first(column: pd.Series) -> pd.Series:
    """Sort key: initialisations by name with Xavier first, everything else as it is."""
    return column.map(lambda v: (not v.startswith("xavier"), v)) if column.name == "init" else column


def _points(ax: Axes, x: pd.Series, here: pd.DataFrame, colour: str) -> None:
    """A dot for each seed; an arrow up where every α of the grid was stable."""
    for limit, marker in (("", "."), ("above", "^")):
        chosen = here["limit"] == limit
        ax.plot(x[chosen], here["alpha"][chosen], marker, color=colour, markersize=4, alpha=0.6)
