"""Explanations by noise: batch statistics' regularises (Luo et al. 2019), SGD's decides (Smith & Le 2018)."""

import pandas as pd

from understanding_bn.claims.checks import Check, mean_check, within
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.summaries.batch_noise import (
    best_sizes,
    by_statistics,
    size_slopes,
    sizes_at_equal_updates,
    smallest_beside_batch_norm,
)

FEW_IMAGES = 1 / 16  # statistics are from at most this share of the mini-batch
SLOPE_ERROR, LEAST_ALPHAS = 0.3, 4  # of log best B on log α, about 1


def batch_noise_regularises(results: Results) -> list[Check]:
    """Luo et al. (2019): statistics of few images of a mini-batch raise the train loss and lower the test loss.

    Both losses are of whole splits in eval mode, in nats. A seed's value is its mean difference, ghost batch norm −
    batch norm, over the α at which both its runs are sound.
    """
    table = by_statistics(results.histories())
    pairs = smallest_beside_batch_norm(results.of_shared_seeds(table)) if len(table) else table
    if pairs.empty or pairs["statistics_ghost"].iloc[0] > FEW_IMAGES * pairs["batch_size_batch"].iloc[0]:
        raise NotRunError(
            "training with BN and with ghost norm of a sixteenth of the mini-batch or less, at one α and B"
        )
    ghost, size = pairs["norm_ghost"].iloc[0], pairs["batch_size_batch"].iloc[0]
    checks = []
    for split, relation in (("test", "<"), ("train", ">")):
        difference = (pairs[f"{split}_loss_ghost"] - pairs[f"{split}_loss_batch"]).groupby(pairs["seed"]).mean()
        lost = int((pairs[[f"{split}_loss_ghost", f"{split}_loss_batch"]].isna()).any(axis=1).sum())
        name = f"{split} loss at the end, {ghost} − BN at B = {size} (nats), mean over α"
        name += f" ({lost} of {len(pairs)} pairs have a run that failed)" if lost else ""
        checks.append(mean_check(name, difference.to_numpy(), relation, 0, zero=0))
    return checks


def best_batch_size_rises_with_alpha(results: Results) -> list[Check]:
    """Smith & Le (2018), as an equivalence: noise decides through α/B, so that the best B is in proportion to α.

    With BN at equal updates. By seed, the slope of log2 of the best B (on validation images, where there are any) on
    log2 α. Where the best is the smallest or largest B that was tried, the true one may lie beyond; the name counts
    these.
    """
    runs = sizes_at_equal_updates(results.histories(), LEAST_ALPHAS)
    if runs.empty:
        raise NotRunError(f"training with BN at {LEAST_ALPHAS} α or more with three B or more each, at equal updates")
    best = best_sizes(results.of_shared_seeds(runs))
    slopes: pd.Series = size_slopes(best)
    edges = int(best["at_edge"].sum())
    name = f"slope of log2 best B on log2 α with BN at equal updates, {best['alpha'].nunique()} α"
    name += f" ({edges} of {len(best)} best B are the smallest or largest tried)" if edges else ""
    return within(name, slopes.to_numpy(), 1 - SLOPE_ERROR, 1 + SLOPE_ERROR)
