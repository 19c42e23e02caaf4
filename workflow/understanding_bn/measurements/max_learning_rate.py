"""The largest stable learning rate, by bisection on a logarithmic grid."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from understanding_bn.settings import (
    Alpha,
    Arch,
    BatchSize,
    Distinct,
    Initial,
    Mistake,
    Name,
    Networks,
    Whole,
    canonical,
    unfit,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Setting


class Search(Initial):
    """A search for the largest stable α."""

    batch_size: BatchSize
    """Images in a mini-batch."""
    updates: Annotated[Whole, Field(ge=2, le=100_000)]
    """How many updates a stable run must last."""
    smallest_alpha: Alpha
    """The search does not go below it."""
    largest_alpha: Alpha
    """The search does not go above it."""
    steps_per_decade: Annotated[Whole, Field(ge=1, le=100)]
    """How many learning rates there are for each factor of 10."""

    def check(self, setting: Setting) -> Iterator[Mistake]:
        yield from unfit(("batch_size",), self.batch_size, setting)
        smallest, largest = canonical(self.smallest_alpha), canonical(self.largest_alpha)
        if self.smallest_alpha >= self.largest_alpha:
            yield Mistake(("smallest_alpha",), f"{smallest} is not below largest_alpha, expected less than {largest}")
        elif not grid(self.smallest_alpha, self.largest_alpha, self.steps_per_decade):
            yield Mistake(
                ("steps_per_decade",),
                f"{self.steps_per_decade} puts no learning rate between {smallest} and {largest}; expected more steps",
            )


class MaxLearningRate(Search):
    """Search for the largest stable α, against depth and initialisation."""

    archs: Distinct[Arch] = ()
    """Other networks that are searched too, with every norm."""
    inits: Distinct[Name] = ()
    """Other initialisations that are searched too, without normalisation."""
    networks: Networks | None = None
    """Further networks that are searched without normalisation, to compare their initialisations at each depth."""

    def made_on(self, arch: str, init: str, norm: str) -> list[tuple[str, str]]:
        """The preset's own network, then those that differ from it in one factor, then `networks`.

        Initialisations are varied only without normalisation: the claims about them are made there.
        """
        varied = [(other, init) for other in self.archs]
        varied += [(arch, other) for other in self.inits if norm == "none"]
        if self.networks and norm == "none":
            varied += itertools.product(self.networks.archs, self.networks.inits)
        return list(dict.fromkeys([(arch, init), *varied]))

    def for_one(self) -> MaxLearningRate:
        return self.model_copy(update={"archs": (), "inits": (), "networks": None})


def grid(smallest: float, largest: float, steps_per_decade: int) -> list[float]:
    """10^(k / steps_per_decade) for every whole k that lies between the bounds, ascending."""
    slack = 1e-9  # so that a bound that is itself on the grid counts
    first = math.ceil(steps_per_decade * math.log10(smallest) - slack)
    last = math.floor(steps_per_decade * math.log10(largest) + slack)
    return [10 ** (k / steps_per_decade) for k in range(first, last + 1)]


COLUMNS = {"batch_size": "int64", "updates": "int64", "alpha": "float64", "outcome": "str", "update": "int64"}


def measure(context: Context, norm: str, seed: int, options: MaxLearningRate) -> pd.DataFrame:
    """Every learning rate tried in the search for the largest stable one: see `search`.

    Columns: batch_size, updates, alpha, outcome and update (the last one).
    """
    import pandas as pd

    rows = [(options.batch_size, options.updates, *each) for each in search(context, norm, seed, options)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def search(context: Context, norm: str, seed: int, options: Search) -> list[tuple[float, str, int]]:
    """(α, outcome, last update) of every learning rate tried from initialisation, in the order tried.

    α is constant, and its grid is 10^(k / steps_per_decade) for whole k within the bounds given. Bisection assumes that
    a network that is stable at some α is so at smaller ones; it costs at most ⌈log2(points + 1)⌉ runs of `updates`
    updates. The largest stable α is the largest one with outcome "stable".

    An outcome is "stable", "diverged" or "collapsed", as `training.divergence` defines them; updates count from 1. The
    network is trained in float32, as in training, with batch norm in train mode.
    """
    from understanding_bn.analysis.learning_rate_search import bisect, trial

    context = replace(context, batch_size=options.batch_size)
    alphas = grid(options.smallest_alpha, options.largest_alpha, options.steps_per_decade)
    return bisect(alphas, lambda alpha: trial(context, norm, seed, alpha, options.updates))
