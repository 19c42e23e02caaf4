"""Which learning rate of a grid plays which part in the paper's claims. No preset names them.

The paper's own values are taken where all of a claim's were run. Otherwise all of the claim's follow from the grid, by
rules that ask only where training fails, never how accurate it is.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from understanding_bn.claims.results import NotRunError, Results
from understanding_bn.paper import Published, digitised, recalled


@dataclass(frozen=True)
class Role:
    """A part in the claims: the paper's learning rate, and which one of a grid takes it where that was not run."""

    paper: Published[float]
    rule: str
    choose: Callable[[Results], float]


def of_claim(results: Results, **norms: str) -> tuple[float, ...]:
    """The learning rates of a claim's roles, in order.

    Args:
        results: whose grid is searched.
        norms: for each role, such as large="batch", the norms, separated by spaces, that the claim compares at it.

    Raises:
        NotRunError: no learning rate of the grid has a role, or one has two.
    """
    for norm in (norm for several in norms.values() for norm in several.split()):
        if not results.alphas(norm):
            raise NotRunError(f"training with norm {norm}")
    literal = all(
        ROLES[role].paper.value in results.alphas(norm) for role, several in norms.items() for norm in several.split()
    )
    alphas = [ROLES[role].paper.value if literal else ROLES[role].choose(results) for role in norms]
    for position, (role, alpha) in enumerate(zip(norms, alphas, strict=True)):
        if alpha in alphas[:position]:
            other = [*norms][alphas.index(alpha)]
            raise NotRunError(
                f"another learning rate: α = {alpha:g} is both {ROLES[other].rule} and {ROLES[role].rule}"
            )
        results.alphas_for[role] = alpha
    return tuple(alphas)


def _sound(results: Results, norm: str) -> list[float]:
    """The learning rates at which a norm trains in every seed, ascending."""
    return [alpha for alpha in results.alphas(norm) if not results.failed(norm, alpha).any()]


def _largest(norm: str) -> Callable[[Results], float]:
    def choose(results: Results) -> float:
        sound = _sound(results, norm)
        if not sound:
            raise NotRunError(f"training with norm {norm} at a learning rate at which no seed fails")
        return sound[-1]

    return choose


def _smallest_failing(results: Results) -> float:
    for alpha in results.alphas("none"):
        if results.failed("none", alpha).all():
            return alpha
    raise NotRunError("training with norm none at a learning rate at which every seed fails")


def _between(results: Results) -> float:
    low, high = ROLES["small"].choose(results), ROLES["large"].choose(results)
    inside = [alpha for alpha in results.alphas("batch") if low < alpha < high]
    if not inside:
        raise NotRunError(f"training with norm batch at a learning rate between {low:g} and {high:g}")
    return min(inside, key=lambda alpha: abs(np.log(alpha * alpha / (low * high))))


ROLES = {
    "large": Role(digitised(0.1), "the largest α at which batch norm trains in every seed", _largest("batch")),
    "middle": Role(
        digitised(0.003), "the α with batch norm that is nearest the middle of large and small, on logs", _between
    ),
    "small": Role(
        digitised(0.0001), "the largest α at which the network without norm trains in every seed", _largest("none")
    ),
    "unstable": Role(
        recalled(0.003), "the smallest α at which the network without norm fails in every seed", _smallest_failing
    ),
    "single_final": Role(
        recalled(0.03), "the largest α at which a single final batch norm trains in every seed", _largest("batch-final")
    ),
}
