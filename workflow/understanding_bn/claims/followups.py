"""Predictions of later work that the same grids can test. Each function is one; bounds are constants."""

import numpy as np
import pandas as pd

from understanding_bn import architecture
from understanding_bn.analysis.finite import if_finite
from understanding_bn.claims import roles, scores
from understanding_bn.claims.checks import Check, mean_check, quotient_check, ratio_check, within
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.summaries import edge_of_stability, max_learning_rate
from understanding_bn.summaries.gradient_structure import along_training
from understanding_bn.summaries.hessian import largest_over_rms, preferred, sharpness_and_trace
from understanding_bn.summaries.learning_rate_grid import BOTH, ONLY_ALPHA, ONLY_SIZE, largest_grid, neighbours
from understanding_bn.summaries.trained_runs import runs
from understanding_bn.summaries.training import chosen_by, main_network, of_network, with_failures

SAME_ACCURACY = 2.0  # points
SAME_RATIO = 1 / 3  # of the mean difference in accuracy between cells of equal α/B over that between others
STABLE_RATIO, DEEP = 10.0, 56  # of largest stable α, branches scaled over unscaled, from this depth
EXPLOSION, EXPLOSION_ERROR = 1.21, 0.1  # factor per layer, √(π / (π − 1)) for wide networks
EDGE_ERROR = 0.2  # of sharpness · α / (2 + 2β) about 1
EDGE_LOSS = 0.1  # the edge is looked for above it: with less, sharpness of cross-entropy falls again
UNKNOWN = np.full(4, np.nan)  # a fit of one slope and three intercepts
LEAST_PLAIN = 14  # layers: in a network of 8, a stage has one kernel beyond its first, and no slope
EARLY = 0.1  # share of training that the noise scale's growth is counted from
SIGNAL_MINIBATCHES = 200  # for |g|², which is noise where it comes from few


def equal_ratio_equal_accuracy(results: Results) -> list[Check]:
    """Smith & Le (2018): with BN, neighbouring cells that share α/B end more alike than neighbours that do not.

    Per seed, the mean |difference| over the pairs of each kind. A pair counts where both its runs are sound.
    """
    table = _grid(results, "batch")
    accuracy = _by_cell(table, "test_accuracy")
    alike = neighbours(table, BOTH)
    others = neighbours(table, ONLY_ALPHA) + neighbours(table, ONLY_SIZE)
    if not alike:
        raise NotRunError("training with BN at several α and B of one α/B")
    sides = [pd.concat([(accuracy[b] - accuracy[a]).abs() for a, b, _ in pairs], axis=1) for pairs in (alike, others)]
    means = pd.concat([side.mean(axis=1) for side in sides], axis=1).dropna()
    name = "mean |difference| of test accuracy with BN between neighbouring cells, "
    name += f"{len(alike)} pairs of equal α/B over {len(others)} of unequal"
    lost, total = (sum(int(count) for count in counts) for counts in zip(*map(_lost, sides), strict=True))
    name += f" ({lost} of {total} differences have a run that failed)" if lost else ""
    return [quotient_check(name, means[0].to_numpy(), means[1].to_numpy(), "≤", SAME_RATIO, zero=1)]


def best_alpha_rises_with_batch_size(results: Results) -> list[Check]:
    """De & Smith (2020): with BN, large α gains little at small B, so that the best α is smaller there."""
    table = _grid(results, "batch")
    small, large = table["batch_size"].min(), table["batch_size"].max()
    best, column = {}, chosen_by(table)
    for size in (small, large):
        accuracy = _by_cell(table[table["batch_size"] == size], column)
        best[size] = accuracy.dropna(how="all").idxmax(axis=1).map(lambda cell: cell[0]).astype(float)
    change = np.log2(best[large] / best[small])
    return [mean_check(f"log2 of best α with BN, B = {large} over B = {small}", change, ">", 0, zero=0)]


