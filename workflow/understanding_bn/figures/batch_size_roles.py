"""The two roles of B with batch norm: the images of an update, and those that the statistics are from (Q1)."""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.alpha_batch_grid import sharpness_of
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.titles import count, network
from understanding_bn.summaries.learning_rate_grid import CHANGE, MOVES, largest_grid, moves, roles
from understanding_bn.summaries.trained_runs import correct_images, runs

COLUMNS = ["norm", "move", *CHANGE]
PANELS = {
    "test_accuracy": "test accuracy\n(points)",
    "gap": "train − test accuracy\n(points)",
    "log2 update_noise": "log2 of an\nupdate’s noise",
    "log2 sharpness": "log2 of\nsharpness",
}
NORMS = ("batch", "none")


def draw(
    histories: pd.DataFrame,
    gradient_structure: pd.DataFrame | None = None,
    hessian_spectrum: pd.DataFrame | None = None,
) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row for each thing that is doubled and a panel for each quantity: mean change with its 95 % interval.

    Above are α and B of the whole grid with batch norm; then B's two roles, from ghost norms; below, no norm.

    Raises:
        NothingToShow: no cells that differ in one role alone have a run that did not fail.
    """
    table = runs(histories, gradient_structure, hessian_spectrum)
    correct = correct_images(histories)
    alone = roles(table, correct).assign(norm="batch")
    if alone["change"].isna().all():
        raise NothingToShow("No two cells that differ in one role of B alone have runs that did not fail.")
    grid = largest_grid(table)
    whole = moves(grid[grid["norm"].isin(NORMS)], correct)
    changes = pd.concat([whole[whole["norm"] == "batch"], alone, whole[whole["norm"] == "none"]], ignore_index=True)
    rows = list(dict.fromkeys(zip(changes["norm"], changes["move"], strict=True)))
    shown = {
        name: title
        for name, title in PANELS.items()
        if changes.loc[changes["quantity"] == name, "change"].notna().any()
    }
    size = (style.WIDTH, 0.27 * len(rows) + 1.5)
    figure, axes = plt.subplots(1, len(shown), figsize=size, sharey=True, squeeze=False)
    palette = style.colours(list(NORMS))
    for ax, (quantity, title) in zip(axes[0], shown.items(), strict=True):
        of_quantity = changes[changes["quantity"] == quantity].set_index(["norm", "move"])
        for place, (norm, move) in enumerate(rows):
            if (norm, move) not in of_quantity.index:
                continue
            change, low, high = of_quantity.loc[(norm, move), ["change", "low", "high"]].astype(float)
            ax.hlines(place, low, high, color=palette[norm], linewidth=1.1)
            ax.plot(change, place, "o" if move in MOVES else "D", color=palette[norm], markersize=4)
        ax.axvline(0, color="0.3", linewidth=0.7, zorder=0)
        ax.set_title(title)
        ax.set_xlabel("change per doubling")
        ax.grid(axis="y", visible=False)
    axes[0, 0].set_yticks(range(len(rows)), [move for _, move in rows])
    axes[0, 0].set_ylim(len(rows) - 0.4, -0.6)
    for ax in axes[0]:
        ax.tick_params(axis="y", length=0)
        for border in np.flatnonzero([a[0] != b[0] for a, b in pairwise(rows)]):
            ax.axhline(border + 0.5, color="0.8", linewidth=0.7)
    marks: keys.Group = {
        "α or B": keys.marker("o"),
        "a role of B (ghost norm)": keys.marker("D"),
        "95 % interval": keys.line(),
    }
    facts = grid.iloc[0]
    said = f"{network(facts['arch'])}, {count(int(changes['seeds'].max()), 'seed')}"
    colours = keys.norms({norm: palette[norm] for norm in dict.fromkeys(norm for norm, _ in rows)})
    if what := sharpness_of(table):
        marks[what] = keys.line(linestyle="")
    keys.key(figure, {"norm": colours, said: marks})
    return figure, {"": changes[COLUMNS]}
