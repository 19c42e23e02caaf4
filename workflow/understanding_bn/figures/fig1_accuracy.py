"""Fig. 1: train and test accuracy against the share of training done, and test accuracy at its end."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.figures import accuracy_ends, keys, paper_curves, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain, span
from understanding_bn.summaries.training import CELL, NETWORK, endings

COLUMNS = ["norm", "alpha", "batch_size", "seed", "epoch", "fraction", "split", "accuracy", "arch", "init", "epochs"]
ROW = 1.6  # inches
MOST_LETTERS = 26  # of learning rates that stand side by side below a panel
MOST_ROWS = 40  # of a figure that can still be opened; it names the networks that it leaves out
MOST_VECTORS = 500  # epochs; the band of a longer run has more corners than a panel has dots, so it is drawn as dots
SHAPES = "os^Dv*PX"  # of the learning rates, from the largest
BAND: style.Look = {"alpha": 0.18, "linewidth": 0}
ALONE: style.Look = {"linestyle": ":", "linewidth": 0.9}


def draw(histories: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """One row per network and batch size: train and test accuracy of all learning rates, and the final ones magnified.

    Curves are means over the sound seeds, bands their standard deviation. Diverged seeds have no accuracy to draw. A
    seed that stayed at chance is a separate dotted line, unless all seeds that did not diverge stayed there. The
    right-hand panels count both kinds. Cells at the paper's scale have its curve next to ours, where it shows one.

    Raises:
        NothingToShow: no run has an accuracy, and none has failed.
    """
    ends = _with_part(endings(histories))
    drawn = _accuracies(histories)
    if drawn.empty and ends["failure"].isna().all():
        raise NothingToShow("No run has an accuracy.")
    lines = drawn.merge(ends[[*CELL, "seed", "cell", "part"]], on=[*CELL, "seed"])
    rows = _rows(ends)
    shown = min(len(rows), MOST_ROWS)
    palette = style.colours(style.ordered(ends["norm"]))
    shapes = dict(zip(sorted(ends["alpha"].unique(), reverse=True), cycle(SHAPES), strict=False))
    published = paper_curves.published(histories.drop_duplicates(CELL))

    grid: style.Look = {"sharex": "col", "sharey": "col", "squeeze": False, "width_ratios": (1, 1, 1.15)}
    figure, axes = plt.subplots(shown, 3, figsize=(style.WIDTH, ROW * shown + 1.6), **grid)
    sound = 100 * ends.loc[ends["failure"].isna(), "test_accuracy"].dropna().astype(float)
    finals = [*sound, *(end.value for end in paper_curves.ends(published).values())]
    accuracy_ends.magnify(axes[0, 2], finals, max(len(accuracy_ends.failures(row)) for row in rows.values()))
    for panels, (name, of_row) in zip(axes, rows.items(), strict=False):
        cells = histories.drop_duplicates(CELL).merge(of_row[CELL].drop_duplicates(), on=CELL)
        of_cells = lines[lines["cell"].isin(of_row["cell"])]
        _row(panels, of_row, of_cells, paper_curves.published(cells), palette, shapes)
        panels[0].set_title(name, loc="left", weight="bold").set_in_layout(False)
        panels[1].set_title(" ")  # as high as the name of the row, which runs over both panels
    for ax, label in zip(axes[-1], ["training done (%)", "training done (%)", "learning rate α"], strict=True):
        ax.set_xlabel(label)
    _key(figure, ends, palette, shapes, published, [*rows][shown:])
    tables = {"": drawn[COLUMNS], "summary": ends.drop(columns=["cell", "part"])}
    return figure, tables | ({"paper": published} if len(published) else {})


def _row(
    panels: np.ndarray,
    ends: pd.DataFrame,
    lines: pd.DataFrame,
    theirs: pd.DataFrame,
    palette: dict[str, str],
    shapes: dict[float, str],
) -> None:
    """The panels of a network: train, test, and test at the end."""
    for ax, split in zip(panels, ("train", "test"), strict=False):
        _curves(ax, lines[lines["split"] == split], palette, shapes)
        paper_curves.draw_curves(ax, theirs[theirs["split"] == split], palette, shapes)
        ax.set(xlim=(0, 100), ylim=(0, 102), ylabel=f"{split} accuracy (%)")
    alphas = sorted(shapes)
    places = accuracy_ends.places(style.ordered(ends["norm"]), alphas)
    accuracy_ends.draw(panels[2], ends, places, palette, shapes)
    paper_curves.draw_ends(panels[2], theirs, palette, places)
    names = [plain(alpha) for alpha in alphas]
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if sum(map(len, names)) > MOST_LETTERS else {}
    panels[2].set_xticks(range(len(alphas)), names, **turned)
    panels[2].set(xlim=(-0.6, len(alphas) - 0.4), ylabel="final test accuracy (%)")


def _accuracies(histories: pd.DataFrame) -> pd.DataFrame:
    """The accuracies that were measured, train and test one below the other, as shares and in percent."""
    table = histories.melt(
        id_vars=[*CELL, "seed", "epoch", "fraction"],
        value_vars=["train_accuracy", "test_accuracy"],
        var_name="split",
        value_name="accuracy",
    )
    table = table[np.isfinite(table["accuracy"].astype(float))]
    percents = {"done": 100 * table["fraction"], "percent": 100 * table["accuracy"].astype(float)}
    return table.assign(split=table["split"].str.removesuffix("_accuracy"), **percents)


def _with_part(ends: pd.DataFrame) -> pd.DataFrame:
    """The runs with `cell`, a number, and `part`: the run is in its cell's "mean", "alone" or not drawn ("").

    Means are over the sound runs of a cell or, if there is none, over those that stayed at chance.
    """
    sound, finished = ends["failure"].isna(), ends["first_bad_step"].isna()
    cell = ends.groupby(CELL).ngroup()
    any_sound = sound.groupby(cell).transform("any")
    part = pd.Series("", ends.index).mask(finished, "mean").mask(finished & ~sound & any_sound, "alone")
    return ends.assign(cell=cell, part=part)


def _rows(ends: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The runs of each row by its name: a network and batch size, and its epochs, if they alone tell cells apart."""
    twice = ends.groupby([*NETWORK, "norm", "alpha"])["epochs"].nunique().max() > 1
    rows = {}
    for (arch, init, size, *_), runs in ends.groupby([*NETWORK, *(["epochs"] if twice else [])]):
        epochs = span(runs["epochs"], 6)
        name = f"{arch}, {init.replace('_', ' ')}, B = {size}, {epochs} epoch{'s' if epochs != '1' else ''}"
        rows[name] = runs
    return dict(sorted(rows.items(), key=lambda row: -row[1]["cell"].nunique()))


