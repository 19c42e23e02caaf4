"""The paper's claims about networks at initialisation and in their first steps. Each function is one claim."""

from itertools import pairwise

import numpy as np
import pandas as pd

from understanding_bn import architecture
from understanding_bn.claims.checks import Check, every, mean_check, ratio_check, within
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.messages import plain
from understanding_bn.summaries import (
    gradient_noise,
    input_mean_correlation,
    kernel_gradients,
    logit_gradients,
    max_learning_rate,
)
from understanding_bn.summaries.channel_moments import MAIN_SITE, moments_by_layer

SD_RATIO = 50.0
STEP_RATIO = 10.0
EXPLODES_BEFORE = 2e-3  # step size at which the relative loss without BN has passed EXPLODED
EXPLODED = 1e3
TAME, TAME_UP_TO = 10.0, 0.2  # relative loss with BN, and up to which step size
FIRST_MINIBATCHES = 10
LOG_STD_RISE = 3.0
LOG_STD_RANGE = (-1.0, 1.2)
CANCELS, ADDS_UP = 50.0, 5.0
NOISE_SLOPE, NOISE_SLOPE_ERROR = -1.0, 0.1  # of log noise against log B
UPDATE_SLOPE, UPDATE_SLOPE_ERROR = 2.0, 0.1  # of log update noise against log α
INIT_RATIO = 10.0


def noise_scales(results: Results) -> list[Check]:
    """Claim 6, as an equivalence. That an update's noise grows as α² is an identity: it checks the code.

    Raises:
        NotRunError: a slope over B has fewer than two points.
    """
    values = results.measurement("gradient_noise")
    sizes = values[values["sampling"] == "epoch"].groupby("norm")["batch_size"].nunique()
    if sizes.reindex(["none", "batch"], fill_value=0).min() < 2:
        raise NotRunError("gradient_noise at two batch sizes, from mini-batches of an epoch")
    table = gradient_noise.slopes(values)
    checks = []
    for norm, text in (("none", "none"), ("batch", "BN")):
        of_norm = table[table["norm"] == norm]
        ends = round(NOISE_SLOPE - NOISE_SLOPE_ERROR, 3), round(NOISE_SLOPE + NOISE_SLOPE_ERROR, 3)
        name = f"slope of log gradient noise against log B, {text}"
        within_seed = of_norm["batch_size_slope_error"].median()
        known = f"standard error within a seed {plain(within_seed, '.2g')}, by the jackknife over mini-batches"
        checks += within(name, of_norm["batch_size_slope"], *ends, beside="" if np.isnan(within_seed) else known)
        name = f"slope of log update noise against log α, {text}: an identity, 2 if the code is right"
        least = round(UPDATE_SLOPE - UPDATE_SLOPE_ERROR, 3)
        checks.append(mean_check(name, of_norm["alpha_slope"], "≥", least, evidence=False))
    return checks


def gradient_spread(results: Results) -> list[Check]:
    """Claim 7. A network of which an entry of the gradient is not finite has neither moment."""
    grouped = results.measurement("gradient_histogram").groupby(["norm", "seed"])["gradient"]
    finite = grouped.apply(lambda g: bool(np.isfinite(g).all())).unstack("norm")
    sd = grouped.std().unstack("norm").where(finite)
    kurtosis = grouped.apply(lambda g: float(pd.Series(g).astype(float).kurt()) + 3).unstack("norm").where(finite)
    return [
        ratio_check("sd of the kernel gradient, none / BN", sd["none"] / sd["batch"], "≥", SD_RATIO, zero=1),
        # A ratio of moments, and so judged on logarithms.
        ratio_check("kurtosis of the kernel gradient, none / BN", kurtosis["none"] / kurtosis["batch"], ">", 1, zero=1),
    ]


