"""How far the inputs of layers move from one update to the next, and where norms are compared.

`covariate_shift` has a row for each network, moment of training, update and layer.
"""

import pandas as pd

from understanding_bn.summaries.training import CELL, at_shares, chosen_by, main_network, of_network

NOISY = "noisy-batch"
COMPARED = ("batch", NOISY, "none")
SHIFTS = ["shift", "of_mean", "of_std", "dead"]


def compared(table: pd.DataFrame) -> pd.DataFrame:
    """The rows with batch norm, noisy batch norm and none, of the network that has most cells with noisy batch norm.

    `table` has CELL. Of two lengths of training the longest counts. Empty without noisy batch norm.
    """
    noisy = table[table["norm"] == NOISY]
    if noisy.empty:
        return noisy
    table = of_network(table[table["norm"].isin(COMPARED)], main_network(noisy))
    return table[table["epochs"] == table["epochs"].max()]


def compared_alpha(table: pd.DataFrame) -> float | None:
    """The learning rate at which these norms are compared; None if there is none.

    Of those at which every norm was trained and no seed of any failed, it is the one at which batch norm is most
    accurate, on the validation split where there is one.

    Args:
        table: of `compared`, one row for each run as it ended; failure is missing or "" for a sound one.
    """
    column = chosen_by(table)
    sound = (table["failure"].fillna("") == "").groupby([table["alpha"], table["norm"]]).all().unstack()
    everywhere = sound.reindex(columns=COMPARED).fillna(False).astype(bool).all(axis=1)
    batch = table[(table["norm"] == "batch") & table["alpha"].isin(everywhere.index[everywhere])]
    return None if batch.empty else float(batch.groupby("alpha")[column].mean().idxmax())


def by_layer(covariate_shift: pd.DataFrame) -> pd.DataFrame:
    """Means over updates: a row for each data set, cell, seed, fraction, bn_mode and layer, with SHIFTS.

    An update that has no value leaves none to its mean.
    """
    keys = ["dataset", *CELL, "seed", "fraction", "bn_mode", "layer"]
    return at_shares(covariate_shift).groupby(keys, as_index=False)[SHIFTS].mean(skipna=False)


def by_run(covariate_shift: pd.DataFrame) -> pd.DataFrame:
    """CELL, seed and shift: the mean over layers, updates and moments of training. NaN if any of these is."""
    return by_layer(covariate_shift).groupby([*CELL, "seed"], as_index=False)["shift"].mean(skipna=False)
