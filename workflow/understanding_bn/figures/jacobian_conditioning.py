"""The condition number of the input–output Jacobian against depth, beside a product of Gaussian matrices."""

import functools
import math

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from understanding_bn import architecture
from understanding_bn.analysis import random_matrices
from understanding_bn.claims.statistics import bootstrap
from understanding_bn.figures import style

NETWORK = ["shortcut", "norm", "bn_mode", "init"]
MATRIX = ["arch", "norm", "bn_mode", "init", "seed", "image"]
QUANTITIES = ("log10_condition", "log10_median_ratio")
COLUMNS = [
    *("arch", "shortcut", "depth", "norm", "bn_mode", "init", "batch_size", "seed", "image"),
    *("size", "rank", "resolved", "log10_condition", "log10_median_ratio", "log10_passed_ratio", "log10_largest"),
]
SHORTCUTS = {"projection": "with shortcuts", "padding": "zero-padded shortcuts", "none": "without shortcuts"}
# Label and colour of an initialisation, of Okabe & Ito's palette.
INITS = {
    "xavier_uniform": ("Xavier", "#0072B2"),
    "xavier_normal": ("Xavier, normal", "#56B4E9"),
    "xavier_convolutions": ("Xavier, convolutions", "#882255"),
    "kaiming": ("Kaiming", "#E69F00"),
    "orthogonal": ("orthogonal", "#009E73"),
    "delta_orthogonal": ("delta-orthogonal", "#000000"),
    "fixup": ("Fixup", "#CC79A7"),
    "branch_scaled": ("branches × 1/√L", "#D55E00"),
}
MARKERS = ("o", "s", "^", "D", "v", "P")  # of a norm and BN mode, in order


