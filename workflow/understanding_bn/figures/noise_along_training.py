"""The gradient's noise along training: a single sample's variance, the noise of an update, and the noise scale."""

from itertools import product

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn.figures import style
from understanding_bn.summaries.gradient_structure import along_training
from understanding_bn.summaries.training import CELL, main_network, of_network, with_failures

COLUMNS = [*CELL, "seed", "failure", "epoch", "fraction", "bn_mode", "noise", "constant", "update_noise", "noise_scale"]
PANELS = {
    "constant": "single-sample variance C",
    "update_noise": "noise of an update " + style.UPDATE_NOISE,
    "noise_scale": "noise scale  tr Σ / |g|²  (images)",
}
LEGEND = {"handlelength": 3, "columnspacing": 1}  # long enough to tell dashes apart
DASHES = ("", (4, 1.5), (5, 1, 1, 1), (1, 1))  # of a learning rate, from the largest


def draw(histories: pd.DataFrame, gradient_structure: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A panel per quantity against training done; medians over sound seeds with the spread from least to most.

    Drawn are the cells of the network and batch size that most cells share, without runs that failed; the CSV has all.
    """
    table = with_failures(along_training(gradient_structure), histories)
    sound = table[table["failure"] == ""]
    shown = sound if len(sound) else table
    shown = of_network(shown, main_network(shown))
    shown = shown.assign(done=100 * shown["fraction"])
    norms, alphas = style.ordered(shown["norm"]), sorted(shown["alpha"].unique(), reverse=True)
    dashes = dict(zip(alphas, DASHES * len(alphas), strict=False))
    figure, axes = plt.subplots(1, len(PANELS), figsize=(style.WIDTH, 3.1))
    for ax, (quantity, title) in zip(axes, PANELS.items(), strict=True):
        positive = shown[shown[quantity] > 0]
        for norm, alpha in product(norms, alphas):
            curve = positive[(positive["norm"] == norm) & (positive["alpha"] == alpha)]
            if curve.empty:
                continue
            look = {"color": style.colours(norms)[norm], "dashes": dashes[alpha], "marker": ".", "ms": 6, "mec": "none"}
            spread = {"estimator": "median", "errorbar": style.RANGE, "err_kws": style.BAND}
            name = f"{style.label(norm)}, α = {alpha:g}"
            sns.lineplot(curve, x="done", y=quantity, ax=ax, label=name, legend=False, **look, **spread)
        ax.set(yscale="log", xlabel="training done (%)", ylabel="", title=title)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(norms)), **LEGEND)
    facts = shown.iloc[0]
    text = f"{facts['arch'].replace('resnet', 'ResNet')}, B = {facts['batch_size']}, {shown['seed'].nunique()} seeds"
    figure.suptitle(f"{text}: median, least and most; failed runs left out", fontsize=7)
    return figure, {"": table[COLUMNS]}
