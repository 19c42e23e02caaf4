"""The paper's twenty claims, and predictions of later work: statement, number, and the function that judges it."""

from collections.abc import Callable
from dataclasses import dataclass

from understanding_bn.claims import followups, matrices, training
from understanding_bn.claims import initialization as start
from understanding_bn.claims.checks import Check
from understanding_bn.claims.explanations import (
    at_initialization,
    covariate_shift,
    effective_learning_rate,
    landscape,
    noise,
    step_size,
    weight_decay,
)
from understanding_bn.claims.preconditions import CONVERGED_TRAINING, DATA, NOTHING, PAPERS_SETTING, Needs
from understanding_bn.claims.results import Results
from understanding_bn.paper import Said, digitised, read, recalled, shaky


@dataclass(frozen=True)
class Claim:
    """A claim as its source makes it, what is said there, the figure that shows it, and the function that judges it.

    `needs`: what its runs must be for its bound to mean anything.
    """

    id: int | str
    statement: str
    paper: Said
    figure: str
    judge: Callable[[Results], list[Check]]
    source: str = "Bjorck et al. (2018)"
    needs: Needs = NOTHING


CLAIMS = (
    Claim(
        1,
        f"acc(BN, 0.1) − acc(BN, 0.0001) ≥ {training.LARGE_ALPHA_GAIN:g} points",
        digitised("12.0 points"),
        "fig1_accuracy",
        training.large_alpha_gain,
        needs=CONVERGED_TRAINING,
    ),
    Claim(
        2,
        f"|acc(BN, 0.0001) − acc(none, 0.0001)| ≤ {training.SAME_ALPHA_DIFFERENCE:g} points",
        digitised("0.7 points"),
        "fig1_accuracy",
        training.same_alpha_same_accuracy,
        needs=CONVERGED_TRAINING,
    ),
    Claim(
        3,
        "acc(BN, 0.0001) < acc(BN, 0.003) < acc(BN, 0.1)",
        digitised("81.3 < 90.45 < 93.26 %"),
        "fig1_accuracy",
        training.accuracy_rises_with_alpha,
        needs=CONVERGED_TRAINING,
    ),
    Claim(
        4,
        "with BN the final train − test gap is smaller at 0.1 than at 0.0001",
        digitised("6.7 against 18 points"),
        "fig1_accuracy",
        training.smaller_gap_at_large_alpha,
        needs=CONVERGED_TRAINING,
    ),
    Claim(
        5,
        "without BN every run at α ≥ 0.003 diverges or stays at chance, and none at 0.0001 does",
        recalled("so stated"),
        "fig1_accuracy",
        training.fails_without_norm,
        needs=PAPERS_SETTING,
    ),
    Claim(
        6,
        f"gradient noise E‖g_B − g‖² falls as 1/|B| (log-log slope −1 ± {start.NOISE_SLOPE_ERROR:g})",
        recalled("bound α²C/|B|"),
        "gradient_noise",
        start.noise_scales,
    ),
    Claim(
        7,
        f"layer 55: gradient sd, none / BN ≥ {start.SD_RATIO:g}, and larger kurtosis without BN",
        digitised("≥ 77; kurtosis ≥ 6.6 against 3.03"),
        "fig2_gradient_histogram",
        start.gradient_spread,
        needs=PAPERS_SETTING,
    ),
    Claim(
        8,
        f"mini-batch 1: the largest step that lowers the loss is ≥ {start.STEP_RATIO:g}× larger with BN; without BN "
        f"the relative loss passes {start.EXPLODED:g} before step {start.EXPLODES_BEFORE:g}; with BN it stays below "
        f"{start.TAME:g} up to {start.TAME_UP_TO:g}",
        digitised("70×; 0.0018; 3.0"),
        "fig3_relative_loss",
        start.larger_steps,
        needs=PAPERS_SETTING,
    ),
    Claim(
        9,
        "along a diverging step max |mean| and max variance both rise from layer 8 to 44 to 80",
        digitised("1.4, 3.8e3, 3e8; 1, 5.4e6, 5.6e16"),
        "fig4_divergence_heatmap",
        start.moments_rise_with_depth,
        needs=PAPERS_SETTING,
    ),
    Claim(
        10,
        f"without BN at large α divergence comes within the first {start.FIRST_MINIBATCHES} mini-batches",
        recalled("so stated"),
        "fig4_divergence_heatmap",
        start.diverges_at_once,
        needs=PAPERS_SETTING,
    ),
    Claim(
        11,
        f"after the ReLU, log-std from layer 6 to 102 rises by ≥ {start.LOG_STD_RISE:g} without BN; with BN it stays "
        f"within [{start.LOG_STD_RANGE[0]:g}, {start.LOG_STD_RANGE[1]:g}]",
        digitised("4.25; 0.00 to 0.97"),
        "fig5_channel_moments",
        start.activations_grow,
        needs=PAPERS_SETTING,
    ),
    Claim(
        12,
        "without BN some class column of ∂ℓ/∂logits is positive for every image not of that class; with BN none is",
        digitised("one class for almost every image; with BN one faintly, none strongly"),
        "fig6_logit_gradients",
        start.one_class_for_all,
        needs=PAPERS_SETTING,
    ),
    Claim(
        13,
        f"a/b ≥ {start.CANCELS:g} with BN at layers 18 and 54; ≤ {start.ADDS_UP:g} without BN at 18, 54 and 108",
        shaky("251.8, 112.8; 1.7, 2.6, about 1.6"),
        "table1_gradient_sums",
        start.gradients_cancel,
        needs=PAPERS_SETTING,
    ),
    Claim(
        14,
        "layer 45: the top singular value's share of the energy of the channel-by-channel |gradient| is larger "
        "without BN",
        recalled("so shown"),
        "fig7_kernel_gradients",
        start.low_rank_gradients,
        needs=PAPERS_SETTING,
    ),
    Claim(
        15,
        f"a single final BN at 0.03 recovers ≥ {training.FINAL_NORM_SHARE:.0%} of the accuracy between no BN and BN, "
        "each at its best α",
        read("about two thirds"),
        "single_final_bn",
        training.single_final_norm,
        needs=CONVERGED_TRAINING,
    ),
    Claim(
        16,
        "the largest stable α without BN does not increase with depth",
        recalled("so stated"),
        "max_learning_rate",
        start.shallower_tolerates_more,
        needs=DATA,
    ),
    Claim(
        17,
        f"the largest stable α without BN differs by less than {start.INIT_RATIO:g}× among Xavier, Kaiming and "
        "orthogonal initialisation",
        recalled("so stated"),
        "max_learning_rate",
        start.inits_alike,
        needs=DATA,
    ),
    Claim(
        18,
        "products of Gaussian matrices follow Theorem 1, and their median condition number grows with the factors",
        (recalled("a theorem"), digitised("upper edges 2, 3.08, 3.86 for 1, 3, 5 factors")),
        "fig8_singular_values",
        matrices.theorem1_holds,
    ),
    Claim(
        19,
        "layer and group normalisation show the same ordering in α as BN",
        recalled("so stated"),
        "other_norms",
        training.other_norms_same_order,
        needs=CONVERGED_TRAINING,
    ),
    Claim(
        20,
        "without BN |weight gradient| and |input-channel mean| correlate positively",
        recalled("so stated"),
        "input_mean_correlation",
        start.gradients_follow_means,
        needs=PAPERS_SETTING,
    ),
)

