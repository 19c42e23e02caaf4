"""Sharpness at initialisation beside the largest stable learning rate, over many networks (claim Ea)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from understanding_bn.measurements.max_learning_rate import Search
from understanding_bn.settings import Networks, Whole, too_many

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from understanding_bn.analysis.context import Context
    from understanding_bn.settings import Mistake, Setting


class InitialSharpness(Search):
    """The Hessian's largest eigenvalue before training, and a search for the largest stable α of the same networks."""

    networks: Networks
    """The networks, each with every norm, instead of the preset's own."""
    subset: Annotated[Whole, Field(ge=2, le=1_000_000)]
    """On how many images the Hessian is taken, rounded down to whole mini-batches, of which there is one at least."""

    def made_on(self, arch: str, init: str, norm: str) -> list[tuple[str, str]]:
        return list(itertools.product(self.networks.archs, self.networks.inits))

    def check(self, setting: Setting) -> Iterator[Mistake]:
        yield from super().check(setting)
        yield from too_many(("subset",), self.subset, setting)


COLUMNS = {
    "batch_size": "int64",
    "images": "int64",
    "momentum": "float64",
    "sharpness": "float64",
    "updates": "int64",
    "alpha": "float64",
    "outcome": "str",
    "update": "int64",
}


def measure(context: Context, norm: str, seed: int, options: InitialSharpness) -> pd.DataFrame:
    """Every learning rate tried in the search of `max_learning_rate.search`, and the sharpness at its start.

    Sharpness is λ_max of the Hessian of the mean cross-entropy over `analysis.spectrum.partition`: the same
    mini-batches of B images for every network of a seed, not augmented. Batch norm is in train mode, and everything in
    float32: in a plain network of 20 layers with batch norm λ_max is then off by less than a thousandth.

    Columns: batch_size, images (of the Hessian's), momentum (β of the updates), sharpness (NaN where the loss is not
    finite or Lanczos did not converge), updates, alpha, outcome and update (the last one), in the order tried.
    """
    import pandas as pd

    from understanding_bn.analysis.spectrum import partition, sharpness
    from understanding_bn.measurements.max_learning_rate import search

    size = options.batch_size
    batches = partition(context.split, options.subset, size, seed)
    value = sharpness(replace(context, batch_size=size).model(norm, seed), batches, seed)
    facts = (size, size * len(batches), context.optimiser.momentum, value, options.updates)
    rows = [(*facts, *each) for each in search(context, norm, seed, options)]
    return pd.DataFrame(rows, columns=list(COLUMNS))
