"""The Hessian's spectrum. `hessian_spectrum` has rows of several kinds for each network, moment, BN mode and block.

Kinds: "top" and "bottom" eigenvalues with their residuals; for each probe, "node" with its weight (stochastic Lanczos
quadrature) and "trace", one quadratic form v·Hv.

One number for a network, such as its sharpness, is of one measure for all networks: batch norm in eval mode if that was
measured, else in train mode. In train mode the loss itself depends on how the images are split into mini-batches, so
that networks of different B can be compared only where the partition is the same; in eval mode it does not.
"""

import math

import numpy as np
import pandas as pd

from understanding_bn import architecture
from understanding_bn.analysis.spectral import trace
from understanding_bn.summaries.training import CELL, at_shares

RUN = [*CELL, "seed", "epoch", "bn_mode", "partition"]
NETWORK = ["dataset", "arch", "init", "batch_size"]
WHOLE = "all"  # the block that is the whole network


def with_partition(hessian_spectrum: pd.DataFrame) -> pd.DataFrame:
    """The table with the images in each mini-batch of the partition, which earlier versions had as the cell's own B."""
    own = hessian_spectrum["batch_size"]
    known = hessian_spectrum.get("partition", own)
    return hessian_spectrum.assign(partition=known.fillna(own).astype("int64"))


def preferred(bn_modes: pd.Series) -> str:
    """The BN mode of the one measure: eval if it is among them, else train."""
    return "eval" if (bn_modes == "eval").any() else "train"


def of_mode(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of the one measure, and of networks without batch statistics, which have no mode."""
    return summary[summary["bn_mode"].isin([preferred(summary["bn_mode"]), "none"])]


def of_whole_network(hessian_spectrum: pd.DataFrame) -> pd.DataFrame:
    """The rows of the whole network and the one measure, at shares of training."""
    rows = at_shares(hessian_spectrum)
    return of_mode(with_partition(rows[rows["block"] == WHOLE]))


def sharpness_and_trace(hessian_spectrum: pd.DataFrame) -> pd.DataFrame:
    """CELL, seed, sharpness (largest eigenvalue), trace, and of what: sharpness_bn_mode and sharpness_partition.

    The trace is a mean over all probes: NaN where one of them is.
    """
    rows = of_whole_network(hessian_spectrum)
    keys = [*CELL, "seed"]
    sharpness = rows[rows["kind"] == "top"].groupby(keys)["value"].max().rename("sharpness")
    traces = rows[rows["kind"] == "trace"].groupby(keys)["value"].mean(skipna=False).rename("trace")
    how = rows.groupby(keys)[["bn_mode", "partition"]].first().add_prefix("sharpness_")
    return pd.concat([sharpness, traces, how], axis=1).reset_index()


def largest_over_rms(hessian_spectrum: pd.DataFrame) -> pd.DataFrame:
    """CELL, seed and ratio: the largest eigenvalue over the root mean square of all, of the one measure.

    A probe's nodes with their weights are a distribution of eigenvalues: Σ w λ² is one estimate of tr H² / n. The mean
    square is their mean over probes, all of which must be finite; else the ratio is NaN.
    """
    rows = of_whole_network(hessian_spectrum)
    keys = [*CELL, "seed"]
    top = rows[rows["kind"] == "top"].groupby(keys)["value"].max()
    nodes = rows[rows["kind"] == "node"]
    squares = (nodes["weight"] * nodes["value"] ** 2).groupby([nodes[key] for key in keys]).sum(skipna=False)
    probes = nodes.groupby(keys)["probe"].nunique()
    squares = squares.where(np.isfinite(squares))
    return (top / (np.sqrt(squares) / np.sqrt(probes))).rename("ratio").reset_index()


def by_block(hessian_spectrum: pd.DataFrame) -> pd.DataFrame:
    """A row per run, epoch, BN mode and block: both ends, the larger of their residuals, the trace and its error.

    `hessian_spectrum` has the column `failure` (see `training.with_failures`).
    """
    rows = []
    spectra = with_partition(at_shares(hessian_spectrum))
    for key, network in spectra.groupby([*RUN, "failure", "block"], dropna=False, sort=False):
        kinds = {kind: network[network["kind"] == kind] for kind in ("top", "bottom", "trace")}
        top, bottom = kinds["top"]["value"], kinds["bottom"]["value"]
        ends = [column.idxmax() for column in (top, -bottom) if column.notna().any()]
        forms = kinds["trace"]["value"].to_numpy()
        mean = trace(forms) if len(forms) and np.isfinite(forms).all() else (math.nan, math.nan)
        rows.append((*key, top.max(), bottom.min(), network.loc[ends, "residual"].max(), *mean))
    measured = ["top_eigenvalue", "bottom_eigenvalue", "residual", "trace", "trace_stderr"]
    return pd.DataFrame(rows, columns=[*RUN, "failure", "block", *measured])


def most_measured(hessian_spectrum: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of one network and B: (at initialisation, at the end of training), whole network.

    At the end it has every BN mode. At initialisation there are no running statistics yet, so that eval mode says
    nothing, and is left out.

    It is the one with most runs, not cells as for `training.main_network`: a grid is often measured in part. Of several
    it is the deepest, then that with the largest B. Of several lengths of training with the same α, the one with most
    runs is taken, then the longest. Before training, the same B is taken if it was measured, else the largest.
    """
    main = hessian_spectrum[hessian_spectrum["block"] == WHOLE]
    trained = main[main["epoch"] > 0]
    trained = trained[trained["epoch"] == trained.groupby(["dataset", *CELL, "seed"])["epoch"].transform("max")]
    start = main[(main["epoch"] == 0) & (main["bn_mode"] != "eval")]
    counts = _count_runs(trained if len(trained) else start, NETWORK)
    dataset, arch, init, batch_size = max(
        counts.index, key=lambda network: (counts[network], architecture.depth(network[1]), network[3:])
    )

    def of_network(table: pd.DataFrame) -> pd.DataFrame:
        return table[(table["dataset"] == dataset) & (table["arch"] == arch) & (table["init"] == init)]

    start, trained = of_network(start), of_network(trained)
    trained = trained[trained["batch_size"] == batch_size]
    if len(trained):
        counts = _count_runs(trained, ["alpha", "epochs"]).reset_index(name="runs")
        lengths = counts.sort_values(["runs", "epochs"]).groupby("alpha")["epochs"].last()
        trained = trained[trained["epochs"] == trained["alpha"].map(lengths)]
    if len(start) and batch_size not in set(start["batch_size"]):
        batch_size = start["batch_size"].max()
    return start[start["batch_size"] == batch_size], trained


def _count_runs(values: pd.DataFrame, keys: list[str]) -> pd.Series:
    """The number of runs by these keys."""
    return values.groupby(keys)[["norm", "alpha", "seed"]].apply(lambda part: len(part.drop_duplicates()))
