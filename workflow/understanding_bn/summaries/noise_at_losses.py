"""The noise of SGD at matched training loss: where batch norm raises or lowers each kind of it along training.

`gradient_structure` has a row for each network, moment, block and quantity. Networks of one cell but for the norm are
compared before training and where the training loss of each first fell to a bound, by the rules of `noise_by_depth`.
"""

import pandas as pd

from understanding_bn.summaries.gradient_structure import at_losses, before_training, by_network
from understanding_bn.summaries.noise_by_depth import COMPARED, QUANTITIES, beside_none, with_kinds
from understanding_bn.summaries.training import CELL, with_failures

BEFORE = "before training"
CELL_BUT_NORM = [name for name in CELL if name != "norm"]
FACTS = [*CELL, "seed", "failure", "moment", "at_loss", "epoch", "train_loss", "finite"]
COLUMNS = [*FACTS, *QUANTITIES, "signal", "noise_curvature", "loss"]


def networks(gradient_structure: pd.DataFrame, histories: pd.DataFrame) -> pd.DataFrame:
    """One row per run and moment, `COLUMNS`: before training if that was measured, then by falling loss.

    moment is `BEFORE` or "loss 0.1", and at_loss NaN or that bound. Where a run never reached a bound, or failed, it
    has a row without values, and is not finite. Quantities are those of `noise_by_depth`.
    """
    reached = at_losses(gradient_structure, histories)
    reached = reached.assign(moment=["loss " + format(loss, "g") for loss in reached["at_loss"]])
    start = gradient_structure[gradient_structure["epoch"] == 0]
    if len(start) and len(reached):
        before = before_training(by_network(start, extra=("epoch",)), reached)
        reached = pd.concat([with_failures(before, histories).assign(moment=BEFORE), reached], ignore_index=True)
    return with_kinds(reached).reindex(columns=COLUMNS)


def comparisons(table: pd.DataFrame) -> pd.DataFrame:
    """Each normalisation beside none in the same cell: a row for each cell, moment and quantity.

    Args:
        table: of `networks`.

    Returns:
        CELL, moment, quantity, and `COMPARED` as `noise_by_depth.comparisons` has it: not_finite counts the pairs of
        runs of which one never reached the loss, or has a gradient that is not finite.
    """
    rows = []
    keys = [*CELL_BUT_NORM, "moment"]
    for key, cells in table.groupby(keys, sort=False):
        others = cells[cells["norm"] == "none"]
        for norm, alike in cells[cells["norm"] != "none"].groupby("norm", sort=False):
            facts = dict(zip(keys, key, strict=True)) | {"norm": norm}
            rows += [facts | found for found in beside_none(alike, others)]
    return pd.DataFrame(rows, columns=[*CELL, "moment", "quantity", *COMPARED])
