"""The largest stable learning rate. `max_learning_rate` has a row for each search and α tried, with its outcome."""

import math

import pandas as pd

from understanding_bn import architecture

SEARCH = ["norm", "init", "arch", "seed"]


def largest_by_network(max_learning_rate: pd.DataFrame) -> pd.DataFrame:
    """The largest stable α of every search (see `largest_stable`), with depth."""
    table = largest_stable(max_learning_rate, SEARCH)
    return table.assign(depth=table["arch"].map(architecture.depth))


def largest_stable(trials: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """One row per search, a search being a value of `keys`: alpha, the largest stable one, limit and fails_by.

    Where no α of the grid was stable, alpha is NaN and limit is "below"; where even the largest was, limit is
    "above": the true value is at least alpha. Otherwise limit is "". fails_by is the outcome at the smallest unstable
    α.
    """
    rows = []
    for key, search in trials.groupby(keys, sort=False):
        stable = search["alpha"][search["outcome"] == "stable"]
        unstable = search["alpha"][search["outcome"] != "stable"]
        limit = "below" if stable.empty else "above" if unstable.empty else ""
        first_bad = search.loc[unstable.idxmin(), "outcome"] if len(unstable) else ""
        alpha = stable.max() if len(stable) else math.nan
        rows.append((*key, alpha, limit, first_bad))
    return pd.DataFrame(rows, columns=[*keys, "alpha", "limit", "fails_by"])


def varied(table: pd.DataFrame, factor: str) -> pd.DataFrame:
    """The rows in which only `factor` ("depth" or "init") varies; the other one is that of the preset's own network.

    That network comes first in the table, as `MaxLearningRate.made_on` lists it; a preset may search others crosswise.
    """
    other = "init" if factor == "depth" else "depth"
    own = table[other].iloc[0]
    return table[table[other] == own].sort_values([factor, "norm", "seed"], key=_xavier_first)


def crossed(table: pd.DataFrame) -> pd.DataFrame:
    """The rows without normalisation of the initialisations that were searched at other depths than the preset's own.

    Empty where there are none: `networks` of the config was left out.
    """
    init, depth = table[["init", "depth"]].iloc[0]
    others = table[(table["norm"] == "none") & (table["init"] != init)]
    elsewhere = set(others.loc[others["depth"] != depth, "init"])
    return others[others["init"].isin(elsewhere)].sort_values(["init", "depth", "seed"])


def _xavier_first(column: pd.Series) -> pd.Series:
    """Sort key: initialisations by name with Xavier first, everything else as it is."""
    return column.map(lambda v: (not v.startswith("xavier"), v)) if column.name == "init" else column