# Predictions of later work that grids over α, B, norm and architecture can test. The paper's claims are counted apart.
FOLLOWUPS = (
    Claim(
        "L1",
        "with BN the noise scale α(N/B − 1) decides: neighbouring cells of equal α/B differ in test accuracy by at "
        "most 1/3 of what others differ by",
        recalled("g ≈ α(N/B − 1)"),
        "alpha_batch_grid",
        followups.equal_ratio_equal_accuracy,
        "Smith & Le (2018)",
    ),
    Claim(
        "L2",
        "with BN a large α gains little at small B: the best α at the smallest B is below that at the largest",
        recalled("so stated"),
        "alpha_batch_grid",
        followups.best_alpha_rises_with_batch_size,
        "De & Smith (2020)",
    ),
    Claim(
        "L3",
        "without BN, residual branches scaled by 1/√blocks raise the largest stable α by "
        f"≥ {followups.STABLE_RATIO:g}× at every depth ≥ {followups.DEEP}",
        recalled("so stated, without a number (1/√54 for ResNet-110)"),
        "max_learning_rate",
        followups.scaled_branches_take_larger_steps,
        "De & Smith (2020), τ-ResNet",
    ),
    Claim(
        "L4",
        f"without BN, Fixup ends within {followups.SAME_ACCURACY:g} points of BN at the same large α",
        (recalled("7.2 % error at 0.1"), shaky("BN 6.6 %")),
        "noise_by_architecture",
        followups.fixup_matches_batch_norm,
        "Zhang, Dauphin & Ma (2019)",
        needs=CONVERGED_TRAINING,
    ),
    Claim(
        "L5",
        f"the gradient noise scale tr Σ / |g|² grows along training, from {followups.EARLY:.0%} to its end",
        recalled("so stated"),
        "noise_along_training",
        followups.noise_scale_grows,
        "McCandlish et al. (2018)",
    ),
    Claim(
        "L6",
        "BN without shortcuts makes gradients explode at initialisation, by "
        f"{followups.EXPLOSION:g} ± {followups.EXPLOSION_ERROR:g} per layer",
        recalled("√(π/(π − 1)) ≈ 1.21"),
        "noise_by_architecture",
        followups.plain_networks_explode,
        "Yang et al. (2019)",
    ),
    Claim(
        "L7",
        "full-batch descent, once it has crossed it, stays at the edge of stability: sharpness · α / (2 + 2β), "
        f"momentum β, is 1 ± {followups.EDGE_ERROR:g} while the loss is above {followups.EDGE_LOSS:g}",
        recalled("2/α without momentum"),
        "edge_of_stability",
        followups.settles_at_the_edge,
        "Cohen et al. (2021)",
    ),
    Claim(
        "L8",
        "BN suppresses the Hessian's outliers at the end of training: λ_max over the spectrum's rms is smaller with it",
        recalled("so stated"),
        "hessian_spectrum",
        followups.fewer_outliers,
        "Ghorbani, Krishnan & Xiao (2019)",
    ),
    Claim(
        "L9",
        "in a shallow residual network BN makes the trace of the Hessian at the end larger, not smaller",
        recalled("so stated"),
        "hessian_spectrum",
        followups.shallow_networks_sharper,
        "Yao et al. (2020)",
    ),
    Claim(
        "Ej",
        "BN's batch noise regularises: at the same mini-batch, statistics of at most a sixteenth of its images lower "
        "the test loss and raise the train loss",
        recalled("so stated"),
        "ghost_statistics",
        noise.batch_noise_regularises,
        "Luo et al. (2019)",
    ),
    Claim(
        "El",
        "with BN at equal updates the best B is in proportion to α: slope of log best B on log α, at "
        f"{noise.LEAST_ALPHAS} α or more, is 1 ± {noise.SLOPE_ERROR:g}",
        recalled("B ∝ α for the best noise scale"),
        "best_batch_size",
        noise.best_batch_size_rises_with_alpha,
        "Smith & Le (2018)",
    ),
    Claim(
        "Eg",
        "with BN the variance of a residual branch over that of the stream it is added to falls as 1/ℓ with the "
        f"block's number ℓ in each stage (slope −{-at_initialization.BRANCH_SLOPE:g} ± "
        f"{at_initialization.BRANCH_SLOPE_ERROR:g} on logarithms), before training",
        recalled("1/ℓ, for blocks without a ReLU after the addition"),
        "branch_variance",
        at_initialization.branches_shrink,
        "De & Smith (2020)",
    ),
    Claim(
        "Ei",
        "BN keeps the rank of a plain network's features before training: effective rank less one, depth "
        f"{at_initialization.DEEP} over {at_initialization.SHALLOW}, is ≥ {at_initialization.RANK_KEPT:g} with BN and "
        f"≤ {at_initialization.RANK_LOST:g} without",
        recalled("rank one without BN, at least of the order of √width with it"),
        "feature_rank",
        at_initialization.features_keep_rank,
        "Daneshmand et al. (2020)",
    ),
    Claim(
        "Ek",
        "before training, input gradients at neighbouring inputs decorrelate exponentially with depth in plain "
        f"networks (R² ≥ {at_initialization.LINEAR_FIT:g} of the logarithm's line), and in residual ones with BN as a "
        f"power of depth, −{-at_initialization.POWER:g} ± {at_initialization.POWER_ERROR:g}",
        recalled("2^−L in plain networks, 1/√L with shortcuts and BN"),
        "gradient_correlation",
        at_initialization.gradients_shatter,
        "Balduzzi et al. (2017)",
    ),
    Claim(
        "Ea",
        "BN raises the largest stable α by lowering curvature: over networks, norms and initialisations, log α against "
        f"log λ_max before training has slope −{-step_size.SLOPE:g} ± {step_size.SLOPE_ERROR:g} and R² ≥ "
        f"{step_size.LEAST_R2:g}",
        recalled("α < 2/λ_max where training is stable"),
        "initial_sharpness",
        step_size.rate_follows_sharpness,
        "Gilmer et al. (2021)",
    ),
    Claim(
        "Eh",
        "a scalar on each residual branch can replace BN: SkipInit, Fixup and branches × 1/√blocks train at BN’s best "
        f"α and end within {step_size.SAME_ACCURACY:g} points of it",
        recalled("SkipInit is competitive with BN"),
        "replacing_batch_norm",
        step_size.a_scalar_replaces_batch_norm,
        "De & Smith (2020); Zhang, Dauphin & Ma (2019)",
    ),
    Claim(
        "Ed",
        "BN does not help by reducing covariate shift: with noise of changing mean and variance after it (noisy BN), a "
        f"network ends within {covariate_shift.SAME_ACCURACY:g} points of BN and above none at the same α, while its "
        "layers’ inputs shift more than without norm",
        recalled("so stated, without a number"),
        "covariate_shift",
        covariate_shift.helps_in_spite_of_shift,
        "Santurkar et al. (2018)",
    ),
    Claim(
        "Ec",
        "BN smooths the landscape: at the same training loss and α, the loss's range, the gradient's distance and the "
        "effective smoothness, over steps of ½ to 4 α along the gradient, are all smaller with it, in every seed",
        recalled("so stated"),
        "landscape_smoothness",
        landscape.smoother_landscape,
        "Santurkar et al. (2018)",
    ),
    Claim(
        "Ef",
        "with BN, weight decay λ at constant α without momentum is the schedule α(1 − αλ)^(−2t−1) without decay: after "
        f"{weight_decay.UPDATES} updates no logit differs by {weight_decay.SAME_LOGITS:g}",
        recalled("a theorem"),
        "equivalent_schedule",
        weight_decay.decay_is_an_exponential_schedule,
        "Li & Arora (2020)",
    ),
    Claim(
        "Ee",
        "with BN, weight decay λ sets an effective learning rate: cells of equal αλ differ in accuracy by at most 1/3 "
        f"of what others differ by, and ‖w‖⁴ settles at a power 1 ± {effective_learning_rate.SLOPE_ERROR:g} of α/λ",
        recalled("effective rate α/‖w‖², which settles at √(αλ) up to a factor"),
        "effective_learning_rate",
        effective_learning_rate.weight_decay_sets_an_effective_learning_rate,
        "van Laarhoven (2017)",
    ),
)

BY_ID = {claim.id: claim for claim in (*CLAIMS, *FOLLOWUPS)}
