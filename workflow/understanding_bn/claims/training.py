"""The paper's claims about trained networks. Each function is one claim; bounds are constants."""

from itertools import combinations

import numpy as np
import pandas as pd

from understanding_bn.claims.checks import REPRODUCED, Check, every, majority, mean_check, quotient_check, within
from understanding_bn.claims.results import NotRunError, Results

LARGE_ALPHA_GAIN = 8.0  # points
SAME_ALPHA_DIFFERENCE = 2.0  # points
FINAL_NORM_SHARE = 0.6


def large_alpha_gain(results: Results) -> list[Check]:
    """Claim 1."""
    large, small = _final(results, "batch", "large"), _final(results, "batch", "small")
    gain = _paired(large["test_accuracy"], small["test_accuracy"])
    return [mean_check("test accuracy, BN at large − small α (points)", gain, "≥", LARGE_ALPHA_GAIN, zero=0)]


def same_alpha_same_accuracy(results: Results) -> list[Check]:
    """Claim 2, as an equivalence: the whole interval of the difference must lie within the bounds."""
    batch, none = _final(results, "batch", "small"), _final(results, "none", "small")
    difference = _paired(batch["test_accuracy"], none["test_accuracy"])
    name = "test accuracy at small α, BN − none (points)"
    return within(name, difference, -SAME_ALPHA_DIFFERENCE, SAME_ALPHA_DIFFERENCE)


def accuracy_rises_with_alpha(results: Results) -> list[Check]:
    """Claim 3."""
    large, middle, small = (_final(results, "batch", role)["test_accuracy"] for role in ("large", "middle", "small"))
    return [
        mean_check("test accuracy, BN at middle − small α (points)", _paired(middle, small), ">", 0, zero=0),
        mean_check("test accuracy, BN at large − middle α (points)", _paired(large, middle), ">", 0, zero=0),
    ]


def smaller_gap_at_large_alpha(results: Results) -> list[Check]:
    """Claim 4."""
    gaps = []
    for role in ("small", "large"):
        final = _final(results, "batch", role)
        gaps.append(final["train_accuracy"] - final["test_accuracy"])
    return [mean_check("train − test accuracy, BN at small − large α (points)", _paired(*gaps), ">", 0, zero=0)]


def fails_without_norm(results: Results) -> list[Check]:
    """Claim 5."""
    threshold = results.alpha("unstable")
    alphas = [alpha for alpha in results.alphas("none") if alpha >= threshold]
    if not alphas:
        raise NotRunError(f"training without BN at α ≥ {threshold:g}")
    failed = pd.concat([results.final("none", alpha)["failure"].notna() for alpha in alphas], axis=1).all(axis=1)
    sound = _final(results, "none", "small")["failure"].isna()
    return [
        every(f"share of seeds that without BN diverge or stay at chance at every α ≥ {threshold:g}", failed),
        every("share of seeds that without BN at small α neither diverge nor stay at chance", sound),
    ]


def single_final_norm(results: Results) -> list[Check]:
    """Claim 15."""
    final = results.final("batch-final", results.alpha("single_final"))["test_accuracy"]
    best = {norm: _best(results, norm) for norm in ("batch", "none")}
    table = pd.concat([final, best["batch"], best["none"]], axis=1, join="inner").dropna()
    single, batch, none = table.to_numpy().T
    name = "share of BN’s gain that a single final BN recovers"
    return [quotient_check(name, single - none, batch - none, "≥", FINAL_NORM_SHARE)]


def other_norms_same_order(results: Results) -> list[Check]:
    """Claim 19: any two learning rates that BN orders beyond chance are ordered alike with the other norms.

    If BN orders no two, the checks are of BN's order itself.
    """
    checks, unordered = [], {}
    for norm in ("layer", "group"):
        shared = [alpha for alpha in results.alphas("batch") if alpha in results.alphas(norm)]
        if len(shared) < 2:
            raise NotRunError(f"training with {norm} norm at two learning rates that BN was trained at")
        for low, high in combinations(shared, 2):
            batch = _paired(*(results.final("batch", alpha)["test_accuracy"] for alpha in (high, low)))
            direction = np.sign(batch.sum())
            name = f"test accuracy, BN at α = {high:g} − {low:g}, × its direction ({direction:+g}) (points)"
            order = mean_check(name, direction * batch, ">", 0, zero=0)
            if order.verdict != REPRODUCED:
                unordered[low, high] = order
                continue
            name = f"{norm} norm at α = {high:g} − {low:g}, × BN’s direction ({direction:+g})"
            above, below = (results.final(norm, alpha)["test_accuracy"] for alpha in (high, low))
            checks.append(_ordered(name, above, below, direction))
    return checks or list(unordered.values())


def _ordered(name: str, high: pd.Series, low: pd.Series, direction: float) -> Check:
    """A check that accuracies differ in a direction; of the share of seeds that do if one diverged, which is worse."""
    if high.notna().all() and low.notna().all():
        return mean_check(f"test accuracy, {name} (points)", direction * _paired(high, low), ">", 0, zero=0)
    signs = direction * np.sign(high.fillna(-np.inf) - low.fillna(-np.inf)).fillna(0)
    return majority(f"share of seeds in this order, those that diverged being worse: {name}", signs[signs != 0] > 0)


def _final(results: Results, norm: str, role: str) -> pd.DataFrame:
    return results.final(norm, results.alpha(role))


def _best(results: Results, norm: str) -> pd.Series:
    """Final test accuracies by seed at the learning rate with the best mean, over those where no seed diverged."""
    sound = [f for f in (results.final(norm, a)["test_accuracy"] for a in results.alphas(norm)) if f.notna().all()]
    if not sound:
        raise NotRunError(f"training with norm {norm} at a learning rate where it does not diverge")
    return max(sound, key=lambda accuracy: accuracy.mean())


def _paired(left: pd.Series, right: pd.Series) -> np.ndarray:
    """Differences by seed, over the seeds that neither side lost to divergence; 0 exactly if they are equal."""
    return (left - right).dropna().round(9).to_numpy()
