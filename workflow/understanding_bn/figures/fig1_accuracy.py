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
# The paper's curves: dashed, below our means and above their bands.
PUBLISHED: style.Look = {"linestyle": (0, (3, 1.5)), "linewidth": 0.9, "alpha": 0.8, "zorder": 1.5}
FAILURES = {"overflow": "diverged", "NaN": "diverged (NaN)", "stuck at chance": "at chance"}


def draw(histories: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """One row per learning rate, train and test side by side; mean and standard deviation over the sound seeds.

    Diverged seeds have no accuracy to draw. A seed that stayed at chance is a separate dotted line, unless all seeds
    that did not diverge stayed there. The legend counts both. It names each cell, or each norm where a learning rate
    has more cells than it could name. Cells at the paper's scale have its curve next to ours, where it shows one.
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
    published = _published(histories.drop_duplicates(CELL))
    for row, alpha in zip(axes, alphas, strict=True):
        theirs = published[published["alpha"] == alpha]
        for ax, split in zip(row, ("train", "test"), strict=True):
            _panel(ax, lines[(lines["alpha"] == alpha) & (lines["split"] == split)], colours)
            _overlay(ax, theirs[theirs["split"] == split], colours)
            ax.set(title=f"α = {alpha:g}, {split}", xlabel="training done (%)", ylabel="accuracy (%)")
            ax.label_outer(remove_inner_ticks=True)
        handles = [Line2D([], [], color=colours[norm], label=text) for norm, text in _entries(ends, alpha)]
        handles += _paper_entries(theirs)
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "labelspacing": 0.3, "handlelength": 1.2}
        row[1].legend(handles=handles, **place)
    _say_what_follows_plus_minus(axes[:, 1])
    tables = {"": drawn[COLUMNS], "summary": ends.drop(columns=["cell", "part"])}
    return figure, tables | ({"paper": published} if len(published) else {})


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


def _published(cells: pd.DataFrame) -> pd.DataFrame:
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


def _overlay(ax: Axes, published: pd.DataFrame, colours: dict[str, str]) -> None:
    """The paper's curves in a panel, and a cross for one of which only the end is known."""
    for (norm, _), curve in published.groupby(["norm", "alpha"]):
        if len(curve) > 1:
            ax.plot(curve["percent"], curve["accuracy"], color=colours[norm], **PUBLISHED)
        else:
            ax.plot(curve["percent"], curve["accuracy"], "x", color=colours[norm], markersize=5, clip_on=False)


def _paper_entries(published: pd.DataFrame) -> list[Line2D]:
    """One entry for all of the paper's curves of a learning rate, and one for those of which only the end is known."""
    entries = {}
    for _, curve in published.groupby(["norm", "alpha"]):
        origin = curve["paper_origin"].iloc[0]
        look = PUBLISHED if len(curve) > 1 else {"marker": "x", "linestyle": "", "markersize": 5}
        entries[origin, len(curve) > 1] = Line2D([], [], color="0.3", label=style.paper(origin), **look)
    return list(entries.values())


def _say_what_follows_plus_minus(panels: Iterable[Axes]) -> None:
    """A title over the first legend that has a spread."""
    for ax in panels:
        legend = ax.get_legend()
        if legend and any("±" in entry.get_text() for entry in legend.get_texts()):
            legend.set_title("test accuracy at the end,\nmean ± sd over seeds", prop=FontProperties(size="small"))
            legend.set_alignment("left")
            return
