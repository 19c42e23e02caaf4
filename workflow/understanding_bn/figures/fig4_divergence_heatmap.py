"""Fig. 4: channel means and variances along a diverging update."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from understanding_bn.figures import keys, style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import log_ticks, plain, positive
from understanding_bn.summaries.divergence_path import before_and_after

COLUMNS = ["norm", "seed", "layer", "percent", "channel", "mean", "variance"]
STATISTICS = {"mean": "|channel mean|", "variance": "channel variance"}
ACROSS = 2  # norms side by side


def draw(divergence_path: pd.DataFrame) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Rows are layers, columns |mean| and variance for each norm; the first seed of each norm.

    Every panel has its own logarithmic scale: on one for all, the layers above the last would be one colour. The
    summary has every seed: the largest |mean| and variance of each layer before and after the update, and which update
    it was.

    Raises:
        NothingToShow: no channel has a finite moment other than zero.
    """
    norms = style.ordered(divergence_path["norm"])[::-1]  # without normalisation first: that is where it happens
    layers = sorted(divergence_path["layer"].unique())
    drawn = divergence_path[divergence_path["seed"] == divergence_path["seed"].min()]
    if not len(positive(drawn[[*STATISTICS]].abs().to_numpy().ravel())):
        raise NothingToShow("No channel has a finite mean or variance other than zero along the update.")
    rows = -(-len(norms) // ACROSS)
    size = (style.WIDTH, 0.4 + rows * (0.6 + 1.2 * len(layers)))
    figure = plt.figure(figsize=size)
    parts = figure.subfigures(rows, min(ACROSS, len(norms)), squeeze=False).flat
    lost = False
    for part, norm in zip(parts, norms, strict=False):
        of_norm = drawn[drawn["norm"] == norm]
        part.suptitle(_what_happened(norm, of_norm.iloc[0]), fontsize="medium")
        axes = part.subplots(len(layers), len(STATISTICS), squeeze=False)
        for row, layer in zip(axes, layers, strict=True):
            for ax, (statistic, name) in zip(row, STATISTICS.items(), strict=True):
                grid = of_norm[of_norm["layer"] == layer].pivot(index="percent", columns="channel", values=statistic)
                lost |= _panel(ax, grid.abs(), name)
                first = ax is row[0]
                ax.set(xlabel="channel" if layer == layers[-1] else "")
                ax.set_ylabel(f"layer {layer}\nupdate applied (%)" if first else "")
                ax.tick_params(labelleft=first)
    if lost:
        keys.key(figure, {"lost": {"overflow or NaN": keys.band(facecolor=keys.LOST)}}, headings=False)
    return figure, {"": drawn[COLUMNS], "summary": before_and_after(divergence_path)}


def _what_happened(norm: str, facts: pd.Series) -> str:
    """Whether an update diverged, and which update is shown."""
    start = f"{style.label(norm)}, α = {plain(facts['alpha'])}, seed {facts['seed']}"
    if facts["diverged"]:
        return f"{start}\nupdate {facts['update']}, which diverges"
    return f"{start}\nupdate {facts['update']}; none up to it diverges"


def _panel(ax: Axes, grid: pd.DataFrame, name: str) -> bool:
    """The moments of a layer with their colour bar; whether some of them are not finite."""
    finite = grid.where(np.isfinite(grid))
    values = positive(finite.to_numpy().ravel())
    ax.set_facecolor(keys.LOST)
    low, high = (np.quantile(values, 0.01), values.max()) if len(values) else (0.1, 1)
    low = min(low, high / 4)  # a range that is wide enough for ticks
    # Zeros, which a logarithm does not know, count as below the range.
    shown = np.ma.masked_invalid(finite.clip(lower=np.finfo(float).tiny))
    edges = (_edges(axis.to_numpy(dtype=float)) for axis in (grid.columns, grid.index))
    mesh = ax.pcolormesh(*edges, shown, norm=LogNorm(low, high), cmap="viridis", rasterized=True)
    ax.grid(False)
    for axis, places in ((ax.xaxis, grid.columns), (ax.yaxis, grid.index)):
        axis.set_ticks(np.unique(np.asarray(places)[[0, len(places) // 2, -1]]))
    figure = ax.get_figure()
    assert figure is not None
    bar = figure.colorbar(mesh, ax=ax, label=name, aspect=14, pad=0.03, extend="min", extendfrac=0.06)
    bar.minorticks_off()
    ticks = log_ticks(low, high)
    bar.set_ticks([*ticks], labels=[*ticks.values()])
    return bool((~np.isfinite(grid)).to_numpy().any())


def _edges(centres: np.ndarray) -> np.ndarray:
    """The sides of evenly spaced cells."""
    half = (centres[1] - centres[0]) / 2 if len(centres) > 1 else 0.5
    return np.append(centres - half, centres[-1] + half)
