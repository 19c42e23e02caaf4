"""Fig. 1: train and test accuracy against the share of training done."""

from collections.abc import Iterable

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from understanding_bn import paper
from understanding_bn.figures import style
from understanding_bn.summaries.training import CELL, endings

COLUMNS = ["norm", "alpha", "batch_size", "seed", "epoch", "fraction", "split", "accuracy", "arch", "init", "epochs"]
EXTRAS = {"arch": "", "init": "", "batch_size": "B = ", "epochs": "epochs "}
MOST_NAMED = 16  # cells of one learning rate that a legend next to its panels has room for
MOST_VECTORS = 500  # epochs; the band of a longer run has more corners than a panel has dots, so it is drawn as dots
FAILURES = {"overflow": "diverged", "NaN": "diverged (NaN)", "stuck at chance": "at chance"}


def draw(histories: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """One row per learning rate, train and test side by side; mean and standard deviation over the sound seeds.

    Diverged seeds have no accuracy to draw. A seed that stayed at chance is a separate dotted line, unless all seeds
    that did not diverge stayed there. The legend counts both. It names each cell, or each norm where a learning rate
    has more cells than it could name.
    """
    ends = _with_part(endings(histories))
    drawn = histories.melt(
        id_vars=[*CELL, "seed", "epoch", "fraction"],
        value_vars=["train_accuracy", "test_accuracy"],
        var_name="split",
        value_name="accuracy",
    ).dropna(subset="accuracy")
    drawn["split"] = drawn["split"].str.removesuffix("_accuracy")
    lines = drawn.merge(ends[[*CELL, "seed", "cell", "part"]], on=[*CELL, "seed"])
    lines = lines.assign(done=100 * lines["fraction"], percent=100 * lines["accuracy"])
    alphas = sorted(ends["alpha"].unique(), reverse=True)
    size = (style.WIDTH, 0.5 + 1.5 * len(alphas))
    figure, axes = plt.subplots(len(alphas), 2, figsize=size, sharex=True, sharey=True, squeeze=False)
    # Before anything is drawn: free limits would be computed again, over all that is there, with each further line.
    axes[0, 0].set(xlim=(0, 100), ylim=(0, 102))
    colours = style.colours(style.ordered(ends["norm"]))
    cells = histories.drop_duplicates(CELL)
    for row, alpha in zip(axes, alphas, strict=True):
        for ax, split in zip(row, ("train", "test"), strict=True):
            _panel(ax, lines[(lines["alpha"] == alpha) & (lines["split"] == split)], colours)
            ax.set(title=f"α = {alpha:g}, {split}", xlabel="training done (%)", ylabel="accuracy (%)")
            ax.label_outer(remove_inner_ticks=True)
        handles = [Line2D([], [], color=colours[norm], label=text) for norm, text in _entries(ends, alpha)]
        handles += _paper_marks(row[1], cells[cells["alpha"] == alpha], colours)
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "labelspacing": 0.3, "handlelength": 1.2}
        row[1].legend(handles=handles, **place)
    _say_what_follows_plus_minus(axes[:, 1])
    return figure, {"": drawn[COLUMNS], "summary": ends.drop(columns=["cell", "part"])}


def _with_part(ends: pd.DataFrame) -> pd.DataFrame:
    """The runs with `cell`, a number, and `part`: the run is in its cell's "mean", "alone" or not drawn ("").

    Means are over the sound runs of a cell or, if there is none, over those that stayed at chance.
    """
    sound, finished = ends["failure"].isna(), ends["first_bad_step"].isna()
    cell = ends.groupby(CELL).ngroup()
    any_sound = sound.groupby(cell).transform("any")
    part = pd.Series("", ends.index).mask(finished, "mean").mask(finished & ~sound & any_sound, "alone")
    return ends.assign(cell=cell, part=part)


