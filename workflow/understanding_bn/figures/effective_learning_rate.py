"""Accuracy against αλ, and the norm at which kernels settle against α/λ, with batch norm."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain, positive, span
from understanding_bn.figures.titles import count, initialisation, network
from understanding_bn.summaries.effective_learning_rate import RUN, SOUND, UNSETTLED, by_seed, runs, slopes

COLUMNS = [*RUN, "product", "ratio", "accuracy_before", "accuracy"]
COLUMNS += ["norm_before", "norm_after", "norm4", "change", "outcome"]
DECAYED = {"all": "all parameters decayed", "kernels": "only kernels decayed"}
SHAPES = ("o", "s", "^", "D", "v", "P", "X")  # of a weight decay, from the smallest
APART = 1.06  # factor between the places of seeds' dots of neighbouring weight decays, which may share one
LIGHTEST = 0.88  # of the colour map that is still read on white


def draw(effective_learning_rate: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row for each set of decayed parameters: accuracy against αλ, and ‖w‖⁴ against α/λ; colours are λ.

    Dots are seeds, lines and dashes their mean, over those that did not fail; ‖w‖⁴ of runs that have not settled is
    open. The summary has what claim Ee is judged on: see `summaries.effective_learning_rate`.

    Raises:
        NothingToShow: every run failed.
    """
    table = runs(effective_learning_rate)
    sound = table[(table["failure"] == "") & np.isfinite(table["accuracy"])]
    if sound.empty:
        raise NothingToShow("Every run diverged or stayed at chance.")
    kinds = [kind for kind in DECAYED if kind in set(table["decayed"])]
    decays = sorted(table["weight_decay"].unique())
    places = np.linspace(0, LIGHTEST, len(decays)) if len(decays) > 1 else [0.5]
    colours = {decay: to_hex(mpl.colormaps["viridis"](place)) for decay, place in zip(decays, places, strict=True)}
    looks = {decay: (colours[decay], SHAPES[n % len(SHAPES)]) for n, decay in enumerate(decays)}
    size = (style.WIDTH, 1.1 + 2.15 * len(kinds))
    figure, axes = plt.subplots(len(kinds), 2, figsize=size, squeeze=False, sharex="col", sharey="col")
    for (left, right), kind in zip(axes, kinds, strict=True):
        _accuracy(left, table[table["decayed"] == kind], looks)
        _norms(right, table[table["decayed"] == kind], looks)
        left.set_title(DECAYED[kind])
    axes[-1, 0].set_xlabel("αλ")
    axes[-1, 1].set_xlabel("α / λ")
    for ax, name in ((axes[0, 0], "product"), (axes[0, 1], "ratio")):
        style.logarithmic(ax.xaxis, table[name])
    if len(positive(sound["norm4"])):
        style.logarithmic(axes[0, 1].yaxis, sound["norm4"])
    _key(figure, table, looks)
    return figure, {"": table[COLUMNS], "summary": by_seed(effective_learning_rate)}


def _accuracy(ax: Axes, table: pd.DataFrame, looks: dict[float, tuple[str, str]]) -> None:
    """A line for each λ through the means over seeds that did not fail; crosses at the bottom for those that did."""
    for number, (decay, (colour, shape)) in enumerate(looks.items()):
        rows = table[table["weight_decay"] == decay]
        aside = APART ** (number - (len(looks) - 1) / 2)
        sound = rows[rows["failure"] == ""]
        means = sound.groupby("product")["accuracy"].mean()
        ax.plot(means.index, 100 * means, color=colour, marker=shape, markersize=4.5, linewidth=1.1)
        ax.plot(aside * sound["product"], 100 * sound["accuracy"], "o", color=colour, markersize=1.8, alpha=0.7, mew=0)
        failed = rows[rows["failure"] != ""]
        low = np.full(len(failed), 0.03)
        ax.plot(aside * failed["product"], low, "x", color=colour, markersize=4, transform=ax.get_xaxis_transform())
    ax.set_ylabel("accuracy on held-out\nimages (%)")


def _norms(ax: Axes, table: pd.DataFrame, looks: dict[float, tuple[str, str]]) -> None:
    """A dot for each run that did not fail, the mean of those that settled by αλ, and the law of slope 1."""
    for decay, (colour, shape) in looks.items():
        for outcome, fill in ((SOUND, colour), (UNSETTLED, "white")):
            rows = table[(table["weight_decay"] == decay) & (table["outcome"] == outcome) & (table["norm4"] > 0)]
            ax.plot(rows["ratio"], rows["norm4"], shape, color=colour, mfc=fill, mew=0.7, markersize=3.6, alpha=0.75)
    settled = table[(table["outcome"] == SOUND) & (table["norm4"] > 0)]
    for _, rows in settled.groupby("product"):
        means = np.exp(np.log(rows["norm4"]).groupby(rows["ratio"]).mean())
        ax.plot(means.index, means, color="0.6", linewidth=0.7, zorder=1.5)
    if len(settled):
        ends = np.array([table["ratio"].min(), table["ratio"].max()])
        middle = np.exp(np.log(settled["norm4"]).mean() - np.log(settled["ratio"]).mean())
        ax.plot(ends, middle * ends, **style.LAW)
    ax.set_ylabel(r"$\|w\|^4$ of the kernels")
    ax.set_title(f"slope {span(slopes(table).dropna(), 3)}")


def _key(figure: Figure, table: pd.DataFrame, looks: dict[float, tuple[str, str]]) -> None:
    """Colours and shapes are weight decays; what dots, lines and crosses mean; what was trained."""
    seeds, facts = table["seed"].nunique(), table.iloc[0]
    decays: keys.Group = {
        f"λ = {plain(decay)}": keys.line(color=colour, marker=shape, markersize=4.5, linewidth=1.1)
        for decay, (colour, shape) in looks.items()
    }
    marks: keys.Group = {f"mean of {count(seeds, 'seed')} (left)": keys.line(linewidth=1.1)}
    marks["one seed (left)"] = keys.marker("o", markersize=1.8)
    if (table["failure"] != "").any():
        marks["one that failed"] = keys.marker("x")
    norms: keys.Group = {"one seed, settled": keys.marker("o")}
    if (table["outcome"] == UNSETTLED).any():
        norms["not settled"] = keys.marker("o", mfc="white", mew=0.7)
    norms["equal αλ, mean"] = keys.line(color="0.6", linewidth=0.7)
    norms["slope 1"] = keys.line(**style.LAW)
    made = f"β = {plain(facts['momentum'])}, {plain(facts['updates'], 9)} updates"
    setting = f"{network(facts['arch'])}, {initialisation(facts['init'])}, B = {facts['batch_size']}"
    keys.key(figure, {"weight decay": decays, setting: marks, made: norms})
