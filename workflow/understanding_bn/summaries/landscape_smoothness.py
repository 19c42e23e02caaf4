"""Smoothness along the gradient. `landscape_smoothness` has a row for each network, moment, mini-batch and step."""

import numpy as np
import pandas as pd

from understanding_bn.summaries.training import CELL, failures

QUANTITIES = ("loss_range", "gradient_distance", "smoothness")  # what Santurkar et al. (2018) compare
RELATIVE = "relative_distance"
MEASURED = [*QUANTITIES, RELATIVE]
RISE = "rise"
MOMENT = [*CELL, "seed", "epoch", "fraction", "at_loss", "bn_mode"]
PAIR = ["arch", "init", "alpha", "batch_size", "epochs", "seed", "at_loss"]  # what batch norm and none must share
# What became of a pair.
COMPARED, FAILED, NEVER, NOT_FINITE = "compared", "a run failed", "a run never reached the loss", "not finite"


def by_network(landscape_smoothness: pd.DataFrame) -> pd.DataFrame:
    """One row for each network and moment: MOMENT, and means over mini-batches.

    loss: ℓ(w), nats.
    loss_range: the largest less the smallest ℓ(w − s·g) over the steps s.
    gradient_distance: the largest ‖∇ℓ(w − s·g) − g‖ over them.
    smoothness: the largest of these distances over the distance moved, s‖g‖: the effective β-smoothness.
    relative_distance: the largest distance over ‖g‖, which does not change where the loss is multiplied by a number.
    rise: the largest ℓ(w − s·g) less ℓ(w), below zero where every step lowers the loss. Then the range is how much the
        steps gain, rather than how rough the loss is.
    overflowed: on how many mini-batches a loss or gradient after a step is not finite. The quantities of such a network
        are infinite. Where it is not finite at w itself, they are NaN.
    """
    table = landscape_smoothness.assign(at_loss=landscape_smoothness.get("at_loss", np.nan))
    table = table.fillna({"fraction": -1.0, "at_loss": -1.0})  # NaN is no key to group by
    one = [*MOMENT, "minibatch"]
    start = table[table["step_size"] == 0].set_index(one)[["loss", "gradient_norm"]]
    steps = table[table["step_size"] > 0].copy()
    for name in ("loss", "gradient_distance"):
        steps[name] = steps[name].where(np.isfinite(steps[name]), np.inf)
    moved = steps["step_size"] * steps["gradient_norm"]
    steps["smoothness"] = steps["gradient_distance"] / moved.where(moved > 0)
    ends = steps.groupby(one, sort=False)[["loss", *QUANTITIES[1:]]].agg(["min", "max"])
    batches = start.copy()
    highest, lowest = ends["loss", "max"], ends["loss", "min"]
    batches["loss_range"] = (highest - lowest.where(np.isfinite(lowest), 0)).reindex(start.index)
    batches[RISE] = highest.reindex(start.index) - start["loss"]
    for name in QUANTITIES[1:]:
        batches[name] = ends[name, "max"].reindex(start.index)
    norm = batches["gradient_norm"]
    batches[RELATIVE] = batches["gradient_distance"] / norm.where(norm > 0)
    batches.loc[~(np.isfinite(batches["loss"]) & np.isfinite(norm)), [*MEASURED, RISE]] = np.nan
    batches["overflowed"] = np.isinf(batches[MEASURED]).any(axis=1)
    networks = batches.groupby(MOMENT, sort=False)
    averaged = networks[["loss", *MEASURED, RISE]]
    means = averaged.mean()
    means = means.where(averaged.count().eq(networks.size(), axis=0))
    means["overflowed"] = networks["overflowed"].sum()
    return means.reset_index().replace({"fraction": {-1.0: np.nan}, "at_loss": {-1.0: np.nan}})


def at_losses(landscape_smoothness: pd.DataFrame, histories: pd.DataFrame) -> pd.DataFrame:
    """One row per run and training loss asked for: CELL, seed, failure, at_loss, and the columns of `by_network`.

    Runs are all of the cells that were measured. One that never reached a loss has NaN from epoch on.
    """
    networks = by_network(landscape_smoothness)
    networks = networks[networks["at_loss"].notna()]
    runs = failures(histories).merge(landscape_smoothness[CELL].drop_duplicates())
    asked = pd.DataFrame({"at_loss": sorted(networks["at_loss"].unique(), reverse=True)}, dtype=float)
    return runs.merge(asked, how="cross").merge(networks, how="left", on=[*CELL, "seed", "at_loss"])


def pairs(reached: pd.DataFrame) -> pd.DataFrame:
    """Batch norm beside none: a row for each PAIR of cells that differ in the norm alone.

    `outcome` says whether the pair can be compared. Where it can, `NAME_ratio` of each of MEASURED is that with batch
    norm over that without: 0 where a step overflows without batch norm alone, infinite where with it alone. It is
    not finite where at w a network is not, or where steps overflow in both.

    Args:
        reached: of `at_losses`.
    """
    sides = {norm: reached[reached["norm"] == norm].drop(columns="norm") for norm in ("batch", "none")}
    wide = sides["batch"].merge(sides["none"], on=PAIR, suffixes=("", "_none"))
    with np.errstate(divide="ignore", invalid="ignore"):
        for name in MEASURED:
            wide[f"{name}_ratio"] = wide[name].astype(float) / wide[f"{name}_none"].astype(float)
    failed = (wide["failure"] != "") | (wide["failure_none"] != "")
    never = wide["epoch"].isna() | wide["epoch_none"].isna()
    unknown = wide[[f"{name}_ratio" for name in QUANTITIES]].isna().any(axis=1)
    outcome = np.select([failed, never, unknown], [FAILED, NEVER, NOT_FINITE], COMPARED)
    ratios = [f"{name}_ratio" for name in MEASURED]
    wide.loc[outcome != COMPARED, ratios] = np.nan
    return wide.assign(outcome=outcome)[[*PAIR, "outcome", "loss", "loss_none", RISE, f"{RISE}_none", *ratios]]