def scaled_branches_take_larger_steps(results: Results) -> list[Check]:
    """De & Smith (2020), τ-ResNet: without BN, branches scaled by 1/√blocks are stable at far larger α.

    Compared at each depth with the network of the same weights whose branches are not scaled. Where the scaled one is
    stable at every α of the search, its largest is a lower bound, which is as good for a claim of "at least".

    Raises:
        NotRunError: not both were searched at such a depth, or another search found no bound.
    """
    table = max_learning_rate.largest_by_network(results.measurement("max_learning_rate"))
    table = table[(table["norm"] == "none") & (table["depth"] >= DEEP)]
    unscaled, scaled = (table[table["init"] == init] for init in ("kaiming", "branch_scaled"))
    archs = sorted({*unscaled["arch"]} & {*scaled["arch"]}, key=architecture.depth)
    if not archs:
        raise NotRunError(
            f"max_learning_rate without BN at depth {DEEP} or more with both kaiming and branch_scaled initialisation"
        )
    table = pd.concat([unscaled, scaled])
    table = table[table["arch"].isin(archs)]
    lowest = (table["init"] == "branch_scaled") & (table["limit"] == "above")
    for end, key in (("above", "larger largest_alpha"), ("below", "smaller smallest_alpha")):
        missed = table[(table["limit"] == end) & ~lowest]
        if len(missed):
            network = missed.iloc[0]
            where = f"{network['arch']}, {network['init']}"
            raise NotRunError(f"a {key} in max_learning_rate: the search of {where} without BN found no bound")
    checks = []
    for arch in archs:
        of_arch = table[table["arch"] == arch]
        alphas = of_arch.pivot(index="seed", columns="init", values="alpha")
        bounds = int(lowest[of_arch.index].sum())
        name = f"largest stable α without BN, branches × 1/√blocks over unscaled, {arch.replace('resnet', 'ResNet')}"
        name += f" ({bounds} of {len(alphas)} are lower bounds)" if bounds else ""
        ratio = (alphas["branch_scaled"] / alphas["kaiming"]).to_numpy()
        checks.append(ratio_check(name, ratio, "≥", STABLE_RATIO, zero=1))
    return checks


def fixup_matches_batch_norm(results: Results) -> list[Check]:
    """Zhang, Dauphin & Ma (2019), as an equivalence: Fixup without BN ends where BN does, at the same large α."""
    (alpha,) = roles.of_claim(results, large="batch")
    batch, fixup = results.scores("batch", alpha), results.scores("none", alpha, "fixup")
    name, ends = f"test accuracy at α = {alpha:g}, Fixup − BN (points)", (-SAME_ACCURACY, SAME_ACCURACY)
    return within(name, scores.compared(fixup, batch), *ends, beside=scores.beside(fixup, batch))


def noise_scale_grows(results: Results) -> list[Check]:
    """McCandlish et al. (2018): the gradient noise scale grows along training.

    |g|² must come from enough mini-batches: from few it is mostly noise. Networks in which noise drowns it even so have
    no noise scale; the name says how many those are.
    """
    structure = results.trained("gradient_structure")
    counts = structure.loc[structure["quantity"] == "signal_minibatches", "value"]
    if counts.empty or counts.min() < SIGNAL_MINIBATCHES:
        raise NotRunError(f"gradient_structure with signal_minibatches of {SIGNAL_MINIBATCHES} or more")
    table = with_failures(along_training(structure), results.histories())
    table = table[table["failure"] == ""]
    if table.empty:
        raise NotRunError("gradient_structure along training, of runs that did not fail")
    table = of_network(table, main_network(table))
    checks = []
    for norm, text in (("batch", "BN"), ("none", "none")):
        of_norm = results.of_shared_seeds(table[table["norm"] == norm], "gradient_structure")
        wide = of_norm.pivot_table(index=["alpha", "seed"], columns="fraction", values="noise_scale", dropna=False)
        if 1 not in wide or EARLY not in wide:
            raise NotRunError(f"gradient_structure at {EARLY:.0%} and at the end of training, {text}")
        growth = wide[1] / wide[EARLY]
        logarithms = np.log10(growth.where(growth > 0))
        by_seed = logarithms.groupby("seed").mean()
        name = f"log10 of tr Σ / |g|² at the end over that at {EARLY:.0%}, {text}, mean over α"
        drowned = int(logarithms.isna().sum())
        name += f"; {drowned} of {len(logarithms)} networks have no |g|² above noise" if drowned else ""
        checks.append(mean_check(name, by_seed.to_numpy(), ">", 0, zero=0))
    return checks