def _panel(ax: Axes, lines: pd.DataFrame, colours: dict[str, str]) -> None:
    """Mean and band of every cell, and the runs that are drawn alone."""
    palette = lines.set_index("cell")["norm"].map(colours).to_dict()
    band = {"alpha": 0.25, "linewidth": 0, "rasterized": bool(lines["epochs"].max() > MOST_VECTORS)}
    looks: dict[str, style.Look] = {
        "mean": {"errorbar": "sd", "err_kws": band},
        "alone": {"units": "seed", "estimator": None, "linestyle": ":", "linewidth": 0.9},
    }
    common = {"x": "done", "y": "percent", "hue": "cell", "palette": palette, "legend": False, "ax": ax}
    for part, look in looks.items():
        if len(runs := lines[lines["part"] == part]):
            sns.lineplot(runs, **look, **common)


def _entries(ends: pd.DataFrame, alpha: float) -> list[tuple[str, str]]:
    """(norm, text) of each entry in the legend of a learning rate."""
    of_alpha = ends[ends["alpha"] == alpha]
    varied = {key for key in EXTRAS if ends[key].nunique() > 1}
    if of_alpha["epochs"].nunique() == 1:
        varied -= {"epochs"}
    one_by_one = of_alpha["cell"].nunique() <= MOST_NAMED
    entries = []
    for norm in style.ordered(of_alpha["norm"]):
        of_norm = of_alpha[of_alpha["norm"] == norm]
        if one_by_one:
            entries += [(norm, _cell_text(runs, varied)) for _, runs in of_norm.groupby("cell")]
        else:
            entries.append((norm, _norm_text(of_norm)))
    return entries


def _cell_text(runs: pd.DataFrame, varied: set[str]) -> str:
    """The cell's name with the factors that vary, its final test accuracy, and what became of failed seeds."""
    facts = runs.iloc[0]
    name = style.label(facts["norm"])
    name += "".join(f", {prefix}{facts[key]}" for key, prefix in EXTRAS.items() if key in varied)
    final = 100 * runs.loc[runs["part"] == "mean", "test_accuracy"]
    if len(final):
        name += f" {final.mean():.1f} ± {final.std():.1f} %" if len(final) > 1 else f" {final.mean():.1f} %"
    return "\n".join([name, *_failures(runs)])


def _norm_text(runs: pd.DataFrame) -> str:
    """All cells of a norm in one entry: how many, the range of their final test accuracy, and how many runs failed."""
    count = runs["cell"].nunique()
    name = f"{style.label(runs['norm'].iloc[0])}, {count} {'cell' if count == 1 else 'cells'}"
    final = 100 * runs[runs["part"] == "mean"].groupby("cell")["test_accuracy"].mean()
    if len(final):
        name += f"\n{style.span(final, '.1f')} %"
    return "\n".join([name, *_failures(runs)])


def _failures(runs: pd.DataFrame) -> list[str]:
    """How many of these runs failed, by kind."""
    counts = runs["failure"].dropna().value_counts()
    return [f"{count} of {len(runs)} {FAILURES[kind]}" for kind, count in counts.items()]


def _paper_marks(ax: Axes, cells: pd.DataFrame, colours: dict[str, str]) -> list[Line2D]:
    """The paper's final test accuracies, of the cells at its scale that it has some for."""
    marks = []
    for cell in cells.itertuples():
        published = paper.FINAL_TEST_ACCURACY.get((cell.norm, cell.alpha))
        if published is not None and paper.is_scale(cell.dataset, None, cell.arch, cell.batch_size):
            look: style.Look = {"color": colours[cell.norm], "markersize": 5, "clip_on": False, "label": "paper"}
            marks += ax.plot(100, 100 * published, "x", **look)
    return marks


def _say_what_follows_plus_minus(panels: Iterable[Axes]) -> None:
    """A title over the first legend that has a spread."""
    for ax in panels:
        legend = ax.get_legend()
        if legend and any("±" in entry.get_text() for entry in legend.get_texts()):
            legend.set_title("test accuracy at the end,\nmean ± sd over seeds", prop=FontProperties(size="small"))
            legend.set_alignment("left")
            return
