"""Final test accuracy against α for several norms: what `single_final_bn` and `other_norms` share."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn import paper
from understanding_bn.figures import style

CELL = ["arch", "init", "norm", "alpha", "batch_size", "epochs"]
COLUMNS = [*CELL, "seed", "test_accuracy", "failure"]


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """One line per norm over the mean of the sound seeds, a dash per seed, a cross where seeds failed.

    `values`: training histories. A seed that diverged has no accuracy and one that stayed at chance no meaningful
    one: both are counted beside a cross on the bottom line, and stand in the CSV with their failure.
    """
    last = values.sort_values("epoch").groupby([*CELL, "seed"], as_index=False).tail(1).sort_values([*CELL, "seed"])
    norms = style.ordered(last["norm"])
    palette = style.colours(norms)
    figure, ax = plt.subplots(figsize=(0.75 * style.WIDTH, 3.0))
    sound = last[last["failure"].isna()]
    lowest = 100 * sound["test_accuracy"].min() if len(sound) else 0
    bottom = max(0, lowest - 0.25 * (100 - lowest))
    ax.set_ylim(bottom, 100)
    for position, norm in enumerate(norms):
        here = sound[sound["norm"] == norm]
        ax.plot(here["alpha"], 100 * here["test_accuracy"], "_", color=palette[norm], markersize=7, alpha=0.7)
        mean = 100 * here.groupby("alpha")["test_accuracy"].mean()
        ax.plot(mean.index, mean, "-o", markersize=4, color=palette[norm], label=style.label(norm))
        failed = last[(last["norm"] == norm) & last["failure"].notna()]
        for alpha, group in failed.groupby("alpha"):
            of = len(last[(last["norm"] == norm) & (last["alpha"] == alpha)])
            height = bottom + (0.03 + 0.05 * position) * (100 - bottom)
            ax.plot(alpha, height, "x", color=palette[norm], markersize=5)
            text = f"{len(group)}/{of} failed"
            ax.annotate(text, (alpha, height), (4, -2), textcoords="offset points", fontsize=6, color=palette[norm])
        if paper.is_scale_of(values):
            published = {a: v for (n, a), v in paper.FINAL_TEST_ACCURACY.items() if n == norm}
            ax.plot(
                list(published),
                [100 * v for v in published.values()],
                "D",
                color=palette[norm],
                markerfacecolor="white",
                markersize=4,
                label=f"{style.label(norm)}, paper" if published else None,
            )
    ax.set(xscale="log", xlabel="learning rate α", ylabel="final test accuracy (%)")
    ax.margins(x=0.12)
    ax.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), title=f"mean and {last['seed'].nunique()} seeds", title_fontsize=7
    )
    return figure, {"": last[COLUMNS]}
