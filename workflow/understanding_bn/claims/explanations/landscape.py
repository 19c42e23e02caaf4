"""Batch norm and the landscape of the loss. Each function is one prediction; bounds are constants."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd

from understanding_bn.claims.checks import Check, every
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.summaries.landscape_smoothness import COMPARED, at_losses, pairs
from understanding_bn.summaries.training import NETWORK

QUANTITIES = {
    "loss_range": "range of the loss along the gradient",
    "gradient_distance": "distance of the gradient",
    "smoothness": "effective smoothness",
}


def smoother_landscape(results: Results) -> list[Check]:
    """Santurkar et al. (2018): over the same steps and at the same training loss, BN makes all three smaller.

    A check for each network, quantity and loss. Runs are compared with those of the same seed, α, B and epochs without
    BN, so that the steps, multiples of α, are the same. A seed counts as smaller at a loss only if it is so at every α
    at which both its runs can be compared; one seed that is not refutes the claim. Pairs of which a run failed or never
    reached the loss have no part, and the name says how many those are.

    Raises:
        NotRunError: no cell was measured at a loss with BN and without.
    """
    reached = at_losses(results.trained("landscape_smoothness"), results.histories())
    if reached.empty:
        raise NotRunError("landscape_smoothness at_losses")
    reached = reached[reached["norm"].isin(["batch", "none"])]
    checks = []
    for (arch, *_), of_network in reached.groupby(NETWORK, sort=False):
        table = pairs(results.of_shared_seeds(of_network, "landscape_smoothness"))
        for (name, text), loss in itertools.product(
            QUANTITIES.items(), sorted(table["at_loss"].unique(), reverse=True)
        ):
            where = f"{arch.replace('resnet', 'ResNet')} at a training loss of {loss:g}"
            checks.append(_smaller(f"{text} is smaller with BN, {where}", name, table[table["at_loss"] == loss]))
    if not checks:
        raise NotRunError("landscape_smoothness of the same cells with BN and without")
    return checks


def _smaller(text: str, quantity: str, table: pd.DataFrame) -> Check:
    """Whether a quantity is smaller with BN in every seed; beside it the ratios themselves."""
    ratio = table[f"{quantity}_ratio"].astype(float)
    smaller = (ratio < 1).astype("boolean").mask(ratio.isna())
    by_seed = smaller.groupby(table["seed"]).agg(lambda flags: flags.dropna().all() if flags.notna().any() else pd.NA)
    lost = table["outcome"][table["outcome"] != COMPARED].value_counts()
    left_out = "".join(f", {count} where {outcome}" for outcome, count in lost.items())
    counted = f"{len(table)} pairs at {table['alpha'].nunique()} α{left_out}"
    check = every(f"share of seeds whose {text} ({counted})", by_seed)
    return replace(check, beside=_sizes(ratio.dropna()))


def _sizes(ratio: pd.Series) -> str:
    """Geometric mean and range of the ratios; the mean only where all are finite and above zero."""
    if ratio.empty:
        return ""
    span = f"from {ratio.min():.3g} to {ratio.max():.3g}"
    usual = np.isfinite(ratio) & (ratio > 0)
    return f"BN over none {np.exp(np.log(ratio).mean()):.3g}, {span}" if usual.all() else f"BN over none {span}"
