"""The paper's Fig. 1 next to ours: its curves, and final test accuracies of which only the end is known."""

from dataclasses import replace

import pandas as pd
from matplotlib.axes import Axes

from understanding_bn import paper
from understanding_bn.figures import keys, style

# Dashed, below our means and above their bands.
CURVE: style.Look = {"linestyle": (0, (3, 1.5)), "linewidth": 0.9, "alpha": 0.8, "zorder": 1.5}
OPEN: style.Look = {"markerfacecolor": "white", "markersize": 4.5, "markeredgewidth": 0.9}
SHAPES = {paper.Origin.DIGITISED: "d", paper.Origin.RECALLED: "p", paper.Origin.SHAKY: "8", paper.Origin.READ: "h"}


def published(cells: pd.DataFrame) -> pd.DataFrame:
    """The paper's curves of the cells at its scale, in percent; where it shows none, its final test accuracy alone.

    Columns: split, norm, alpha, percent (of training), accuracy, paper_origin.
    """
    curves = paper.accuracy_curves()
    ends = [
        {"split": "test", "norm": norm, "alpha": alpha, "percent": 100, "accuracy": 100 * share.value}
        | {"paper_origin": share.origin}
        for (norm, alpha), share in paper.FINAL_TEST_ACCURACY.items()
    ]
    keys = ["norm", "alpha"]
    alone = pd.DataFrame(ends).merge(curves.value[keys].drop_duplicates(), on=keys, how="left", indicator=True)
    alone = alone[alone.pop("_merge") == "left_only"]
    shown = pd.concat([curves.value.assign(paper_origin=curves.origin), alone], ignore_index=True)
    facts = cells[["dataset", "arch", "batch_size"]].itertuples(index=False, name=None)
    at_scale = [paper.is_scale(dataset, None, arch, size) for dataset, arch, size in facts]
    return shown.merge(cells.loc[at_scale, keys].drop_duplicates(), on=keys)


def draw_curves(ax: Axes, theirs: pd.DataFrame, palette: dict[str, str], shapes: dict[float, str]) -> None:
    """The paper's curves of one split, with an open marker of their learning rate every fifth of training."""
    for (norm, alpha), curve in theirs.groupby(["norm", "alpha"]):
        if len(curve) > 1:
            look = CURVE | OPEN | {"marker": shapes[alpha], "markevery": max(1, len(curve) // 5)}
            ax.plot(curve["percent"], curve["accuracy"], color=palette[norm], **look)


def ends(theirs: pd.DataFrame) -> dict[tuple[str, float], paper.Published[float]]:
    """The paper's final test accuracies in percent, by norm and α."""
    shown = theirs[["norm", "alpha"]].drop_duplicates().itertuples(index=False, name=None)
    finals = {key: paper.FINAL_TEST_ACCURACY[key] for key in shown if key in paper.FINAL_TEST_ACCURACY}
    return {key: replace(final, value=100 * final.value) for key, final in finals.items()}


def draw_ends(ax: Axes, theirs: pd.DataFrame, palette: dict[str, str], places: dict[tuple[str, float], float]) -> None:
    """The paper's final test accuracies as open markers, at the places of ours."""
    for (norm, alpha), final in ends(theirs).items():
        look = OPEN | {"marker": SHAPES[final.origin], "color": palette[norm], "linestyle": "", "markersize": 6}
        ax.plot(places[norm, alpha], final.value, **look | {"markerfacecolor": "none"})


def entries(theirs: pd.DataFrame) -> keys.Group:
    """What the key calls the paper's curves and ends, each with its origin."""
    curves, finals = paper.accuracy_curves(), ends(theirs).values()
    group: keys.Group = {}
    if len(theirs) > len(theirs[["norm", "alpha"]].drop_duplicates()):
        group[f"curve, {style.paper(curves.origin)}"] = keys.line(**CURVE)
    for origin in dict.fromkeys(final.origin for final in finals):
        group[f"end, {style.paper(origin)}"] = keys.marker(SHAPES[origin], **OPEN)
    return group
