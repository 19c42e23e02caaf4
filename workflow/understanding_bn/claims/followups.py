"""Predictions of later work that the same grids can test. Each function is one; bounds are constants."""

import numpy as np
import pandas as pd

from understanding_bn import architecture
from understanding_bn.claims import roles, scores
from understanding_bn.claims.checks import Check, every, mean_check, within
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.experiment.jobs import Train
from understanding_bn.summaries.gradient_structure import along_training
from understanding_bn.summaries.hessian import largest_over_rms
from understanding_bn.summaries.learning_rate_grid import BOTH, largest_grid, neighbours
from understanding_bn.summaries.trained_runs import runs
from understanding_bn.summaries.training import main_network, of_network, with_failures

SAME_ACCURACY = 2.0  # points
EXPLOSION, EXPLOSION_ERROR = 1.21, 0.1  # factor per layer, √(π / (π − 1)) for wide networks
EDGE_ERROR = 0.2  # of sharpness · α / (2 + 2β) about 1
EARLY = 0.1  # share of training that the noise scale's growth is counted from


def equal_ratio_equal_accuracy(results: Results) -> list[Check]:
    """Smith & Le (2018), as an equivalence: with BN, cells that share α/B end with the same accuracy."""
    table = _grid(results, "batch")
    pairs = neighbours(table, BOTH)
    if not pairs:
        raise NotRunError("training with BN at several α and B of one α/B")
    accuracy = _by_cell(table, "test_accuracy")
    change = pd.concat([accuracy[b] - accuracy[a] for a, b, _ in pairs], axis=1).mean(axis=1).dropna()
    name = f"test accuracy with BN, larger − smaller B at equal α/B, mean of {len(pairs)} pairs (points)"
    return within(name, change, -SAME_ACCURACY, SAME_ACCURACY)


def best_alpha_rises_with_batch_size(results: Results) -> list[Check]:
    """De & Smith (2020): with BN, large α gains little at small B, so that the best α is smaller there."""
    table = _grid(results, "batch")
    small, large = table["batch_size"].min(), table["batch_size"].max()
    best = {}
    for size in (small, large):
        accuracy = _by_cell(table[table["batch_size"] == size], "test_accuracy")
        best[size] = accuracy.dropna(how="all").idxmax(axis=1).map(lambda cell: cell[0]).astype(float)
    change = np.log2(best[large] / best[small]).dropna()
    return [mean_check(f"log2 of best α with BN, B = {large} over B = {small}", change, ">", 0, zero=0)]


def scaled_branches_train(results: Results) -> list[Check]:
    """De & Smith (2020), τ-ResNet: without BN, branches scaled by 1/√blocks train where the unscaled network fails.

    Asked at the smallest α at which every seed of the unscaled network fails.
    """
    unscaled, scaled = (_init_runs(results, init) for init in (None, "branch_scaled"))
    for alpha in sorted({*unscaled["alpha"]} & {*scaled["alpha"]}):
        if (unscaled.loc[unscaled["alpha"] == alpha, "failure"] != "").all():
            trains = scaled.loc[scaled["alpha"] == alpha, "failure"] == ""
            return [every(f"share of runs without BN at α = {alpha:g} that train, branches × 1/√blocks", trains)]
    raise NotRunError("an α at which every unscaled run without BN fails and scaled ones were trained")


def fixup_matches_batch_norm(results: Results) -> list[Check]:
    """Zhang, Dauphin & Ma (2019), as an equivalence: Fixup without BN ends where BN does, at the same large α."""
    (alpha,) = roles.of_claim(results, large="batch")
    batch, fixup = results.scores("batch", alpha), results.scores("none", alpha, "fixup")
    name, ends = f"test accuracy at α = {alpha:g}, Fixup − BN (points)", (-SAME_ACCURACY, SAME_ACCURACY)
    return within(name, scores.compared(fixup, batch), *ends, beside=scores.beside(fixup, batch))


def noise_scale_grows(results: Results) -> list[Check]:
    """McCandlish et al. (2018): the gradient noise scale grows along training."""
    table = with_failures(along_training(results.trained("gradient_structure")), results.histories())
    table = table[table["failure"] == ""]
    if table.empty:
        raise NotRunError("gradient_structure along training, of runs that did not fail")
    table = of_network(table, main_network(table))
    checks = []
    for norm, text in (("batch", "BN"), ("none", "none")):
        wide = table[table["norm"] == norm].pivot_table(
            index=["alpha", "seed"], columns="fraction", values="noise_scale"
        )
        if 1 not in wide or EARLY not in wide:
            raise NotRunError(f"gradient_structure at {EARLY:.0%} and at the end of training, {text}")
        growth = np.log10(wide[1] / wide[EARLY]).groupby("seed").mean()
        name = f"log10 of tr Σ / |g|² at the end over that at {EARLY:.0%}, {text}, mean over α"
        checks.append(mean_check(name, growth.to_numpy(), ">", 0, zero=0))
    return checks


def plain_networks_explode(results: Results) -> list[Check]:
    """Yang et al. (2019), as an equivalence: BN without shortcuts multiplies gradients by about 1.21 a layer."""
    table = results.trained("gradient_structure")
    plain = {a for a in table["arch"].unique() if architecture.parse(a)[0] == "none"}
    table = table[table["arch"].isin(plain) & (table["norm"] == "batch") & (table["epoch"] == 0)]
    if table.empty:
        raise NotRunError("gradient_structure of a plain network with BN before training")
    deepest = max(table["arch"].unique(), key=architecture.depth)
    rates = explosion(table[table["arch"] == deepest], architecture.depth(deepest))
    name = f"growth of the gradient per layer towards the input, {deepest} with BN, before training"
    ends = round(EXPLOSION - EXPLOSION_ERROR, 3), round(EXPLOSION + EXPLOSION_ERROR, 3)
    return within(name, rates, *ends, logs=True)


