"""Explanations that speak of networks before training: small residual branches, ranks kept, gradients not shattered.

Their figures show every initialisation, shortcut, step and BN mode that was measured. A claim is judged on those that
its source speaks of, named in its checks: the first initialisation, and batch norm in train mode.
"""

import pandas as pd

from understanding_bn.claims.checks import Check, mean_check, ratio_check, within
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.summaries import branch_variance, feature_rank, gradient_correlation

SHALLOW, DEEP = 8, 56  # depths between which ranks and correlations are compared
BRANCH_SLOPE, BRANCH_SLOPE_ERROR = -1.0, 0.15
LEAST_BLOCKS = 4  # of a stage, for a slope
RANK_KEPT, RANK_LOST = 0.5, 0.1
LINEAR_FIT = 0.9  # R²
POWER, POWER_ERROR = -0.5, 0.25
NEIGHBOUR = 0.01  # of the way to another image: about 4/255 of pixels' standard deviation, as Balduzzi et al. have it
LEAST_DEPTHS = 4  # measured, and in each seed resolved
NAMES = {"batch": "BN", "none": "none"}


def branches_shrink(results: Results) -> list[Check]:
    """De & Smith (2020), as an equivalence: with BN the branch's share of variance falls as 1/ℓ within each stage.

    On the deepest network with projections, over all blocks of a stage. Each stage is a check of its own.
    """
    table = _first_init(results.measurement("branch_variance"))
    slopes = branch_variance.slopes(branch_variance.ratios(table))
    slopes = slopes[(slopes["norm"] == "batch") & (slopes["shortcut"] == "projection")]
    slopes = slopes[(slopes["depth"] == slopes["depth"].max()) & (slopes["blocks"] >= LEAST_BLOCKS)]
    if slopes.empty:
        raise NotRunError(f"branch_variance of a residual network of {6 * LEAST_BLOCKS + 2} layers or more")
    checks = []
    for stage, seeds in slopes.groupby("stage"):
        facts = seeds.iloc[0]
        name = f"slope of log(branch / stream variance) on log ℓ with BN, stage {stage}, ℓ = 1 to {facts['blocks']}"
        name += f", {facts['arch'].replace('resnet', 'ResNet')}, {facts['init']}"
        ends = BRANCH_SLOPE - BRANCH_SLOPE_ERROR, BRANCH_SLOPE + BRANCH_SLOPE_ERROR
        checks += within(name, seeds["slope"].to_numpy(), *ends)
    return checks


def features_keep_rank(results: Results) -> list[Check]:
    """Daneshmand et al. (2020): in plain networks rank collapses with depth without a norm, and BN keeps it.

    A seed's value is the ratio of its networks' effective ranks less one (`feature_rank.rank_beyond_one`).
    """
    table = feature_rank.ranks(_first_init(results.measurement("feature_rank")))
    seeds = feature_rank.kept(table, SHALLOW, DEEP)
    seeds = seeds[seeds["shortcut"] == "none"]
    if set(NAMES) - set(seeds["norm"]):
        raise NotRunError(f"feature_rank of plain-{SHALLOW} and plain-{DEEP}, with BN and without")
    checks = []
    for norm, relation, bound, zero in (("batch", "≥", RANK_KEPT, None), ("none", "≤", RANK_LOST, 1)):
        of_norm = seeds[seeds["norm"] == norm]
        name = f"effective rank of the features less one, depth {DEEP} over {SHALLOW}, plain, {NAMES[norm]}"
        name += f", {of_norm['init'].iloc[0]}"
        checks.append(ratio_check(name, of_norm["kept"].to_numpy(), relation, bound, zero))
    return checks


def gradients_shatter(results: Results) -> list[Check]:
    """Balduzzi et al. (2017): correlations fall exponentially with depth in plain networks, as 1/√depth in residual.

    Exponentially: the logarithm's line on depth falls, with R² ≥ 0.9, each on average over seeds. The second, for
    residual networks with BN, as an equivalence. Neighbours are 1 % of the way to another image apart. A line is
    through the depths at which a seed's correlation is resolved (`gradient_correlation.RESOLVED`); the name says how
    many. With less than four of them a seed has no value.
    """
    table = gradient_correlation.by_depth(_first_init(results.measurement("gradient_correlation")))
    table = table[(table["step"] == NEIGHBOUR) & (table["bn_mode"] != "eval") & table["depth"].between(SHALLOW, DEEP)]
    depths = table.groupby(gradient_correlation.KIND)["depth"]
    enough = (depths.transform("min") == SHALLOW) & (depths.transform("max") == DEEP)
    seeds = gradient_correlation.fits(table[enough & (depths.transform("nunique") >= LEAST_DEPTHS)])
    lines = [*gradient_correlation.FITS]
    seeds[lines] = seeds[lines].where(seeds["fitted"] >= LEAST_DEPTHS)
    plain = {norm: seeds[(seeds["shortcut"] == "none") & (seeds["norm"] == norm)] for norm in NAMES}
    residual = seeds[(seeds["shortcut"] == "projection") & (seeds["norm"] == "batch")]
    if residual.empty or any(rows.empty for rows in plain.values()):
        raise NotRunError(
            f"gradient_correlation at a step of {NEIGHBOUR:g} of plain and residual networks, with BN and without, "
            f"at {LEAST_DEPTHS} depths or more from {SHALLOW} to {DEEP}"
        )
    checks = []
    for norm, rows in plain.items():
        where = f"log correlation of neighbours' gradients on depth, plain, {NAMES[norm]}, {_fitted(rows)}"
        checks.append(mean_check(f"slope of {where}", rows["rate"].to_numpy(), "<", 0, zero=0))
        checks.append(mean_check(f"R² of {where}", rows["exponential_r2"].to_numpy(), "≥", LINEAR_FIT))
    name = f"exponent of depth of that correlation, residual, BN, {_fitted(residual)}"
    return checks + within(name, residual["exponent"].to_numpy(), POWER - POWER_ERROR, POWER + POWER_ERROR)


def _fitted(seeds: pd.DataFrame) -> str:
    """The initialisation, and at how many depths lines are fitted: `kaiming, at 5 to 6 of 7 depths`."""
    least, most, depths = seeds["fitted"].min(), seeds["fitted"].max(), seeds["depths"].max()
    count = f"{most}" if least == most else f"{least} to {most}"
    return f"{seeds['init'].iloc[0]}, at {count} of {depths} depths"


def _first_init(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the initialisation that stands first in a measurement's `networks`."""
    return table[table["init"] == table["init"].iloc[0]]
