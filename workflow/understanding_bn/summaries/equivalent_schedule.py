"""Two trajectories that should agree. `equivalent_schedule` has a row for each norm, seed, comparison and update."""

import pandas as pd

NOTHING = "nothing"  # is broken: all that the theorem assumes of the schedule and the parameters holds
KEYS = ["norm", "broken"]


def after(equivalent_schedule: pd.DataFrame, updates: int) -> pd.DataFrame:
    """The rows after so many updates: one for each norm, comparison and seed."""
    return equivalent_schedule[equivalent_schedule["update"] == updates]


def medians(equivalent_schedule: pd.DataFrame) -> pd.DataFrame:
    """KEYS, update, median, min, max (of the difference over seeds), seeds and without_value (how many have none).

    Seeds without a value are those whose logits are not finite; the others' median and range are taken.
    """
    by_update = equivalent_schedule.groupby([*KEYS, "update"], sort=False)["difference"]
    table = by_update.agg(["median", "min", "max", "size", "count"]).reset_index()
    table["without_value"] = table["size"] - table["count"]
    return table.rename(columns={"size": "seeds"}).drop(columns="count")