def plain_networks_explode(results: Results) -> list[Check]:
    """Yang et al. (2019), as an equivalence: BN without shortcuts multiplies gradients by about 1.21 a layer."""
    table = results.trained("gradient_structure")
    plain = {a for a in table["arch"].unique() if architecture.parse(a)[0] == "none"}
    table = table[table["arch"].isin(plain) & (table["norm"] == "batch") & (table["epoch"] == 0)]
    if table.empty:
        raise NotRunError("gradient_structure of a plain network with BN before training")
    deepest = max(table["arch"].unique(), key=architecture.depth)
    if architecture.depth(deepest) < LEAST_PLAIN:
        raise NotRunError(f"gradient_structure of a plain network of {LEAST_PLAIN} layers or more with BN, at 0")
    rates = explosion(table[table["arch"] == deepest], architecture.depth(deepest))
    name = f"growth of the gradient per layer towards the input, {deepest} with BN, before training"
    ends = round(EXPLOSION - EXPLOSION_ERROR, 3), round(EXPLOSION + EXPLOSION_ERROR, 3)
    return within(name, rates, *ends, logs=True)


def explosion(table: pd.DataFrame, depth: int) -> np.ndarray:
    """The factor per layer by which kernel gradients grow towards the input, one for each seed.

    Least squares of the logarithm of √E‖g_B‖² (signal and noise together) on the layer's number with an intercept for
    each stage, because kernels of different stages differ in shape. The first kernel of a stage has another shape than
    the others and is left out, as are stem and linear layer. NaN where a gradient is zero or not finite.
    """
    per_stage = (depth - 2) // 3
    rates = []
    for _, of_seed in table[table["block"] != "all"].groupby("seed"):
        wide = of_seed.pivot_table(index="block", columns="quantity", values="value", dropna=False)
        layer = wide.index.astype(int).to_numpy()
        inside = (layer > 1) & (layer < depth) & ((layer - 2) % per_stage != 0)
        stage = (layer[inside] - 2) // per_stage
        with np.errstate(divide="ignore", invalid="ignore"):
            logarithm = 0.5 * np.log((wide["gradient_norm2"] + wide["noise"]).to_numpy()[inside])
        design = np.column_stack([layer[inside], *(stage == s for s in range(3))]).astype(float)
        fit = if_finite(lambda x, y: np.linalg.lstsq(x, y, rcond=None)[0], design, logarithm, otherwise=UNKNOWN)
        rates.append(np.exp(-fit[0]))
    return np.array(rates)


def settles_at_the_edge(results: Results) -> list[Check]:
    """Cohen et al. (2021), as an equivalence: full-batch descent settles where sharpness · α = 2 + 2β (momentum β).

    By norm, loss and momentum. A seed's value is the geometric mean over α of the medians after each crossing. Descents
    that never cross, end as they cross, diverge or collapse have none; the name counts them.
    """
    table = results.measurement("edge_of_stability")
    descents = edge_of_stability.by_descent(table, EDGE_LOSS)
    descents = descents[descents["norm"].isin(["batch", "none"])]
    if not (descents["outcome"] == edge_of_stability.SETTLED).any():
        raise NotRunError("edge_of_stability of descents that cross the edge: larger α, or more updates")
    checks = []
    for (norm, loss, momentum), alike in descents.groupby(["norm", "loss", "momentum"], sort=False):
        counts = alike["outcome"].value_counts().to_dict()
        settled = counts.pop(edge_of_stability.SETTLED, 0)
        left_out = "".join(f", {count} {outcome}" for outcome, count in counts.items())
        text = f"{'BN' if norm == 'batch' else norm}, {loss.replace('_', '-')}, β = {momentum:g}"
        name = f"sharpness · α / (2 + 2β) past the edge, {text} ({settled} of {len(alike)} descents{left_out})"
        values = edge_of_stability.by_seed(alike).to_numpy()
        checks += within(name, values, 1 - EDGE_ERROR, 1 + EDGE_ERROR, logs=True)
    return checks


