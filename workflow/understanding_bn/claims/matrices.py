"""The paper's claim about products of random matrices."""

from itertools import pairwise

import numpy as np

from understanding_bn.analysis.random_matrices import distance_to_neighbours
from understanding_bn.claims.checks import Check, difference_check, mean_check
from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.summaries.random_matrices import draws


def theorem1_holds(results: Results) -> list[Check]:
    """Claim 18.

    The Kolmogorov–Smirnov distance must be below half of that between Theorem 1's laws for M and for M − 1 or M + 1
    factors. By the triangle inequality such values are nearer to M's law than to either neighbour's, whatever N is.

    Raises:
        NotRunError: there is one number of factors, so that nothing can grow with it.
    """
    table = results.matrices()
    if table["factors"].nunique() < 2:
        raise NotRunError("random_matrices with two numbers of factors")
    size = int(table["size"].iloc[0])
    checks, conditions = [], {}
    for factors, of_factors in draws(table).groupby("factors"):
        distances = of_factors["ks_statistic"].to_numpy()
        name = f"Kolmogorov–Smirnov distance from Theorem 1, {factors} factors, N = {size}"
        checks.append(mean_check(name, distances, "≤", round(distance_to_neighbours(int(factors)) / 2, 4)))
        conditions[factors] = np.log10(of_factors["condition_number"].to_numpy())
    for fewer, more in pairwise(conditions):
        # Of logarithms, whose distribution is near symmetric, so that their mean stands for the median.
        name = f"log10 of the condition number, {more} − {fewer} factors"
        checks.append(difference_check(name, conditions[more], conditions[fewer], ">", 0))
    return checks
