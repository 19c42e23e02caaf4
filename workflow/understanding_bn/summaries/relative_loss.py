"""Loss after one step along the gradient. `relative_loss` has a row for each norm, seed, mini-batch and step size."""

from typing import Any

import numpy as np
import pandas as pd

from understanding_bn import paper

CROSSINGS = (1, 1e3, 1e6)  # relative losses


def landmarks(relative_loss: pd.DataFrame) -> pd.DataFrame:
    """Of every curve the minimum and its step, and the first steps beyond it at which it passes 1, 1e3 and 1e6.

    Steps are points of the sweep, NaN where the sweep ends first. A curve that overflows has passed everything, and
    one that is NaN from its first step on has no minimum.
    The paper's values of the same norm and mini-batch are in further columns, at its scale, and their origin.
    """
    rows = []
    at_scale = paper.is_scale_of(relative_loss)
    for (norm, minibatch, seed), curve in relative_loss.groupby(["norm", "minibatch", "seed"], sort=False):
        curve = curve.sort_values("step_size")
        steps, losses = curve["step_size"].to_numpy(), curve["relative_loss"].to_numpy()
        known = not np.isnan(losses).all()
        lowest = int(np.nanargmin(losses)) if known else 0
        row = {"norm": norm, "minibatch": minibatch, "seed": seed}
        row |= {"minimum": losses[lowest], "minimum_step": steps[lowest] if known else np.nan}
        for value in CROSSINGS:
            past = steps[lowest:][~(losses[lowest:] <= value)]
            row[f"passes_{value:g}"] = past[0] if len(past) else np.nan
        published = of_paper(norm, minibatch)
        rows.append(row | (published if at_scale else dict.fromkeys(published, np.nan)))
    return pd.DataFrame(rows)


def of_paper(norm: str, minibatch: int) -> dict[str, Any]:
    """The paper's landmarks as columns, NaN where it has none, and `paper_origin`, how we know them."""
    step, minimum = paper.RELATIVE_LOSS_MINIMUM.value.get((norm, minibatch), (np.nan, np.nan))
    crossings = paper.RELATIVE_LOSS_CROSSINGS.value.get((norm, minibatch), {})
    columns: dict[str, float] = {"minimum": minimum, "minimum_step": step}
    columns |= {f"passes_{value:g}": crossings.get(value, np.nan) for value in CROSSINGS}
    known = any(np.isfinite(value) for value in columns.values())
    origin = paper.RELATIVE_LOSS_MINIMUM.origin if known else np.nan
    return {f"paper_{name}": value for name, value in columns.items()} | {"paper_origin": origin}


def medians(relative_loss: pd.DataFrame) -> pd.DataFrame:
    """norm, minibatch, step_size, relative_loss: the median over seeds, where it is finite.

    A seed whose curve has ended or overflowed counts as infinite, so that a median never forgets the worst seeds.
    """
    keys = ["norm", "minibatch", "step_size"]
    curves = relative_loss.pivot(index=keys, columns="seed", values="relative_loss")
    median = curves.where(np.isfinite(curves), np.inf).median(axis=1).rename("relative_loss")
    return median[np.isfinite(median)].reset_index()