def fewer_outliers(results: Results) -> list[Check]:
    """Ghorbani, Krishnan & Xiao (2019): BN suppresses the Hessian's outliers. λ_max over the spectrum's rms is less."""
    table = results.trained("hessian_spectrum")
    end = table[table["fraction"] == 1]
    ratio = largest_over_rms(end)
    ratio["ratio"] = np.log10(ratio["ratio"].where(ratio["ratio"] > 0))
    difference, lost = _none_minus_batch(results, ratio, "ratio")
    name = f"log10 of λ_max / rms λ, none − BN, mean over α and B, BN in {preferred(end['bn_mode'])} mode{lost}"
    return [mean_check(name, difference, ">", 0, zero=0)]


def shallow_networks_sharper(results: Results) -> list[Check]:
    """Yao et al. (2020): in a shallow residual network BN makes the Hessian's trace larger, not smaller."""
    histories, spectra = results.histories(), results.trained("hessian_spectrum")
    end = spectra[spectra["fraction"] == 1]
    table = with_failures(sharpness_and_trace(end), histories)
    table = table[table["arch"].map(lambda a: architecture.parse(a)[0] != "none") & (table["failure"] == "")]
    both = table.groupby("arch")["norm"].apply(lambda norms: {"batch", "none"} <= set(norms))
    if not both.any():
        raise NotRunError("hessian_spectrum of residual networks with BN and without")
    arch = min(both.index[both], key=architecture.depth)
    traces = table[table["arch"] == arch]
    traces = traces.assign(logarithm=np.log10(traces["trace"].where(traces["trace"] > 0)))
    difference, lost = _none_minus_batch(results, traces, "logarithm")
    where = f"{arch.replace('resnet', 'ResNet')}, BN in {preferred(end['bn_mode'])} mode"
    name = f"log10 of the Hessian's trace at the end, BN − none, {where}{lost}"
    return [mean_check(name, -difference, ">", 0, zero=0)]


def _grid(results: Results, norm: str) -> pd.DataFrame:
    """The runs of a norm in the (α, B) grid of the network that has most cells."""
    table = largest_grid(runs(results.histories()))
    table = table[table["norm"] == norm]
    if table["batch_size"].nunique() < 2 or table["alpha"].nunique() < 2:
        raise NotRunError(f"training with norm {norm} at several α and B")
    return results.of_shared_seeds(table)


def _by_cell(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Seeds as rows, cells (α, B) as columns; NaN where a run failed."""
    return table.pivot_table(index="seed", columns=["alpha", "batch_size"], values=column, dropna=False)


def _none_minus_batch(results: Results, table: pd.DataFrame, column: str) -> tuple[np.ndarray, str]:
    """By seed, the mean difference none − BN over the cells of hessian_spectrum that both norms have, all else equal.

    Also how many of these differences have no value, for a name; "" where all have.
    """
    keys = ["arch", "init", "alpha", "batch_size", "epochs", "seed"]
    table = table[table["norm"].isin(["none", "batch"])]
    table = table[table.groupby(keys[:-1])["norm"].transform("nunique") == 2]
    if table.empty:
        raise NotRunError("the same cells with BN and without")
    table = results.of_shared_seeds(table, "hessian_spectrum")
    sides = [table[table["norm"] == norm].set_index(keys)[column].rename(norm) for norm in ("none", "batch")]
    wide = pd.concat(sides, axis=1, join="inner")
    if wide.empty:
        raise NotRunError("the same cells and seeds with BN and without")
    differences = wide["none"] - wide["batch"]
    lost = int(differences.isna().sum())
    text = f" ({lost} of {len(differences)} have none)" if lost else ""
    return differences.groupby("seed").mean().to_numpy(), text


def _lost(differences: pd.DataFrame) -> tuple[int, int]:
    """How many differences, by seed and pair of cells, have no value; and how many there are."""
    return int(differences.isna().to_numpy().sum()), differences.size
