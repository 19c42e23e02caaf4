"""Values that some network, sooner or later, has: NaN, infinite, zero, or some of each, in all rows or one norm's."""

import numpy as np

MIXED = (np.nan, np.inf, 0.0, 1e-30, 1e30, 1.0)


def replaced(values, columns, case, mixed=MIXED):
    """The table in which these columns are all of the case's kind, or those of its last norm: "one norm NaN"."""
    values, rows = values.reset_index(drop=True), np.ones(len(values), dtype=bool)
    if case.startswith("one norm"):
        rows = values["norm"].to_numpy() == values["norm"].iloc[-1]
    extreme = {"NaN": np.nan, "infinite": np.inf, "zero": 0.0}.get(case.split()[-1])
    for column in columns:
        some = np.resize(mixed, len(values))
        values[column] = np.where(rows, some if extreme is None else extreme, values[column])
    return values
