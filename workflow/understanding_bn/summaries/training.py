"""What training histories say of each run and cell. `histories` has a row for each cell, seed and epoch."""

import pandas as pd

from understanding_bn.norm_names import group_size

CELL = ["arch", "init", "norm", "alpha", "batch_size", "epochs"]
NETWORK = ["arch", "init", "batch_size"]
ENDING = ["train_accuracy", "clean_train_accuracy", "test_accuracy", "failure", "first_bad_step", "first_absolute_step"]
ENDING += ["last_finite_loss"]


def last_rows(histories: pd.DataFrame) -> pd.DataFrame:
    """The last row of every run: one per cell and seed."""
    return histories.sort_values("epoch").groupby([*CELL, "seed"], as_index=False).tail(1)


def clean(last: pd.DataFrame) -> pd.DataFrame:
    """Last rows with train_loss and train_accuracy in eval mode, without augmentation, as the test split's are.

    Records of earlier versions have only those of the last epoch's own mini-batches, which stay.
    """
    recorded = [name for name in ("train_loss", "train_accuracy") if f"clean_{name}" in last]
    return last.assign(**{name: last[f"clean_{name}"].astype(float).fillna(last[name]) for name in recorded})


def chosen_by(last: pd.DataFrame) -> str:
    """The column of last rows by which the best learning rate or cell is chosen, never by what is then compared.

    It is the accuracy on the validation split. Without one only the test split is left.
    """
    column = "validation_accuracy"
    sound = last[last["test_accuracy"].notna()]
    return column if column in sound and len(sound) and sound[column].notna().all() else "test_accuracy"


def images_of_statistics(rows: pd.DataFrame) -> pd.Series:
    """How many images each batch statistic is from: B with batch norm, M with `ghost-M`, NaN with other norms."""
    return rows["norm"].map(group_size).where(rows["norm"] != "batch", rows["batch_size"])


def endings(histories: pd.DataFrame) -> pd.DataFrame:
    """CELL, seed and ENDING: how each run ended, by cell and seed.

    Accuracies are shares, NaN after divergence. Records of earlier versions have no clean train accuracy: it is NaN.
    """
    return last_rows(histories).reindex(columns=[*CELL, "seed", *ENDING]).sort_values([*CELL, "seed"])


def failures(histories: pd.DataFrame) -> pd.DataFrame:
    """CELL, seed and failure of each run; failure is "" for a sound run."""
    last = last_rows(histories)[[*CELL, "seed", "failure"]]
    return last.assign(failure=last["failure"].astype("string").fillna(""))


def with_failures(table: pd.DataFrame, histories: pd.DataFrame) -> pd.DataFrame:
    """The table, which has CELL and seed, with the column `failure`: how each run failed, "" where it is sound.

    A row without a training run, such as a network before training, counts as sound.
    """
    table = table.drop(columns="failure", errors="ignore").merge(failures(histories), how="left", on=[*CELL, "seed"])
    return table.assign(failure=table["failure"].astype("string").fillna(""))


def at_shares(measured: pd.DataFrame) -> pd.DataFrame:
    """The rows of what was measured on trained networks at shares of training, not at losses."""
    return measured[measured["at_loss"].isna()] if "at_loss" in measured else measured


def main_network(table: pd.DataFrame) -> tuple[str, str, int]:
    """The (arch, init, batch_size) of most cells; of several, the one that comes first in the table.

    `table` has CELL. The paper's claims about training are judged on this network.
    """
    counts = table[CELL].drop_duplicates().groupby(NETWORK, sort=False).size()
    return counts.idxmax()


def of_network(table: pd.DataFrame, network: tuple[str, str, int]) -> pd.DataFrame:
    """The rows of this (arch, init, batch_size)."""
    return table[(table[NETWORK] == pd.Series(network, index=NETWORK)).all(axis=1)]
