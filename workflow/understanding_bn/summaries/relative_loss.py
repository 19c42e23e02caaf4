"""Loss after one step along the gradient. `relative_loss` has a row for each norm, seed, mini-batch and step size."""

import numpy as np
import pandas as pd

from understanding_bn import paper

CROSSINGS = (1, 1e3, 1e6)  # relative losses


def landmarks(relative_loss: pd.DataFrame) -> pd.DataFrame:
    """Of every curve the minimum and its step, and the first steps beyond it at which it passes 1, 1e3 and 1e6.

    Steps are points of the sweep, NaN where the sweep ends first. A curve that overflows has passed everything.
    The paper's values of the same norm and mini-batch are in further columns, at its scale.
    """
    rows = []
    at_scale = paper.is_scale_of(relative_loss)
    for (norm, minibatch, seed), curve in relative_loss.groupby(["norm", "minibatch", "seed"], sort=False):
        curve = curve.sort_values("step_size")
        steps, losses = curve["step_size"].to_numpy(), curve["relative_loss"].to_numpy()
        lowest = int(np.nanargmin(losses))
        row = {"norm": norm, "minibatch": minibatch, "seed": seed}
        row |= {"minimum": losses[lowest], "minimum_step": steps[lowest]}
        minimum = paper.RELATIVE_LOSS_MINIMUM.get((norm, minibatch), (np.nan, np.nan)) if at_scale else (np.nan,) * 2
        crossings = paper.RELATIVE_LOSS_CROSSINGS.get((norm, minibatch), {}) if at_scale else {}
        for value in CROSSINGS:
            past = steps[lowest:][~(losses[lowest:] <= value)]
            row[f"passes_{value:g}"] = past[0] if len(past) else np.nan
        row |= {"paper_minimum": minimum[1], "paper_minimum_step": minimum[0]}
        row |= {f"paper_passes_{value:g}": crossings.get(value, np.nan) for value in CROSSINGS}
        rows.append(row)
    return pd.DataFrame(rows)


def medians(relative_loss: pd.DataFrame) -> pd.DataFrame:
    """norm, minibatch, step_size, relative_loss: the median over seeds, where it is finite.

    A seed whose curve has ended or overflowed counts as infinite, so that a median never forgets the worst seeds.
    """
    keys = ["norm", "minibatch", "step_size"]
    curves = relative_loss.pivot(index=keys, columns="seed", values="relative_loss")
    median = curves.where(np.isfinite(curves), np.inf).median(axis=1).rename("relative_loss")
    return median[np.isfinite(median)].reset_index()
