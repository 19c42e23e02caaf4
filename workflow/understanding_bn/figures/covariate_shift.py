"""How far the inputs of each layer move from one update to the next, beside the accuracy that training ends with."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain
from understanding_bn.figures.titles import count, data, initialisation, network
from understanding_bn.summaries import covariate_shift as summary
from understanding_bn.summaries import trained_runs
from understanding_bn.summaries.covariate_shift import SHIFTS, compared, compared_alpha
from understanding_bn.summaries.training import CELL, with_failures

COLUMNS = [*CELL, "seed", "fraction", "bn_mode", "layer", *SHIFTS, "failure"]
MARKERS = {"batch": "o", summary.NOISY: "D", "none": "s"}
MOST_TICKS = 10  # of layers


def draw(histories: pd.DataFrame, covariate_shift: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A panel for each moment of training, with the shift against the layer; on the right the test accuracy against α.

    Batch norm, noisy batch norm and none of one network. The shift is at the learning rate at which claim Ed compares
    them, `compared_alpha`, which the accuracies mark. Lines are medians over seeds, bars their range; of accuracy, too,
    over seeds that did not fail. The CSV has every cell that was measured, `accuracy` the accuracies.

    Raises:
        NothingToShow: the three norms have no learning rate in common at which no seed fails, or no shift was measured
            there that can be drawn.
    """
    table = with_failures(summary.by_layer(covariate_shift), histories)
    runs = compared(trained_runs.runs(histories))
    alpha = None if runs.empty else compared_alpha(runs)
    if alpha is None:
        text = "Batch norm, noisy batch norm and none have no learning rate in common at which no seed failed."
        raise NothingToShow(text)
    shown = table.merge(runs.loc[runs["alpha"] == alpha, [*CELL, "seed"]])
    positive = shown[np.isfinite(shown["shift"]) & (shown["shift"] > 0)]
    if positive.empty:
        raise NothingToShow(f"At α = {plain(alpha)}, where the norms are compared, no shift is finite and above zero.")
    palette = style.colours(style.ordered(runs["norm"]))
    moments = sorted(positive["fraction"].unique())
    widths = [*[1.0] * len(moments), 1.1]
    figure, axes = plt.subplots(1, len(moments) + 1, figsize=(style.WIDTH, 2.9), width_ratios=widths)
    for ax, moment in zip(axes[:-1], moments, strict=True):
        for number, (norm, colour) in enumerate(palette.items()):
            rows = positive[(positive["norm"] == norm) & (positive["fraction"] == moment)]
            if len(rows):
                _line(ax, rows, "layer", "shift", colour, 0.12 * (number - (len(palette) - 1) / 2))
        style.logarithmic(ax.yaxis, positive["shift"])
        layers = np.sort(positive["layer"].unique())
        ax.set_xticks(layers[:: -(-len(layers) // MOST_TICKS)])
        ax.set(xlabel="layer", ylim=(positive["shift"].min() / 1.3, positive["shift"].max() * 1.3))
        ax.set_title(f"after {plain(100 * moment)} % of training")
        ax.minorticks_off()
        ax.tick_params(labelleft=ax is axes[0])
    axes[0].set_ylabel("shift of a layer's inputs\nat an update (sd)")
    _accuracies(axes[-1], runs, palette, alpha)
    _key(figure, shown, runs, palette)
    accuracy = runs[[*CELL, "seed", "failure", "test_accuracy", "validation_accuracy"]]
    return figure, {"": table[COLUMNS], "accuracy": accuracy}


def _line(ax: Axes, rows: pd.DataFrame, along: str, value: str, colour: str, aside: float = 0) -> None:
    """Medians of one norm over seeds, joined, with bars over their range; `aside`: how far to the right."""
    spread = rows.groupby(along)[value].agg(["median", "min", "max"])
    reach = [spread["median"] - spread["min"], spread["max"] - spread["median"]]
    look: style.Look = {"color": colour, "marker": MARKERS[rows["norm"].iloc[0]], "markersize": 3.5}
    ax.errorbar(spread.index + aside, spread["median"], yerr=reach, linewidth=1, elinewidth=0.8, **look)


def _accuracies(ax: Axes, runs: pd.DataFrame, palette: dict[str, str], alpha: float) -> None:
    """Test accuracy at the end of training against the learning rate; the one that is compared is marked."""
    ax.axvline(alpha, **style.LAW)
    for norm, colour in palette.items():
        sound = runs[(runs["norm"] == norm) & runs["test_accuracy"].notna()]
        if len(sound):
            _line(ax, sound, "alpha", "test_accuracy", colour)
    ax.set_xscale("log")
    style.ticks_at(ax.xaxis, runs["alpha"])
    ax.set(xlabel="learning rate α", ylabel="test accuracy (%)", title="at the end of training")


def _key(figure: Figure, shown: pd.DataFrame, runs: pd.DataFrame, palette: dict[str, str]) -> None:
    """Colours and markers are norms; what bars are, and which network it is."""
    norms: keys.Group = {
        style.label(norm): keys.line(color=colour, marker=MARKERS[norm], markersize=3.5, linewidth=1)
        for norm, colour in palette.items()
    }
    seeds = shown["seed"].nunique()
    marks: keys.Group = {"median of " + count(seeds, "seed") if seeds > 1 else "one seed": keys.marker("o")}
    if seeds > 1:
        marks["their range"] = keys.marker("|", markersize=9)
    marks[f"α = {plain(shown['alpha'].iloc[0])}, as on the left"] = keys.line(**style.LAW)
    if len(failed := runs[runs["failure"] != ""]):
        marks[f"left out on the right: {count(len(failed), 'run')} that failed"] = keys.line(linestyle="")
    facts = shown.iloc[0]
    setting = f"{network(facts['arch'])}, {initialisation(facts['init'])}, B = {facts['batch_size']}"
    keys.key(figure, {setting: norms, data(facts["dataset"]): marks})