def explosion(table: pd.DataFrame, depth: int) -> np.ndarray:
    """The factor per layer by which kernel gradients grow towards the input, one for each seed.

    Least squares of the logarithm of √E‖g_B‖² (signal and noise together) on the layer's number with an intercept for
    each stage, because kernels of different stages differ in shape. The first kernel of a stage has another shape than
    the others and is left out, as are stem and linear layer.
    """
    per_stage = (depth - 2) // 3
    rates = []
    for _, of_seed in table[table["block"] != "all"].groupby("seed"):
        wide = of_seed.pivot_table(index="block", columns="quantity", values="value")
        layer = wide.index.astype(int).to_numpy()
        inside = (layer > 1) & (layer < depth) & ((layer - 2) % per_stage != 0)
        stage = (layer[inside] - 2) // per_stage
        logarithm = 0.5 * np.log((wide["gradient_norm2"] + wide["noise"]).to_numpy()[inside])
        design = np.column_stack([layer[inside], *(stage == s for s in range(3))]).astype(float)
        rates.append(np.exp(-np.linalg.lstsq(design, logarithm, rcond=None)[0][0]))
    return np.array(rates)


def edge_of_stability(results: Results) -> list[Check]:
    """Cohen et al. (2021), as an equivalence: full-batch descent settles where sharpness · α = 2 + 2β (momentum β)."""
    table = _measured(results)
    images = max(run.data.train_images for run in results.runs.values() if run.data)
    table = table[(table["batch_size"] == images) & table["sharpness"].notna()]
    if table.empty:
        raise NotRunError("hessian_spectrum of networks trained on the full batch")
    momentum = next(run.job.optimiser.momentum for run in results.runs.values() if isinstance(run.job, Train))
    share = (table["sharpness"] * table["alpha"] / (2 + 2 * momentum)).groupby(table["seed"]).mean()
    name = "sharpness · α / (2 + 2β) after full-batch training"
    return within(name, share, 1 - EDGE_ERROR, 1 + EDGE_ERROR, logs=True)


def fewer_outliers(results: Results) -> list[Check]:
    """Ghorbani, Krishnan & Xiao (2019): BN suppresses the Hessian's outliers. λ_max over the spectrum's rms is less."""
    table = results.trained("hessian_spectrum")
    ratio = largest_over_rms(table[table["fraction"] == 1])
    ratio["ratio"] = np.log10(ratio["ratio"])
    difference = _none_minus_batch(ratio, "ratio")
    return [mean_check("log10 of λ_max / rms λ, none − BN, mean over α and B", difference, ">", 0, zero=0)]


def shallow_networks_sharper(results: Results) -> list[Check]:
    """Yao et al. (2020): in a shallow residual network BN makes the Hessian's trace larger, not smaller."""
    table = _measured(results)
    table = table[table["arch"].map(lambda a: architecture.parse(a)[0] != "none") & (table["trace"] > 0)]
    both = table.groupby("arch")["norm"].apply(lambda norms: {"batch", "none"} <= set(norms))
    if not both.any():
        raise NotRunError("hessian_spectrum of residual networks with BN and without")
    arch = min(both.index[both], key=architecture.depth)
    traces = table.loc[table["arch"] == arch].assign(logarithm=lambda rows: np.log10(rows["trace"]))
    difference = -_none_minus_batch(traces, "logarithm")
    name = f"log10 of the Hessian's trace at the end, BN − none, {arch.replace('resnet', 'ResNet')}"
    return [mean_check(name, difference, ">", 0, zero=0)]


def _grid(results: Results, norm: str) -> pd.DataFrame:
    """The runs of a norm in the (α, B) grid of the network that has most cells."""
    table = largest_grid(runs(results.histories()))
    table = table[table["norm"] == norm]
    if table["batch_size"].nunique() < 2 or table["alpha"].nunique() < 2:
        raise NotRunError(f"training with norm {norm} at several α and B")
    return table


def _by_cell(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Seeds as rows, cells (α, B) as columns; NaN where a run failed."""
    return table.pivot_table(index="seed", columns=["alpha", "batch_size"], values=column, dropna=False)


def _measured(results: Results) -> pd.DataFrame:
    """All runs, with the curvature of their networks at the end."""
    return runs(results.histories(), hessian_spectrum=results.trained("hessian_spectrum"))


def _init_runs(results: Results, init: str | None) -> pd.DataFrame:
    """The runs without norm of the main architecture and B, with this initialisation (None: the main one)."""
    table = runs(results.histories())
    assert results.main is not None  # there are histories
    arch, main_init, size = results.main
    table = table[(table["norm"] == "none") & (table["init"] == (init or main_init))]
    table = table[(table["arch"] == arch) & (table["batch_size"] == size)]
    if table.empty:
        raise NotRunError(f"training without norm, {init or main_init} initialisation")
    return table


def _none_minus_batch(table: pd.DataFrame, column: str) -> np.ndarray:
    """By seed, the mean difference none − BN over the cells that both norms have, all else equal."""
    keys = ["arch", "init", "alpha", "batch_size", "epochs", "seed"]
    wide = table[table["norm"].isin(["batch", "none"])].pivot_table(index=keys, columns="norm", values=column)
    if not {"batch", "none"} <= set(wide.columns):
        raise NotRunError("the same cells with BN and without")
    return (wide["none"] - wide["batch"]).dropna().groupby("seed").mean().to_numpy()
