"""Final test accuracy against α for several norms: what `single_final_bn` and `other_norms` share."""

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn import paper
from understanding_bn.figures import style
from understanding_bn.summaries.training import CELL, endings

COLUMNS = [*CELL, "seed", "test_accuracy", "failure"]


def draw(histories: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """One line per norm over the mean of the sound seeds, a dash per seed, a cross where seeds failed.

    A seed that diverged has no accuracy, and one that stayed at chance no meaningful one: crosses at the bottom say how
    many failed, and the CSV has them with their failure.
    """
    last = endings(histories)[COLUMNS]
    sound = last[last["failure"].isna()].assign(accuracy=lambda rows: 100 * rows["test_accuracy"])
    colour = style.by_norm(last)
    names = style.labels(colour["palette"])
    at_scale = paper.is_scale_of(histories)
    figure, ax = plt.subplots(figsize=(0.75 * style.WIDTH, 3.0))
    if len(sound):
        common = {"data": sound, "x": "alpha", "y": "accuracy", "ax": ax} | colour
        sns.scatterplot(**common, marker="_", linewidth=1, alpha=0.7, legend=False)
        sns.lineplot(**common, errorbar=None, marker="o", mec="none", markersize=4)
    lowest = sound["accuracy"].min() if len(sound) else 0
    bottom = max(0, lowest - 0.25 * (100 - lowest))
    for position, (norm, shade) in enumerate(colour["palette"].items()):
        of_norm = last[last["norm"] == norm]
        height = bottom + (0.03 + 0.05 * position) * (100 - bottom)
        for alpha, runs in of_norm.groupby("alpha"):
            if failed := runs["failure"].notna().sum():
                ax.plot(alpha, height, "x", color=shade, markersize=5)
                text = {"textcoords": "offset points", "fontsize": 6, "color": shade}
                ax.annotate(f"{failed}/{len(runs)} failed", (alpha, height), (4, -2), **text)
        published = [(a, share) for (n, a), share in paper.FINAL_TEST_ACCURACY.items() if n == norm and at_scale]
        for origin in dict.fromkeys(share.origin for _, share in published):
            name = f"{style.label(norm)}, {style.paper(origin)}"
            names[name] = name
            look = {"color": shade, "mfc": "white", "markersize": 4, "label": name}
            marks = [(alpha, 100 * share.value) for alpha, share in published if share.origin == origin]
            ax.plot(*zip(*marks, strict=True), "D", **look)
    ax.set(xscale="log", xlabel="learning rate α", ylabel="final test accuracy (%)", ylim=(bottom, 100))
    ax.margins(x=0.12)
    title = f"mean and {last['seed'].nunique()} seeds"
    style.legend(ax, names, title=title, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure, {"": last}