def larger_steps(results: Results) -> list[Check]:
    """Claim 8, on mini-batch 1. Where a curve is NaN after a finite loss, the loss has overflowed.

    Raises:
        NotRunError: the sweep does not reach the steps that the claim is about.
    """
    table = results.measurement("relative_loss")
    table = table[table["minibatch"] == 1]
    if table.empty:
        raise NotRunError("relative_loss for mini-batch 1")
    useful, explodes, highest = {}, {}, {}
    for (norm, seed), curve in table.groupby(["norm", "seed"]):
        curve = curve.sort_values("step_size")
        steps, losses = curve["step_size"].to_numpy(), curve["relative_loss"].to_numpy()
        if len(curve) == 1 and not 0 < curve["loss"].iloc[0] < np.inf:  # no loss to compare with
            useful[norm, seed] = explodes[norm, seed] = highest[norm, seed] = np.nan
            continue
        losses = np.where(np.isnan(losses), np.inf, losses)
        short = norm == "batch" and steps[-1] < TAME_UP_TO and losses[-1] < TAME
        if short or steps[0] > EXPLODES_BEFORE:
            raise NotRunError(f"relative_loss for steps from {EXPLODES_BEFORE:g} or less to {TAME_UP_TO:g} or more")
        below = steps[losses < 1]
        useful[norm, seed] = below.max() if len(below) else np.nan
        past = steps[~(losses <= EXPLODED)]
        explodes[norm, seed] = past.min() if len(past) else np.inf
        highest[norm, seed] = losses[steps <= TAME_UP_TO].max()
    largest = pd.Series(useful).unstack(0)
    none = pd.Series(explodes).unstack(0)["none"]
    batch = pd.Series(highest).unstack(0)["batch"]
    ratio = largest["batch"] / largest["none"]
    return [
        ratio_check("largest step with relative loss < 1, BN / none", ratio, "≥", STEP_RATIO, zero=1),
        ratio_check(f"step at which the relative loss without BN passes {EXPLODED:g}", none, "<", EXPLODES_BEFORE),
        ratio_check(f"largest relative loss with BN up to step {TAME_UP_TO:g}", batch, "<", TAME),
    ]


def moments_rise_with_depth(results: Results) -> list[Check]:
    """Claim 9: natural logarithms of the ratio between neighbouring layers, at the last finite part of the step.

    Seeds that did not diverge, or are not finite from the start, have no value.
    """
    table, seeds = _diverged_without_norm(results)
    layers = sorted(table["layer"].unique())
    if len(layers) < 3:
        raise NotRunError("divergence_path at three layers")
    checks = []
    for statistic in ("mean", "variance"):
        sizes = table.assign(size=table[statistic].abs().fillna(np.inf))
        peaks = sizes.groupby(["seed", "percent", "layer"])["size"].max().unstack("layer")
        finite = peaks[np.isfinite(peaks).all(axis=1)]
        last = finite.groupby("seed").tail(1).droplevel("percent").reindex(seeds)
        for low, high in pairwise(layers):
            name = f"log of largest |channel {statistic}|, layer {high} − {low}"
            checks.append(mean_check(name, _log(last[high] / last[low]), ">", 0, zero=0))
    return checks


def diverges_at_once(results: Results) -> list[Check]:
    """Claim 10."""
    table = results.measurement("divergence_path")
    runs = table[table["norm"] == "none"].drop_duplicates("seed")
    soon = runs["diverged"] & (runs["update"] <= FIRST_MINIBATCHES)
    name = f"share of runs without BN at α = {runs['alpha'].iloc[0]:g} that diverge by update {FIRST_MINIBATCHES}"
    return [every(name, soon)]


def activations_grow(results: Results) -> list[Check]:
    """Claim 11."""
    table = moments_by_layer(results.measurement("channel_moments"))
    table = table[(table["statistic"] == "log_std") & (table["site"] == MAIN_SITE)]
    # The last layer is the classifier where it was measured; the claim is about the convolutions before it.
    depth = max(architecture.depth(arch) for arch in results.measurement("channel_moments")["arch"].unique())
    layers = sorted(layer for layer in table["layer"].unique() if layer < depth)
    if len(layers) < 2:
        raise NotRunError("channel_moments at two convolutions")
    first, last = layers[0], layers[-1]
    none, batch = (
        table[table["norm"] == norm].pivot(index="seed", columns="layer", values="value")[layers]
        for norm in ("none", "batch")
    )
    return [
        mean_check(
            f"rise of log-std from layer {first} to {last}, none", none[last] - none[first], "≥", LOG_STD_RISE, zero=0
        ),
        mean_check("smallest log-std, BN", batch.min(axis=1, skipna=False), "≥", LOG_STD_RANGE[0]),
        mean_check("largest log-std, BN", batch.max(axis=1, skipna=False), "≤", LOG_STD_RANGE[1]),
    ]


def one_class_for_all(results: Results) -> list[Check]:
    """Claim 12; see `logit_gradients.one_class_for_all` for what counts as positive."""
    some = logit_gradients.one_class_for_all(results.measurement("logit_gradients")).unstack("norm")
    return [
        every("share of networks without BN with one class positive for all images", some["none"]),
        every("share of networks with BN without such a class", ~some["batch"]),
    ]


