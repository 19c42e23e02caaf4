"""The paper's claims about trained networks. Each function is one claim; bounds are constants."""

from itertools import combinations

import numpy as np
import pandas as pd

from understanding_bn.claims import roles, scores
from understanding_bn.claims.checks import REPRODUCED, Check, every, majority, mean_check, quotient_check, within
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.claims.scores import Scores
from understanding_bn.summaries import training

LARGE_ALPHA_GAIN = 8.0  # points
SAME_ALPHA_DIFFERENCE = 2.0  # points
FINAL_NORM_SHARE = 0.6


def large_alpha_gain(results: Results) -> list[Check]:
    """Claim 1."""
    large, small = _batch(results, large="batch", small="batch")
    name = "test accuracy, BN at large − small α (points)"
    return [_higher(name, large, small, "≥", LARGE_ALPHA_GAIN)]


def same_alpha_same_accuracy(results: Results) -> list[Check]:
    """Claim 2, as an equivalence: the whole interval of the difference must lie within the bounds."""
    (alpha,) = roles.of_claim(results, small="batch none")
    batch, none = results.scores("batch", alpha), results.scores("none", alpha)
    name, ends = "test accuracy at small α, BN − none (points)", (-SAME_ALPHA_DIFFERENCE, SAME_ALPHA_DIFFERENCE)
    return within(name, scores.compared(batch, none), *ends, beside=scores.beside(batch, none))


def accuracy_rises_with_alpha(results: Results) -> list[Check]:
    """Claim 3."""
    large, middle, small = _batch(results, large="batch", middle="batch", small="batch")
    return [
        _higher("test accuracy, BN at middle − small α (points)", middle, small),
        _higher("test accuracy, BN at large − middle α (points)", large, middle),
    ]


def smaller_gap_at_large_alpha(results: Results) -> list[Check]:
    """Claim 4. Both accuracies are clean: in eval mode, without augmentation, at the end of training."""
    large, small = _batch(results, large="batch", small="batch")
    if large.train.isna().all() or small.train.isna().all():
        raise NotRunError("clean train accuracies, which records of earlier versions do not have")
    name = "clean train − test accuracy, BN at small − large α (points)"
    return [mean_check(name, scores.gap(small, large), ">", 0, zero=0)]


def fails_without_norm(results: Results) -> list[Check]:
    """Claim 5."""
    threshold, small = roles.of_claim(results, unstable="none", small="none")
    alphas = [alpha for alpha in results.alphas("none") if alpha >= threshold]
    flags = [results.final("none", alpha)["failure"].notna() for alpha in alphas]
    failed = pd.concat(flags, axis=1, join="inner").all(axis=1)  # over the seeds that were run at every one of them
    sound = results.final("none", small)["failure"].isna()
    return [
        every(f"share of seeds that without BN diverge or stay at chance at every α ≥ {threshold:g}", failed),
        every("share of seeds that without BN at small α neither diverge nor stay at chance", sound),
    ]


def single_final_norm(results: Results) -> list[Check]:
    """Claim 15."""
    (alpha,) = roles.of_claim(results, single_final="batch-final")
    final = results.scores("batch-final", alpha)
    batch, none = _best(results, "batch"), _best(results, "none")
    name = f"share of BN’s gain that a single final BN at α = {alpha:g} recovers"
    return [quotient_check(name, *scores.parts(final, none, batch), "≥", FINAL_NORM_SHARE)]


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
            high_batch, low_batch = results.scores("batch", high), results.scores("batch", low)
            batch = scores.compared(high_batch, low_batch)
            direction = float(np.sign(batch.values.sum()))
            name = f"test accuracy, BN at α = {high:g} − {low:g}, × its direction ({direction:+g}) (points)"
            order = mean_check(name, direction * batch, ">", 0, zero=0)
            if order.verdict != REPRODUCED:
                unordered[low, high] = order
                continue
            name = f"{norm} norm at α = {high:g} − {low:g}, × BN’s direction ({direction:+g})"
            checks.append(_ordered(name, results.scores(norm, high), results.scores(norm, low), direction))
    return checks or list(unordered.values())


def _ordered(name: str, high: Scores, low: Scores, direction: float) -> Check:
    """A check that accuracies differ in a direction; of the share of seeds that do if one diverged, which is worse."""
    if high.test.notna().all() and low.test.notna().all():
        difference = direction * scores.compared(high, low)
        return mean_check(f"test accuracy, {name} (points)", difference, ">", 0, zero=0)
    signs = direction * np.sign(high.test.fillna(-np.inf) - low.test.fillna(-np.inf)).fillna(0)
    return majority(f"share of seeds in this order, those that diverged being worse: {name}", signs[signs != 0] > 0)


def _batch(results: Results, **norms: str) -> list[Scores]:
    """With batch norm, the final accuracies at the learning rates of some roles; see `roles.of_claim`."""
    return [results.scores("batch", alpha) for alpha in roles.of_claim(results, **norms)]


def _higher(name: str, left: Scores, right: Scores, relation: str = ">", bound: float = 0) -> Check:
    """A check of how much higher the left test accuracy is."""
    difference = scores.compared(left, right)
    return mean_check(name, difference, relation, bound, zero=0, beside=scores.beside(left, right))


def _best(results: Results, norm: str) -> Scores:
    """Those at the best learning rate, over those where no seed diverged.

    Without a validation split it is chosen by the accuracies that are then compared, which favours a norm that was
    trained at more learning rates.
    """
    finals = {alpha: results.final(norm, alpha) for alpha in results.alphas(norm)}
    sound = {alpha: final for alpha, final in finals.items() if final["test_accuracy"].notna().all()}
    if not sound:
        raise NotRunError(f"training with norm {norm} at a learning rate where it does not diverge")
    chosen_by = training.chosen_by(pd.concat(sound.values()))
    return results.scores(norm, max(sound, key=lambda alpha: sound[alpha][chosen_by].mean()))
