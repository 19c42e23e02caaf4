"""The gradient's noise along training: a single sample's variance, the noise of an update, and the noise scale."""

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from understanding_bn.figures import style
from understanding_bn.figures.trained_runs import CELL, scale, structure, with_failures

COLUMNS = [*CELL, "seed", "failure", "epoch", "fraction", "bn_mode", "noise", "constant", "update_noise", "noise_scale"]
PANELS = (
    ("constant", "single-sample variance C"),
    ("update_noise", "noise of an update  α²·E‖g_B − g‖²"),
    ("noise_scale", "noise scale  tr Σ / |g|²  (images)"),
)
STYLES = ("-", "--", "-.", ":")


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A panel per quantity against training done; medians over sound seeds with the spread from least to most.

    `values`: histories and rows of `gradient_structure` on trained networks. Drawn are the cells of the network and
    batch size that most cells share, without runs that failed; the CSV has all.
    """
    table = with_failures(noise(values[values["quantity"].notna()]), values)
    drawn = most_common(table[table["failure"] == ""] if (table["failure"] == "").any() else table)
    norms = style.ordered(drawn["norm"])
    palette = style.colours(norms)
    alphas = sorted(drawn["alpha"].unique(), reverse=True)
    figure, axes = plt.subplots(1, len(PANELS), figsize=(style.WIDTH, 3.1))
    for ax, (quantity, title) in zip(axes, PANELS, strict=True):
        for norm in norms:
            for alpha, line in zip(alphas, STYLES * len(alphas), strict=False):
                here = drawn[(drawn["norm"] == norm) & (drawn["alpha"] == alpha)].dropna(subset=quantity)
                grouped = here[here[quantity] > 0].groupby("fraction")[quantity]
                middle = grouped.median()
                label = f"{style.label(norm)}, α = {alpha:g}" if len(middle) else None
                ax.plot(100 * middle.index, middle, line, marker=".", color=palette[norm], label=label)
                ax.fill_between(
                    100 * middle.index, grouped.min(), grouped.max(), color=palette[norm], alpha=0.15, linewidth=0
                )
        ax.set(yscale="log", xlabel="training done (%)")
        ax.set_title(title)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    facts = drawn.iloc[0]
    figure.suptitle(
        f"{facts['arch'].replace('resnet', 'ResNet')}, B = {facts['batch_size']}, {drawn['seed'].nunique()} seeds: "
        "median, least and most; failed runs left out",
        fontsize=7,
    )
    return figure, {"": table[COLUMNS]}


def noise(values: pd.DataFrame) -> pd.DataFrame:
    """One row per network measured: CELL, seed, epoch, fraction, bn_mode and the quantities of `PANELS`.

    Before training a network belongs to every α of its norm and B: it has a row for each.
    """
    modes = values[(values["block"] == "all") & (values["bn_mode"] != "eval")]
    table = structure(values, extra=("epoch", "fraction"))
    table["bn_mode"] = table["norm"].map(modes.groupby("norm")["bn_mode"].first())
    start = table[table["epoch"] == 0].drop(columns=["alpha", "epochs"])
    network = ["arch", "init", "norm", "batch_size", "seed"]
    cells = table[table["epoch"] > 0][[*network, "alpha", "epochs"]].drop_duplicates()
    table = pd.concat([cells.merge(start, on=network), table[table["epoch"] > 0]], ignore_index=True)
    table["update_noise"] = table["alpha"] ** 2 * table["noise"]
    table["noise_scale"] = scale(table)
    return table.sort_values([*CELL, "seed", "epoch"], ignore_index=True)


def most_common(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the (arch, init, batch_size) of most cells."""
    network = ["arch", "init", "batch_size"]
    counts = table[CELL].drop_duplicates().groupby(network, sort=False).size()
    return table[(table[network] == pd.Series(counts.idxmax(), index=network)).all(axis=1)]
