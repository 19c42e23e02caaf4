"""One row per training run, with what was measured on its network at the end."""

import numpy as np
import pandas as pd

from understanding_bn.summaries import gradient_structure as structure
from understanding_bn.summaries import hessian
from understanding_bn.summaries.training import CELL, clean, last_rows

Run = tuple[object, ...]  # a run's network, init, norm, α, B, epochs and seed

OF_WHAT = ("sharpness_bn_mode", "sharpness_partition")


def runs(
    histories: pd.DataFrame,
    gradient_structure: pd.DataFrame | None = None,
    hessian_spectrum: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row for each cell and seed, as it ended, sorted by them.

    Returns:
        CELL, seed, failure ("" if the run is sound), test_accuracy, validation_accuracy (NaN without that split),
        train_accuracy, gap (per cent and points) and
        loss_gap (test − train cross-entropy, nats), with those of training clean (see `training.clean`); and of the
        network at the end, where it was measured: noise, constant, gradient_norm2, minibatch_rank, …, update_noise,
        noise_scale (see `gradient_structure`), sharpness and trace of the Hessian, and of what they are (see
        `hessian`): sharpness_bn_mode and sharpness_partition. All are NaN for runs that failed: no mean is taken over
        them.
    """
    last = last_rows(histories)
    last = clean(last).assign(failure=last["failure"].astype("string").fillna(""))
    sound = last["failure"] == ""
    table = last[[*CELL, "seed", "failure"]].copy()
    accuracies = ["test_accuracy", "validation_accuracy", "train_accuracy"]
    table[accuracies] = (100 * last.reindex(columns=accuracies).astype(float)).where(sound)
    table["gap"] = table["train_accuracy"] - table["test_accuracy"]
    table["loss_gap"] = (last["test_loss"] - last["train_loss"]).where(sound)
    for measurement, by_network in (
        (gradient_structure, structure.by_network),
        (hessian_spectrum, hessian.sharpness_and_trace),
    ):
        if measurement is not None and len(measured := by_network(measurement[measurement["fraction"] == 1])):
            table = table.merge(measured, how="left", on=[*CELL, "seed"])
    measured = table.columns.difference([*CELL, "seed", "failure"])
    table.loc[table["failure"] != "", measured] = np.nan
    for name in ("noise", "constant", "gradient_norm2", "sharpness", "trace", *OF_WHAT):
        table[name] = table.get(name, np.nan)
    return structure.with_noise_of_updates(table).sort_values([*CELL, "seed"], ignore_index=True)


class Correct(dict[Run, np.ndarray]):
    """Which test images each run classifies correctly at its end: (images,) of 0.0 and 1.0, by `key`."""

    @staticmethod
    def key(row: pd.Series, seed: object) -> Run:
        """The key of a run that has CELL in its row."""
        return (*(row[name] for name in CELL if name in row), seed)


def correct_images(histories: pd.DataFrame) -> Correct:
    """Of every run that recorded it and did not diverge; none from records of earlier versions."""
    found = Correct()
    for _, row in last_rows(histories).iterrows():
        bits, accuracy = row.get("test_correct"), row["test_accuracy"]
        if isinstance(bits, bytes) and accuracy > 0:
            hits = np.unpackbits(np.frombuffer(bits, dtype=np.uint8))
            images = round(hits.sum() / accuracy)  # the last byte is filled up with zeros
            found[Correct.key(row, row["seed"])] = hits[:images].astype(float)
    return found
