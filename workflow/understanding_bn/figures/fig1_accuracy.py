"""Fig. 1: train and test accuracy against the share of training done."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn import paper
from understanding_bn.figures import style

CELL = ["arch", "init", "norm", "alpha", "batch_size", "epochs"]
COLUMNS = ["norm", "alpha", "batch_size", "seed", "epoch", "fraction", "split", "accuracy"]


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """One row per learning rate, train beside test; mean and standard deviation over the seeds that did not diverge.

    `values`: training histories. Diverged seeds have no accuracy to draw; the legend counts them.
    """
    cells = values.drop_duplicates(CELL)[CELL]
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
    for row, alpha in zip(axes, alphas, strict=True):
        here = values[values["alpha"] == alpha]
        for norm in style.ordered(here["norm"]):
            for cell, history in here[here["norm"] == norm].groupby(CELL):
                facts = dict(zip(CELL, cell, strict=True))
                _lines(row, history, palette[norm], _legend(history, facts, cells))
                if paper.is_scale_of(history):
                    _paper_mark(row[1], facts, palette[norm])
        for ax, split in zip(row, ("train", "test"), strict=True):
            ax.set_title(f"α = {alpha:g}, {split}")
        row[0].set_ylabel("accuracy (%)")
        row[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), labelspacing=0.3, handlelength=1.2)
    for ax in axes[-1]:
        ax.set_xlabel("training done (%)")
    axes[0, 0].set(xlim=(0, 100), ylim=(0, 102))
    drawn = values.melt(
        id_vars=[*CELL, "seed", "epoch", "fraction"],
        value_vars=["train_accuracy", "test_accuracy"],
        var_name="split",
        value_name="accuracy",
    ).dropna(subset="accuracy")
    drawn["split"] = drawn["split"].str.removesuffix("_accuracy")
    return figure, {"": drawn[[*COLUMNS, "arch", "init", "epochs"]], "summary": _summary(values)}


def _lines(row: list[Axes], history: pd.DataFrame, colour: str, legend: str) -> None:
    """Mean and band of one cell, in the train and the test panel. A cell without a sound seed has a legend only."""
    sound = history[history["first_bad_step"].isna()]
    for ax, column in zip(row, ("train_accuracy", "test_accuracy"), strict=True):
        by_epoch = sound.groupby("fraction")[column]
        mean, spread = 100 * by_epoch.mean(), 100 * by_epoch.std().fillna(0)
        ax.plot(100 * mean.index, mean, color=colour, label=legend, linestyle="-" if len(mean) else "None")
        ax.fill_between(100 * mean.index, mean - spread, mean + spread, color=colour, alpha=0.25, linewidth=0)


def _legend(history: pd.DataFrame, facts: dict, cells: pd.DataFrame) -> str:
    """The cell's name, as far as it is needed, its final test accuracy, and what became of its failed seeds."""
    last = history.sort_values("epoch").groupby("seed").tail(1)
    name = style.label(facts["norm"])
    extras = {"arch": "", "init": "", "batch_size": "B = ", "epochs": "epochs "}
    name += "".join(f", {prefix}{facts[key]}" for key, prefix in extras.items() if cells[key].nunique() > 1)
    if facts["epochs"] and cells[cells["alpha"] == facts["alpha"]]["epochs"].nunique() == 1:
        name = name.removesuffix(f", epochs {facts['epochs']}")
    parts = [name]
    final = 100 * last["test_accuracy"].dropna()
    if len(final):
        parts[0] += f" {final.mean():.1f} ± {final.std():.1f} %" if len(final) > 1 else f" {final.mean():.1f} %"
    for kind, count in last["failure"].dropna().value_counts().items():
        text = {"overflow": "diverged", "NaN": "diverged (NaN)", "stuck at chance": "at chance"}[kind]
        parts.append(f"{count} of {len(last)} {text}")
    return "\n".join(parts)


def _paper_mark(ax: Axes, facts: dict, colour: str) -> None:
    """The paper's final test accuracy, where it tells."""
    published = paper.FINAL_TEST_ACCURACY.get((facts["norm"], facts["alpha"]))
    if published is not None:
        ax.plot(100, 100 * published, marker="x", color=colour, markersize=5, clip_on=False, label="paper")


def _summary(values: pd.DataFrame) -> pd.DataFrame:
    """One row per cell and seed: how it ended."""
    last = values.sort_values("epoch").groupby([*CELL, "seed"], as_index=False).tail(1)
    columns = ["train_accuracy", "test_accuracy", "failure", "first_bad_step", "first_absolute_step"]
    return last[[*CELL, "seed", *columns, "last_finite_loss"]].sort_values([*CELL, "seed"])
