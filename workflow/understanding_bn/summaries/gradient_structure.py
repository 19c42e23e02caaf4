"""The gradient's noise and structure. `gradient_structure` has a row for each network, moment, block and quantity."""

import numpy as np
import pandas as pd

from understanding_bn.summaries.training import CELL, at_shares, failures

WHOLE = "all"  # the block that is the whole network; the others are layers
# What every network and every layer has.
OF_NETWORK = ("noise", "constant", "gradient_norm2", "layer_variation", "minibatch_rank")
OF_LAYER = ("unit_variation", "entry_variance", "rank", "full_rank")
SECONDARY = "eval"  # the BN mode that only `sample_constant` is measured in


def by_network(gradient_structure: pd.DataFrame, extra: tuple[str, ...] = ()) -> pd.DataFrame:
    """One row per network: CELL, `extra`, seed, and a column for each quantity of the whole network.

    The quantities of layers enter as means over layers: mean_unit_variation, mean_entry_variance, and rank_share, the
    effective rank of a layer's gradient over the largest possible one. Layers whose gradient is zero have no rank, and
    are left out of its mean. A network whose noise is not finite has no means.
    """
    keys = [*CELL, *extra, "seed"]
    rows = gradient_structure.fillna({"alpha": -1.0})  # NaN, at initialisation, is no key to group by
    whole = _wide(rows[rows["block"] == WHOLE], keys, OF_NETWORK)
    layers = _wide(rows[rows["block"] != WHOLE], [*keys, "block"], OF_LAYER)
    layers = layers.assign(rank_share=layers["rank"] / layers["full_rank"])
    means = layers.groupby(keys)[["unit_variation", "entry_variance", "rank_share"]].mean()
    means = means.rename(columns={name: f"mean_{name}" for name in ("unit_variation", "entry_variance")})
    means = means.where(np.isfinite(whole["noise"]).reindex(means.index, fill_value=False), axis=0)
    return whole.join(means).reset_index().replace({"alpha": {-1.0: np.nan}})


def _wide(rows: pd.DataFrame, keys: list[str], quantities: tuple[str, ...]) -> pd.DataFrame:
    """A row for each value of the keys and a column for each quantity: those named, and others that are there."""
    wide = rows.groupby([*keys, "quantity"])["value"].first().unstack("quantity")
    return wide.reindex(columns=wide.columns.union(quantities, sort=False)).astype(float)


def with_noise_of_updates(table: pd.DataFrame) -> pd.DataFrame:
    """The table with update_noise and noise_scale, from its columns alpha, noise, constant and gradient_norm2.

    update_noise = α² · noise is the noise of one step of SGD without momentum. noise_scale = tr Σ / |g|² is B_simple of
    McCandlish et al. (2018), in images; NaN where noise drowns |g|², so that its estimate is not positive. |g|² is
    signal_norm2 where that was measured, else gradient_norm2.
    """
    signal = table["gradient_norm2"]
    if "signal_norm2" in table:
        signal = table["signal_norm2"].fillna(signal)
    return table.assign(
        update_noise=table["alpha"] ** 2 * table["noise"],
        noise_scale=table["constant"] / signal.where(signal > 0),
    )


def along_training(gradient_structure: pd.DataFrame) -> pd.DataFrame:
    """One row per network and moment: CELL, seed, epoch, fraction, bn_mode, every quantity, update_noise, noise_scale.

    A network before training belongs to every α of its norm and B: it has a row for each of them.
    """
    gradient_structure = at_shares(gradient_structure)
    whole = gradient_structure[gradient_structure["block"] == WHOLE]
    modes = whole[whole["bn_mode"] != SECONDARY].groupby("norm")["bn_mode"].first()
    table = by_network(gradient_structure, extra=("epoch", "fraction"))
    table["bn_mode"] = table["norm"].map(modes)
    trained = table[table["epoch"] > 0]
    start = before_training(table[table["epoch"] == 0], trained)
    table = with_noise_of_updates(pd.concat([start, trained], ignore_index=True))
    return table.sort_values([*CELL, "seed", "epoch"], ignore_index=True)


def before_training(start: pd.DataFrame, trained: pd.DataFrame) -> pd.DataFrame:
    """The networks of `start`, which have no α yet, once for each cell of `trained` that has trained them."""
    network = ["arch", "init", "norm", "batch_size", "seed"]
    cells = trained[[*network, "alpha", "epochs"]].drop_duplicates()
    return cells.merge(start.drop(columns=["alpha", "epochs"]), on=network)


def at_losses(gradient_structure: pd.DataFrame, histories: pd.DataFrame) -> pd.DataFrame:
    """One row per run and loss: where it first reached that training loss, and what its network was like there.

    Columns: CELL, seed, failure, at_loss, epoch, train_loss (of that epoch's mini-batches), clean_train_loss (after it,
    in eval mode), every quantity, update_noise, noise_scale. Runs are all of the cells that were measured. A run that
    never reached a loss has NaN from epoch on.
    """
    trained = gradient_structure[gradient_structure["epoch"] > 0]
    rows = trained[trained["at_loss"].notna()] if "at_loss" in trained else trained.head(0).assign(at_loss=0.0)
    runs = failures(histories).merge(trained[CELL].drop_duplicates())
    asked = pd.DataFrame({"at_loss": sorted(rows["at_loss"].unique(), reverse=True)}, dtype=float)
    found = with_noise_of_updates(by_network(rows, extra=("epoch", "at_loss")))
    table = runs.merge(asked, how="cross").merge(found, how="left", on=[*CELL, "seed", "at_loss"])
    losses = histories.reindex(columns=[*CELL, "seed", "epoch", "train_loss", "clean_train_loss"])
    table = table.merge(losses, how="left", on=[*CELL, "seed", "epoch"])
    first = [*CELL, "seed", "failure", "at_loss", "epoch", "train_loss", "clean_train_loss"]
    return table[first + [name for name in table if name not in first]]
