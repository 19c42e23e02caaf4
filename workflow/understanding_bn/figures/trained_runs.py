"""One row per training run, with what was measured on its network: what the figures on noise and curvature share."""

import numpy as np
import pandas as pd

CELL = ["arch", "init", "norm", "alpha", "batch_size", "epochs"]


def runs(values: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell and seed, as it ended.

    Args:
        values: training histories, with rows of the measurements `gradient_structure` and `hessian_spectrum` on
            trained networks among them or not.

    Returns:
        CELL, seed, failure ("" if the run is sound), test_accuracy, train_accuracy, gap (per cent and points), loss_gap
        (test − train cross-entropy, nats), and of the network at the end, where it was measured: noise, constant,
        gradient_norm2, minibatch_rank, …, update_noise (α² · noise), noise_scale (constant / |g|²), sharpness and
        trace of the Hessian (BN in train mode). NaN for runs that failed: no mean is taken over them.
    """
    last = _last(values)
    sound = last["failure"] == ""
    table = last[[*CELL, "seed", "failure"]].copy()
    for name in ("test_accuracy", "train_accuracy"):
        table[name] = (100 * last[name]).where(sound)
    table["gap"] = table["train_accuracy"] - table["test_accuracy"]
    table["loss_gap"] = (last["test_loss"] - last["train_loss"]).where(sound)
    end = values[values["fraction"] == 1]
    for measured in (structure(end), _curvature(end)):
        if len(measured):
            table = table.merge(measured, how="left", on=[*CELL, "seed"])
    measured = table.columns.difference([*CELL, "seed", "failure"])
    table.loc[table["failure"] != "", measured] = np.nan
    for name in ("noise", "constant", "gradient_norm2", "sharpness", "trace"):
        table[name] = table.get(name, np.nan)
    table["update_noise"] = table["alpha"] ** 2 * table["noise"]
    table["noise_scale"] = scale(table)
    return table.sort_values([*CELL, "seed"], ignore_index=True)


def with_failures(table: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """The table, by CELL and seed, with how each run failed by the histories among the values; "" if it is sound."""
    failed = _last(values) if "learning_rate" in values else values[:0]
    if failed.empty:
        return table.assign(failure="")
    failed = failed[[*CELL, "seed", "failure"]]
    table = table.drop(columns="failure", errors="ignore").merge(failed, how="left", on=[*CELL, "seed"])
    return table.assign(failure=table["failure"].astype("string").fillna(""))


def _last(values: pd.DataFrame) -> pd.DataFrame:
    """The last row of every history."""
    history = values[values["learning_rate"].notna()]
    last = history.sort_values("epoch").groupby([*CELL, "seed"], as_index=False).tail(1)
    return last.assign(failure=last["failure"].astype("string").fillna(""))


def structure(values: pd.DataFrame, extra: tuple[str, ...] = ()) -> pd.DataFrame:
    """Rows of `gradient_structure` made wide: CELL, seed, `extra`, a column per quantity of the whole network.

    The quantities of layers are there as means over layers: mean_unit_variation, mean_entry_variance, and rank_share,
    the effective rank of a layer's gradient over the most it could be.
    """
    keys = [*CELL, *extra, "seed"]
    if "quantity" not in values or not (rows := values[values["quantity"].notna()]).shape[0]:
        return pd.DataFrame(columns=keys)
    rows = rows.fillna({"alpha": -1.0})  # NaN, at initialisation, is no key to group by
    whole = rows[rows["block"] == "all"]
    wide = whole.pivot_table(index=keys, columns="quantity", values="value", aggfunc="first")
    layers = rows[rows["block"] != "all"].pivot_table(index=[*keys, "block"], columns="quantity", values="value")
    layers = layers.assign(rank_share=layers["rank"] / layers["full_rank"])
    means = layers.groupby(keys)[["unit_variation", "entry_variance", "rank_share"]].mean()
    means = means.rename(columns={name: f"mean_{name}" for name in ("unit_variation", "entry_variance")})
    return wide.join(means).reset_index().replace({"alpha": {-1.0: np.nan}})


def scale(table: pd.DataFrame) -> pd.Series:
    """B_simple = tr Σ / |g|² (McCandlish et al. 2018), in images; NaN where noise drowns |g|²."""
    return table["constant"] / table["gradient_norm2"].where(table["gradient_norm2"] > 0)


def _curvature(values: pd.DataFrame) -> pd.DataFrame:
    """CELL, seed, sharpness (largest eigenvalue) and trace of the Hessian, BN in train mode."""
    keys = [*CELL, "seed"]
    if "kind" not in values or not (rows := values[values["kind"].notna()]).shape[0]:
        return pd.DataFrame(columns=keys)
    rows = rows[(rows["block"] == "all") & (rows["bn_mode"] != "eval")]
    sharpness = rows[rows["kind"] == "top"].groupby(keys)["value"].max().rename("sharpness")
    trace = rows[rows["kind"] == "trace"].groupby(keys)["value"].mean().rename("trace")
    return pd.concat([sharpness, trace], axis=1).reset_index()
