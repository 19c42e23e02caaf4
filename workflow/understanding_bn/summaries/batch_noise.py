"""What the noise of batch statistics does to losses, and which batch size is best at each learning rate."""

import numpy as np
import pandas as pd

from understanding_bn.summaries.training import CELL, chosen_by, clean, images_of_statistics, last_rows

LOSSES = ["test_loss", "train_loss", "test_accuracy", "train_accuracy"]
BEST = [*CELL, "updates", "seed", "failure", "validation_accuracy", "test_accuracy"]


def by_statistics(histories: pd.DataFrame) -> pd.DataFrame:
    """Runs that differ in the images of their batch statistics alone: those of the largest B that has a ghost norm.

    Columns: CELL, seed, failure, statistics (the images that each statistic is from, B for batch norm) and LOSSES, on
    whole splits in eval mode; train images without augmentation. Losses are NaN where a run failed. Empty without a
    ghost norm and batch norm of the same network, α, B and epochs.
    """
    last = clean(last_rows(histories))
    table = last.assign(
        statistics=images_of_statistics(last), failure=last["failure"].astype("string").fillna("")
    ).dropna(subset="statistics")
    alike = [name for name in CELL if name not in ("norm", "alpha")]
    groups = [
        rows for _, rows in table.groupby(alike) if (rows["norm"] == "batch").any() and rows["norm"].nunique() > 1
    ]
    if not groups:
        return pd.DataFrame(columns=[*CELL, "seed", "failure", "statistics", *LOSSES])
    table = max(groups, key=lambda rows: (rows["batch_size"].iloc[0], len(rows)))
    table[LOSSES] = table[LOSSES].astype(float).where(table["failure"] == "", np.nan)
    table = table.astype({"statistics": int})
    return table[[*CELL, "seed", "failure", "statistics", *LOSSES]].sort_values(["alpha", "statistics", "seed"])


def smallest_beside_batch_norm(table: pd.DataFrame) -> pd.DataFrame:
    """The pairs of runs of `by_statistics` with the smallest ghost batches and with batch norm, by α and seed.

    Columns: alpha, seed, and NAME_ghost and NAME_batch for each of LOSSES.
    """
    ghosts = table[table["statistics"] < table["batch_size"]]
    ghosts = ghosts[ghosts["statistics"] == ghosts["statistics"].min()]
    whole = table[table["norm"] == "batch"]
    return ghosts.merge(whole, on=["alpha", "seed"], suffixes=("_ghost", "_batch"))


def sizes_at_equal_updates(histories: pd.DataFrame, least_alphas: int = 4, least_sizes: int = 3) -> pd.DataFrame:
    """The runs of batch norm's largest grid over α and B in which all cells make as many updates, BEST.

    A training of E epochs at batch size B has as many updates as another if E / B is the same. Only α with at least
    `least_sizes` sizes count. Empty where fewer than `least_alphas` do.
    """
    last = last_rows(histories)
    last = last[last["norm"] == "batch"]
    last = last.assign(updates=last["epochs"] / last["batch_size"], failure=last["failure"].astype("string").fillna(""))
    last = last.reindex(columns=[*last.columns, *({"validation_accuracy"} - {*last.columns})])
    grids = []
    for _, grid in last.groupby(["arch", "init", "updates"]):
        sizes = grid.groupby("alpha")["batch_size"].nunique()
        kept = grid[grid["alpha"].isin(sizes[sizes >= least_sizes].index)]
        if kept["alpha"].nunique() >= least_alphas:
            grids.append(kept)
    if not grids:
        return last.head(0)[BEST]
    return max(grids, key=lambda grid: len(grid[CELL].drop_duplicates()))[BEST].reset_index(drop=True)


def best_sizes(runs: pd.DataFrame) -> pd.DataFrame:
    """The best B of each α and seed, chosen on the validation split where there is one (`training.chosen_by`).

    A run that failed is not the best. Columns: alpha, seed, batch_size, at_edge (whether it is the smallest or largest
    B that was tried at this α, so that the true best may lie beyond it), and test_accuracy there.
    """
    column = chosen_by(runs)
    sound = runs[(runs["failure"] == "") & runs[column].notna()]
    best = sound.loc[sound.groupby(["alpha", "seed"])[column].idxmax()]
    tried = runs.groupby("alpha")["batch_size"].agg(["min", "max"])
    ends = tried.loc[best["alpha"]].to_numpy()
    edge = (best[["batch_size"]].to_numpy() == ends).any(axis=1)
    return best.assign(at_edge=edge)[["alpha", "seed", "batch_size", "at_edge", "test_accuracy"]].reset_index(drop=True)


def size_slopes(best: pd.DataFrame) -> pd.Series:
    """By seed, the slope of log2 best B on log2 α; NaN for a seed with fewer than two α."""

    def slope(of_seed: pd.DataFrame) -> float:
        x, y = np.log2(of_seed["alpha"].astype(float)), np.log2(of_seed["batch_size"].astype(float))
        return float(np.polyfit(x, y, 1)[0]) if x.nunique() > 1 else np.nan

    return pd.Series({seed: slope(rows) for seed, rows in best.groupby("seed")}, dtype=float)