def _curves(ax: Axes, lines: pd.DataFrame, palette: dict[str, str], shapes: dict[float, str]) -> None:
    """Mean and band of every cell, with markers of its learning rate, and the runs that are drawn alone."""
    means = lines[lines["part"] == "mean"]
    order = {cell: number for number, cell in enumerate(means["cell"].unique())}
    for (cell, norm, alpha, epochs), runs in means.groupby(["cell", "norm", "alpha", "epochs"]):
        curve = runs.groupby("done")["percent"].agg(["mean", "std"])
        # Markers of neighbouring curves stand at different shares of training.
        first = 6 + 30 * order[cell] / len(order)
        marked = np.unique(np.abs(curve.index.to_numpy()[:, None] - np.arange(first, 100, 30)).argmin(axis=0))
        look = {"color": palette[norm], "marker": shapes[alpha], "markevery": marked.tolist(), "markersize": 3.5}
        ax.plot(curve.index, curve["mean"], linewidth=1.1, **look)
        if runs["seed"].nunique() > 1:
            low, high = curve["mean"] - curve["std"], curve["mean"] + curve["std"]
            ax.fill_between(curve.index, low, high, color=palette[norm], rasterized=epochs > MOST_VECTORS, **BAND)
    for (_, norm, _), run in lines[lines["part"] == "alone"].groupby(["cell", "norm", "seed"]):
        ax.plot(run["done"], run["percent"], color=palette[norm], **ALONE)


def _key(
    figure: Figure,
    ends: pd.DataFrame,
    palette: dict[str, str],
    shapes: dict[float, str],
    theirs: pd.DataFrame,
    left_out: list[str],
) -> None:
    """What all lines and marks are, and which networks a figure of this height has no room for."""
    seeds = ends.groupby("cell").size()
    several = seeds.max() > 1
    marks: keys.Group = {f"mean over {span(seeds)} seeds" if several else "one seed": keys.line(linewidth=1.1)}
    if several:
        marks |= {"± standard deviation": keys.band(alpha=BAND["alpha"]), "final, one seed": keys.marker("_")}
    if (ends["part"] == "alone").any():
        marks["a seed that stayed at chance"] = keys.line(**ALONE)
    failed = set(ends["failure"].dropna().map(accuracy_ends.MARKS))
    meanings = {"×": "×n: n seeds diverged", "+": "+n: n seeds stayed at chance"}
    marks |= {meaning: keys.line(linestyle="") for mark, meaning in meanings.items() if mark in failed}
    alphas = {f"α = {plain(alpha)}": keys.marker(shape) for alpha, shape in shapes.items()}
    groups: dict[str, keys.Group] = {"norm": keys.norms(palette), "learning rate": {**alphas}, "lines and marks": marks}
    groups["paper"] = paper_curves.entries(theirs)
    more = f"No room for {len(left_out)} more: {'; '.join(left_out)}." if left_out else None
    keys.key(figure, groups, title=more)