def gradients_cancel(results: Results) -> list[Check]:
    """Claim 13."""
    ratio = results.measurement("gradient_sums").pivot(index=["norm", "seed"], columns="layer", values="ratio")
    if len(ratio.columns) < 3:
        raise NotRunError("gradient_sums at three layers")
    batch, none = ratio.loc["batch"], ratio.loc["none"]
    checks = [ratio_check(f"a/b, BN, layer {layer}", batch[layer], "≥", CANCELS) for layer in ratio.columns[:2]]
    return checks + [ratio_check(f"a/b, none, layer {layer}", none[layer], "≤", ADDS_UP) for layer in ratio.columns]


def low_rank_gradients(results: Results) -> list[Check]:
    """Claim 14."""
    energy = kernel_gradients.energy(results.measurement("kernel_gradients"))
    share = energy.pivot(index="seed", columns="norm", values="top_share")
    name = "top singular value's share of the energy, none − BN"
    return [mean_check(name, share["none"] - share["batch"], ">", 0, zero=0)]


def shallower_tolerates_more(results: Results) -> list[Check]:
    """Claim 16, between neighbouring depths; in decades, seed by seed."""
    table = _searches(results, "depth")
    depths = table.pivot(index="seed", columns="depth", values="alpha").map(np.log10)
    if len(depths.columns) < 2:
        raise NotRunError("max_learning_rate without BN at two depths")
    name = "log10 of the largest stable α without BN, depth {} − {}"
    return [
        mean_check(name.format(deep, shallow), depths[deep] - depths[shallow], "≤", 0, zero=0)
        for shallow, deep in pairwise(depths.columns)
    ]


def inits_alike(results: Results) -> list[Check]:
    """Claim 17: the ratio of the largest to the smallest over initialisations, seed by seed, in decades."""
    table = _searches(results, "init")
    table = table.assign(family=table["init"].str.split("_").str[0])
    table = table[table["family"].isin(["xavier", "kaiming", "orthogonal"])]
    missing = {"xavier", "kaiming", "orthogonal"} - set(table["family"])
    if missing:
        raise NotRunError(f"max_learning_rate without BN with initialisation {' and '.join(sorted(missing))}")
    alphas = table.pivot(index="seed", columns="init", values="alpha").map(np.log10)
    spread = alphas.max(axis=1) - alphas.min(axis=1)
    name = "log10 of largest / smallest over initialisations of the largest stable α without BN"
    return [mean_check(name, spread, "<", float(np.log10(INIT_RATIO)))]


def gradients_follow_means(results: Results) -> list[Check]:
    """Claim 20: Spearman's correlation over the input channels of a layer, its mean over layers 2 … depth − 1."""
    table = input_mean_correlation.by_layer(results.measurement("input_mean_correlation"))
    correlations = table.loc[table["norm"] == "none", ["seed", "spearman"]]
    missing = int(correlations["spearman"].isna().sum())
    name = "mean over layers of the rank correlation, none"
    name += f" ({missing} of {len(correlations)} layers have none)" if missing else ""
    return [mean_check(name, correlations.groupby("seed")["spearman"].mean(), ">", 0, zero=0)]


def _searches(results: Results, factor: str) -> pd.DataFrame:
    """The largest stable α without BN of every seed, where only `factor` varies.

    Raises:
        NotRunError: a search found no bound, so that its α is not known.
    """
    table = max_learning_rate.largest_by_network(results.measurement("max_learning_rate"))
    table = max_learning_rate.varied(table[table["norm"] == "none"], factor)
    if (table["limit"] != "").any():
        raise NotRunError("a wider range of α in max_learning_rate: some search found no bound in it")
    return table


def _diverged_without_norm(results: Results) -> tuple[pd.DataFrame, list[int]]:
    """Moments along the diverging update, over the seeds without normalisation that did diverge; and all seeds."""
    table = results.measurement("divergence_path")
    table = table[table["norm"] == "none"]
    if not table["diverged"].any():
        raise NotRunError("a run without BN that diverges within the updates followed")
    return table[table["diverged"]], sorted(table["seed"].unique())


def _log(ratios: pd.Series) -> pd.Series:
    """Natural logarithms, −∞ of zero."""
    with np.errstate(divide="ignore"):
        return np.log(ratios)
