"""Fig. 1: train and test accuracy against the share of training done."""

from collections.abc import Iterable

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn import paper
from understanding_bn.figures import style

CELL = ["arch", "init", "norm", "alpha", "batch_size", "epochs"]
COLUMNS = ["norm", "alpha", "batch_size", "seed", "epoch", "fraction", "split", "accuracy"]
ACCURACIES = ["train_accuracy", "test_accuracy"]
MOST_NAMED = 16  # cells of one learning rate that a legend beside its panels has room for
MOST_VECTORS = 500  # epochs; the band of a longer run has more corners than a panel has dots, so it is drawn as dots
FAILURES = {"overflow": "diverged", "NaN": "diverged (NaN)", "stuck at chance": "at chance"}


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """One row per learning rate, train beside test; mean and standard deviation over the seeds that did not fail.

    `values`: training histories. Diverged seeds have no accuracy to draw; one that stayed at chance is a dotted line of
    its own, unless all that did not diverge stayed there; the legend counts both. It names each cell, or each norm
    where a learning rate has more cells than it could name.
    """
    cells = values.drop_duplicates(CELL)[CELL]
    varied = {key for key in CELL if cells[key].nunique() > 1}
    alphas = sorted(cells["alpha"].unique(), reverse=True)
    palette = style.colours(style.ordered(values["norm"]))
    figure, axes = plt.subplots(
        len(alphas),
        2,
        figsize=(style.WIDTH, 0.5 + 1.5 * len(alphas)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    # Before anything is drawn: free limits are sought anew, over all that is drawn so far, at each further line.
    axes[0, 0].set(xlim=(0, 100), ylim=(0, 102))
    for row, alpha in zip(axes, alphas, strict=True):
        here = values[values["alpha"] == alpha]
        own = cells[cells["alpha"] == alpha]
        told = varied if own["epochs"].nunique() > 1 else varied - {"epochs"}
        for norm in style.ordered(here["norm"]):
            common = _norm_legend(here[here["norm"] == norm], norm) if len(own) > MOST_NAMED else None
            for position, (cell, history) in enumerate(here[here["norm"] == norm].groupby(CELL)):
                facts = dict(zip(CELL, cell, strict=True))
                legend = _legend(history, facts, told) if common is None else common if position == 0 else None
                _lines(row, history, palette[norm], legend)
                if paper.is_scale_of(history):
                    _paper_mark(row[1], facts, palette[norm])
        for ax, split in zip(row, ("train", "test"), strict=True):
            ax.set_title(f"α = {alpha:g}, {split}")
        row[0].set_ylabel("accuracy (%)")
        row[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), labelspacing=0.3, handlelength=1.2)
    _say_what_follows_plus_minus(axes[:, 1])
    for ax in axes[-1]:
        ax.set_xlabel("training done (%)")
    drawn = values.melt(
        id_vars=[*CELL, "seed", "epoch", "fraction"],
        value_vars=ACCURACIES,
        var_name="split",
        value_name="accuracy",
    ).dropna(subset="accuracy")
    drawn["split"] = drawn["split"].str.removesuffix("_accuracy")
    return figure, {"": drawn[[*COLUMNS, "arch", "init", "epochs"]], "summary": _summary(values)}


def _lines(row: list[Axes], history: pd.DataFrame, colour: str, legend: str | None) -> None:
    """Mean and band of one cell, in the train and the test panel. A cell without a sound seed has a legend only."""
    averaged = _averaged(history)
    by_epoch = averaged.groupby("fraction")[ACCURACIES]
    alone = history[history["first_bad_step"].isna()].drop(averaged.index)
    means, spreads = 100 * by_epoch.mean(), 100 * by_epoch.std().fillna(0)
    for ax, column in zip(row, ACCURACIES, strict=True):
        mean, spread = means[column], spreads[column]
        ax.plot(100 * mean.index, mean, color=colour, label=legend, linestyle="-" if len(mean) else "None")
        band = ax.fill_between(100 * mean.index, mean - spread, mean + spread, color=colour, alpha=0.25, linewidth=0)
        band.set_rasterized(len(mean) > MOST_VECTORS)
        for _, stuck in alone.groupby("seed"):
            ax.plot(100 * stuck["fraction"], 100 * stuck[column], color=colour, linestyle=":", linewidth=0.9)


def _say_what_follows_plus_minus(panels: Iterable[Axes]) -> None:
    """A title over the first legend that has a spread."""
    for ax in panels:
        legend = ax.get_legend()
        if any("±" in entry.get_text() for entry in legend.get_texts()):
            legend.set_title("test accuracy at the end,\nmean ± sd over seeds", prop={"size": "small"})
            legend.set_alignment("left")
            return


def _averaged(runs: pd.DataFrame) -> pd.DataFrame:
    """Rows of the runs of a cell that its means are taken over: the sound ones; if there is none, those at chance."""
    finished = runs[runs["first_bad_step"].isna()]
    sound = finished[finished["failure"].isna()]
    return sound if len(sound) else finished


def _legend(history: pd.DataFrame, facts: dict, told: set[str]) -> str:
    """The cell's name with the factors that are `told`, its final test accuracy, and what became of failed seeds."""
    last = history.sort_values("epoch").groupby("seed").tail(1)
    extras = {"arch": "", "init": "", "batch_size": "B = ", "epochs": "epochs "}
    name = style.label(facts["norm"])
    name += "".join(f", {prefix}{facts[key]}" for key, prefix in extras.items() if key in told)
    final = 100 * _averaged(last)["test_accuracy"]
    if len(final):
        name += f" {final.mean():.1f} ± {final.std():.1f} %" if len(final) > 1 else f" {final.mean():.1f} %"
    return "\n".join([name, *_failures(last)])


def _norm_legend(histories: pd.DataFrame, norm: str) -> str:
    """All cells of a norm in one entry: how many, the range of their final test accuracy, and how many runs failed."""
    last = histories.sort_values("epoch").groupby([*CELL, "seed"]).tail(1)
    count = len(last.drop_duplicates(CELL))
    name = f"{style.label(norm)}, {count} {'cell' if count == 1 else 'cells'}"
    final = 100 * pd.Series([_averaged(runs)["test_accuracy"].mean() for _, runs in last.groupby(CELL)]).dropna()
    if len(final):
        name += f"\n{style.span(final, '.1f')} %"
    return "\n".join([name, *_failures(last)])


def _failures(last: pd.DataFrame) -> list[str]:
    """How many of these runs failed, by kind. `last` has one row for each run."""
    counts = last["failure"].dropna().value_counts()
    return [f"{count} of {len(last)} {FAILURES[kind]}" for kind, count in counts.items()]


def _paper_mark(ax: Axes, facts: dict, colour: str) -> None:
    """The paper's final test accuracy, where it tells."""
    published = paper.FINAL_TEST_ACCURACY.get((facts["norm"], facts["alpha"]))
    if published is not None:
        ax.plot(
            100, 100 * published, marker="x", color=colour, markersize=5, clip_on=False, label="paper", linestyle="none"
        )


def _summary(values: pd.DataFrame) -> pd.DataFrame:
    """One row per cell and seed: how it ended."""
    last = values.sort_values("epoch").groupby([*CELL, "seed"], as_index=False).tail(1)
    columns = ["train_accuracy", "test_accuracy", "failure", "first_bad_step", "first_absolute_step"]
    return last[[*CELL, "seed", *columns, "last_finite_loss"]].sort_values([*CELL, "seed"])
