"""Explanations by the step size: batch norm allows a larger α because it lowers curvature, or keeps branches small."""

from dataclasses import replace

import numpy as np
import pandas as pd

from understanding_bn.claims import scores
from understanding_bn.claims.checks import Check, every, mean_check, within
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.summaries import initial_sharpness, replacing_batch_norm
from understanding_bn.summaries.replacing_batch_norm import BATCH, REPLACEMENTS, VARIANTS
from understanding_bn.summaries.training import CELL, chosen_by

SLOPE, SLOPE_ERROR = -1.0, 0.15
LEAST_R2 = 0.9
SAME_ACCURACY = 2.0  # points
LEAST_ALPHAS = 3  # to choose from


def rate_follows_sharpness(results: Results) -> list[Check]:
    """Gilmer et al. (2021), as an equivalence: the largest stable α is inverse to the sharpness before training.

    A seed's value is the slope (and R²) of the least-squares line through its networks, on logarithms of both.
    """
    networks = initial_sharpness.by_network(results.measurement("initial_sharpness"))
    fits = initial_sharpness.fits(networks)
    if fits["slope"].isna().all():
        least = initial_sharpness.LEAST_NETWORKS
        raise NotRunError(f"initial_sharpness of {least} networks of different λ_max whose searches found a bound")
    fitted = int(fits["networks"].sum())
    of = f"{fitted} of {len(networks)} networks and seeds{initial_sharpness.left_out(networks)}"
    name = "slope of log(largest stable α) on log λ_max, before training, BN in train mode"
    slopes = within(f"{name} ({of})", fits["slope"].to_numpy(), SLOPE - SLOPE_ERROR, SLOPE + SLOPE_ERROR)
    return [*slopes, mean_check(f"R² of that line ({of})", fits["r2"].to_numpy(), "≥", LEAST_R2)]


def a_scalar_replaces_batch_norm(results: Results) -> list[Check]:
    """De & Smith (2020), as an equivalence: without BN, small branches end where BN does, at the same α.

    All variants are trained at the same learning rates. The α is BN's best: that of the highest mean accuracy, on the
    validation split where there is one, among those at which no seed of BN failed. Each replacement must train there in
    every seed, and the seeds that did must end within SAME_ACCURACY points of BN.
    """
    cells = {cell.path: cell for cell in results.cells}
    listed = pd.DataFrame([cell.factors for cell in cells.values()], index=[*cells], columns=CELL)
    chosen = replacing_batch_norm.variants(listed)
    missing = [variant for variant in VARIANTS if variant not in set(chosen["variant"])]
    if missing:
        raise NotRunError(f"training at the same α and B with {', '.join(missing)}")
    if chosen["alpha"].nunique() < LEAST_ALPHAS:
        raise NotRunError(f"training of all of {', '.join(VARIANTS)} at {LEAST_ALPHAS} learning rates or more")
    runs = pd.concat([results.ends(cells[path]).assign(variant=v) for path, v in chosen["variant"].items()])
    runs = runs.assign(chosen=runs[chosen_by(runs)])
    batch = runs[runs["variant"] == BATCH]
    alpha = replacing_batch_norm.best_alpha(batch)
    if alpha is None:
        raise NotRunError("training with BN at a learning rate at which no seed fails")
    checks = []
    for variant in REPLACEMENTS:
        checks += _replaced(results, variant, runs[runs["variant"] == variant], batch, alpha)
    return checks


def _replaced(results: Results, variant: str, runs: pd.DataFrame, batch: pd.DataFrame, alpha: float) -> list[Check]:
    """The checks of one replacement, at BN's best α."""
    at_best = runs[runs["alpha"] == alpha]
    where = f"{variant} at BN’s best α = {alpha:g}"
    trains = every(f"{where} trains, by seed", at_best["failure"].isna())
    ours, theirs = (results.scores_of(_sound(each)) for each in (at_best, batch[batch["alpha"] == alpha]))
    beside = "; ".join(filter(None, [scores.beside(ours, theirs), _tuned(variant, runs, batch)]))
    failed = int(at_best["failure"].notna().sum())
    if failed == len(at_best):
        return [replace(trains, beside=beside)]
    name = f"test accuracy, {where}, less BN’s (points)" + (f"; {failed} of {len(at_best)} failed" if failed else "")
    return [trains, *within(name, scores.compared(ours, theirs), -SAME_ACCURACY, SAME_ACCURACY, beside=beside)]


def _tuned(variant: str, runs: pd.DataFrame, batch: pd.DataFrame) -> str:
    """The test accuracy of each at its own best α, and the largest α that trains in every seed."""
    texts = []
    for name, of_one in ((variant, runs), ("BN", batch)):
        best, largest = replacing_batch_norm.best_alpha(of_one), replacing_batch_norm.largest_alpha(of_one)
        if best is None:
            texts.append(f"{name} trains at no α in every seed")
        else:
            accuracy = of_one.loc[of_one["alpha"] == best, "test_accuracy"].mean()
            texts.append(f"{name} {accuracy:.3g} % at its best α = {best:g}, trains up to {largest:g}")
    return "; ".join(texts)


def _sound(last: pd.DataFrame) -> pd.DataFrame:
    """Last rows by seed without the accuracy of seeds that failed."""
    return last.assign(test_accuracy=last["test_accuracy"].where(last["failure"].isna(), np.nan))
