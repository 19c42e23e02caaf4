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
    """The rows in which only `factor` ("depth" or "init") varies: the other one is that of most searches."""
    other = "init" if factor == "depth" else "depth"
    most = table.groupby(other)[factor].nunique().idxmax()
    return table[table[other] == most].sort_values([factor, "norm", "seed"], key=_xavier_first)


def _xavier_first(column: pd.Series) -> pd.Series:
    """Sort key: initialisations by name with Xavier first, everything else as it is."""
    return column.map(lambda v: (not v.startswith("xavier"), v)) if column.name == "init" else column