def draw(values: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """A row for each kind of shortcut; a column for each norm and BN mode, and one for the slopes.

    `values`: columns of `analysis.jacobian_conditioning`. Dots are seeds and images, lines their medians. What is
    infinite to working precision stands on a line at the top, with its rank. The summary has the slopes.
    """
    table = conditions(values)
    summary = slopes(table)
    modes = _modes(table)
    shortcuts = [kind for kind in SHORTCUTS if kind in set(table["shortcut"])]
    inits = [init for init in INITS if init in set(table["init"])]
    inits += sorted(set(table["init"]) - set(inits))
    highest = table["log10_condition"].max()
    top = 1.0 if math.isnan(highest) else math.ceil(highest + 0.5)
    figure, axes = plt.subplots(
        len(shortcuts),
        len(modes) + 1,
        figsize=(style.WIDTH, 0.8 + 2.1 * len(shortcuts)),
        sharex="col",
        squeeze=False,
    )
    for row, shortcut in zip(axes, shortcuts, strict=True):
        of_kind = table[table["shortcut"] == shortcut]
        for ax, (norm, bn_mode) in zip(row, modes, strict=False):
            _panel(ax, of_kind[(of_kind["norm"] == norm) & (of_kind["bn_mode"] == bn_mode)], inits, top)
            ax.set_title(f"{_name(norm, bn_mode)}\n{SHORTCUTS[shortcut]}")
            ax.tick_params(labelleft=ax is row[0])
        row[0].set_ylabel(r"condition number $\sigma_1/\sigma_N$")
        _slopes(row[-1], summary[summary["shortcut"] == shortcut], modes, inits)
    for ax in axes[-1]:
        ax.set_xlabel("depth" if ax is not axes[-1, -1] else "decades per layer")
    _legend(figure, table, inits, modes)
    return figure, {"": table, "summary": summary}


def conditions(values: pd.DataFrame) -> pd.DataFrame:
    """One row per Jacobian: `COLUMNS`, from the singular values σ₁ ≥ … ≥ σ_size of a matrix of m × n entries.

    rank counts σ > σ₁ · max(m, n) · 2^−52, as NumPy's matrix_rank does. Where it is less than size, resolved is False,
    for the condition number σ₁/σ_size is infinite to working precision, and log10_condition NaN; log10_passed_ratio
    is of σ₁/σ_rank, of the directions that pass. log10_median_ratio is of σ₁ over the median, NaN where that is zero
    to working precision. All are NaN for a matrix of zeros.
    """
    rows = []
    for key, here in values.groupby(MATRIX, sort=False):
        singular = np.sort(here["singular_value"].to_numpy())[::-1]
        facts = here.iloc[0]
        arch = facts["arch"]
        shortcut, depth = architecture.parse(arch)
        tolerance = singular[0] * max(facts["outputs"], facts["inputs"]) * np.finfo(np.float64).eps
        rank = int((singular > tolerance).sum())
        size, median = len(singular), float(np.median(singular))
        rows.append(
            dict(zip(MATRIX, key, strict=True))
            | {"shortcut": shortcut, "depth": depth, "batch_size": facts["batch_size"]}
            | {"size": size, "rank": rank, "resolved": rank == size}
            | {
                "log10_condition": _log10_ratio(singular[0], singular[-1]) if rank == size else math.nan,
                "log10_median_ratio": _log10_ratio(singular[0], median) if median > tolerance else math.nan,
                "log10_passed_ratio": _log10_ratio(singular[0], singular[rank - 1]) if rank else math.nan,
                "log10_largest": math.log10(singular[0]) if rank else math.nan,
            }
        )
    return pd.DataFrame(rows)[COLUMNS]


def slopes(table: pd.DataFrame) -> pd.DataFrame:
    """Least-squares slopes of both ratios' log10 on depth (decades per layer), with 95 % intervals over seeds.

    One row per shortcut, norm, bn_mode and init. Fitted are depths at which every seed and image is resolved, for an
    infinite condition number has no place in a mean; NaN if these are fewer than two. `*_theory` is Theorem 1's slope
    over the same depths, or over all where there is none. `unresolved` counts matrices of infinite condition.
    """
    rows = []
    for key, here in table.groupby(NETWORK, sort=False):
        row = dict(zip(NETWORK, key, strict=True))
        row |= {"size": here["size"].iloc[0], "seeds": here["seed"].nunique(), "matrices": len(here)}
        row |= {"unresolved": int((~here["resolved"]).sum()), "lowest_rank": here["rank"].min()}
        for which, quantity in enumerate(QUANTITIES):
            whole = here.groupby("depth")[quantity].transform(lambda column: column.notna().all())
            fitted = here[whole]
            depths = sorted((fitted if fitted["depth"].nunique() > 1 else here)["depth"].unique().tolist())
            expected = [theory(depth, int(row["size"]))[which] for depth in depths]
            name = quantity.removeprefix("log10_")
            row |= dict(zip((f"{name}_slope", f"{name}_low", f"{name}_high"), _fit(fitted, quantity), strict=True))
            row[f"{name}_theory"] = float(np.polyfit(depths, expected, 1)[0]) if len(depths) > 1 else math.nan
        rows.append(row)
    return pd.DataFrame(rows)


@functools.cache
def theory(depth: int, size: int) -> tuple[float, float]:
    """log10 of σ₁/σ_N and of σ₁/σ_(N/2) by Theorem 1, for as many N × N factors as the network has convolutions.

    These are depth − 1: the linear layer comes after the features. N is the smaller side of the Jacobian.
    """
    return random_matrices.log10_condition(depth - 1, size)


def _fit(here: pd.DataFrame, quantity: str) -> tuple[float, float, float]:
    """(slope, low, high) of a quantity on depth; seeds are resampled, each with all its depths and images."""
    if here["depth"].nunique() < 2:
        return math.nan, math.nan, math.nan
    x, y = here["depth"] - here["depth"].mean(), here[quantity]
    sums = pd.DataFrame({"n": 1.0, "x": x, "y": y, "xx": x * x, "xy": x * y}).groupby(here["seed"]).sum().to_numpy()

    def slope(index: np.ndarray) -> np.ndarray:
        n, x, y, xx, xy = np.moveaxis(sums[index].sum(axis=-2), -1, 0)
        return (n * xy - x * y) / (n * xx - x * x)

    low, high = bootstrap(slope, len(sums)) or (math.nan, math.nan)
    return float(slope(np.arange(len(sums)))), low, high


def _log10_ratio(large: float, small: float) -> float:
    """log10(large / small), without the quotient, which may be too large for a float."""
    return math.log10(large) - math.log10(small)


def _modes(table: pd.DataFrame) -> list[tuple[str, str]]:
    """The (norm, bn_mode) present: no norm first, then batch norm in train mode and in eval mode, then others."""
    present = set(table[["norm", "bn_mode"]].itertuples(index=False, name=None))
    known = [("none", "none"), ("batch", "train"), ("batch", "eval")]
    return [pair for pair in known if pair in present] + sorted(present - set(known))


def _name(norm: str, bn_mode: str) -> str:
    """What the figure calls a norm in a BN mode."""
    return style.label(norm) + ("" if bn_mode == "none" else f", {bn_mode} mode")


def _look(init: str) -> tuple[str, str]:
    """Label and colour of an initialisation."""
    return INITS.get(init, (init.replace("_", " "), "#999933"))


def _panel(ax: Axes, here: pd.DataFrame, inits: list[str], top: float) -> None:
    """log10 of the condition numbers of one kind of network, and the theory's, which soon leaves the panel."""
    depths = sorted(here["depth"].unique())
    ceiling = 1.08 * top
    below = 0.0
    for number, init in enumerate(inits):
        # Side by side, so that they do not hide one another.
        shift = 0.012 * max(depths) * (number - (len(inits) - 1) / 2)
        chosen = here[here["init"] == init]
        name, colour = _look(init)
        ax.plot(chosen["depth"] + shift, chosen["log10_condition"], ".", color=colour, markersize=4, alpha=0.5, mew=0)
        finite = chosen[chosen.groupby("depth")["resolved"].transform("all")]
        median = finite.groupby("depth")["log10_condition"].median()
        ax.plot(median.index + shift, median, "-", color=colour)
        infinite = chosen[~chosen["resolved"]]
        if len(infinite):
            places = np.sort(infinite["depth"].unique())
            ax.plot(places + shift, np.full(len(places), ceiling), "o", color=colour, mfc="white", markersize=3.5)
            text = f"{name}: rank {style.span(infinite['rank'].drop_duplicates(), 'd')}"
            ax.annotate(
                text,
                (1, ceiling),
                (0, -6 - below),
                ("axes fraction", "data"),
                "offset points",
                ha="right",
                va="top",
                fontsize=5.5,
                color=colour,
            )
            below += 7
    size = int(here["size"].max())
    expected, product = [theory(2, size)[0]], [2]
    while expected[-1] < top and product[-1] < max(depths):
        product.append(product[-1] + 1)
        expected.append(theory(product[-1], size)[0])
    # It ends at the top: above it is infinity.
    product[-1] = float(np.interp(top, expected, product))
    ax.plot(product, np.minimum(expected, top), "--", color="0.35", linewidth=1)
    ax.axhline(ceiling, color="0.7", linewidth=0.6, zorder=0)
    ax.set(xlim=(0, 1.08 * max(depths)), ylim=(0, 1.15 * top))
    ax.set_xticks(depths, [str(depth) for depth in depths])
    ticks = np.arange(0, top + 1, max(1, round(top / 6)))
    ax.set_yticks([*ticks[ticks <= top], ceiling], [*(f"$10^{{{tick:.0f}}}$" for tick in ticks[ticks <= top]), "∞"])


def _slopes(ax: Axes, summary: pd.DataFrame, modes: list[tuple[str, str]], inits: list[str]) -> None:
    """Slopes and their intervals: a line of the panel for each initialisation, a marker for each norm and BN mode."""
    for row in summary.itertuples():
        order = modes.index((row.norm, row.bn_mode))
        y = inits.index(row.init) + 0.2 * (order - (len(modes) - 1) / 2)
        colour = _look(row.init)[1]
        ax.plot([row.condition_low, row.condition_high], [y, y], "-", color=colour)
        ax.plot(row.condition_slope, y, MARKERS[order % len(MARKERS)], color=colour, markersize=3, mew=0)
    for number, init in enumerate(inits):
        own = summary[summary["init"] == init]
        if own["condition_slope"].isna().all() and own["condition_theory"].notna().any():
            name, colour = _look(init)
            place = {"ha": "center", "va": "center", "transform": ax.get_yaxis_transform()}
            ax.text(0.5, number, f"{name}: ∞", fontsize=5.5, color=colour, **place)
    theory = summary["condition_theory"].mean()
    title = "one depth: no slopes" if np.isnan(theory) else f"slopes (Theorem 1: {theory:.2f})"
    ax.set(ylim=(len(inits) - 0.5, -0.5), title=title)
    ax.set_yticks([])
    ax.axvline(0, color="0.6", linewidth=0.7)


def _legend(figure: Figure, table: pd.DataFrame, inits: list[str], modes: list[tuple[str, str]]) -> None:
    """One legend below all panels: colours, the theory, and the slopes' markers."""
    batch = ", ".join(map(str, sorted(table["batch_size"].unique())))
    images = table["image"].nunique()
    sizes = sorted(table["size"].unique())
    lines = [Line2D([], [], color=colour, label=name) for name, colour in map(_look, inits)]
    text = f"Theorem 1, N = {', '.join(map(str, sizes))}"
    lines.append(Line2D([], [], color="0.35", linestyle="--", label=text))
    lines.append(Line2D([], [], color="0.35", marker="o", mfc="white", markersize=3.5, linestyle="", label="rank < N"))
    for order, mode in enumerate(modes):
        marker = MARKERS[order % len(MARKERS)]
        lines.append(Line2D([], [], color="0.35", marker=marker, markersize=3, linestyle="", label=_name(*mode)))
    title = f"{table['seed'].nunique()} seeds, {images} image{'s' * (images > 1)} of each, mini-batches of B = {batch}"
    figure.legend(handles=lines, loc="outside lower center", ncols=5, title=title, title_fontsize=7)
