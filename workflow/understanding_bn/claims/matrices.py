"""The paper's claim about products of random matrices."""

from itertools import pairwise

import numpy as np

from understanding_bn.analysis.random_matrices import ks_statistic
from understanding_bn.claims.checks import Check, mean_check
from understanding_bn.claims.results import Results
from understanding_bn.summaries.intervals import bootstrap

KS_CRITICAL = 1.358  # × 1/√N: the 5 % point for independent values; singular values repel and stay far below it


def theorem1_holds(results: Results) -> list[Check]:
    """Claim 18."""
    table = results.matrices()
    size = int(table["size"].iloc[0])
    checks, conditions = [], {}
    for factors, of_factors in table.groupby("factors"):
        draws = [draw.to_numpy() for _, draw in of_factors.groupby("draw")["singular_value"]]
        distances = np.array([ks_statistic(values, int(factors)) for values in draws])
        name = f"Kolmogorov–Smirnov distance from Theorem 1, {factors} factors, N = {size}"
        checks.append(mean_check(name, distances, "≤", round(KS_CRITICAL / size**0.5, 4)))
        conditions[factors] = np.log10([values.max() / values.min() for values in draws])
    for fewer, more in pairwise(conditions):
        low, high = conditions[fewer], conditions[more]

        def rise(index: np.ndarray, low: np.ndarray = low, high: np.ndarray = high) -> np.ndarray:
            return np.median(high[index], axis=-1) - np.median(low[index], axis=-1)

        name = f"log10 of the median condition number, {more} − {fewer} factors"
        everything = np.arange(len(low))
        checks.append(Check(name, float(rise(everything)), bootstrap(rise, len(low)), ">", 0, len(low)))
    return checks
