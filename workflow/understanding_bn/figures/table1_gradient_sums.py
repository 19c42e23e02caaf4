"""Table 1: do the terms of a kernel gradient cancel or add up?"""

import numpy as np
import pandas as pd

from understanding_bn import paper
from understanding_bn.figures import style
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.figures.numbers import plain, positive
from understanding_bn.summaries.intervals import geometric_interval

COLUMNS = ["norm", "seed", "layer", "a", "b", "ratio"]


def tabulate(gradient_sums: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The raw values over seeds, and a Markdown table of means; of a/b geometric, with Student's 95 % interval.

    A seed whose a/b is zero, infinite or NaN, such as one without any gradient at that layer, is in no mean of a/b;
    the table then says how many seeds are.

    Raises:
        NothingToShow: there are no values.
    """
    if gradient_sums.empty:
        raise NothingToShow("No network was measured.")
    at_scale = paper.is_scale_of(gradient_sums)
    lines = [
        "| norm | layer | a = Σ\\|d\\| | b = \\|Σd\\| | a/b, geom. mean | a/b, 95 % interval | seeds | a/b, paper |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for norm in style.ordered(gradient_sums["norm"]):
        for layer, seeds in gradient_sums[gradient_sums["norm"] == norm].groupby("layer"):
            ratios, number = positive(seeds["ratio"]), seeds["seed"].nunique()
            interval = geometric_interval(ratios)
            between = f"{plain(interval[0])} to {plain(interval[1])}" if interval else "too few seeds"
            mean = plain(np.exp(np.log(ratios).mean())) if len(ratios) else "no value"
            of = f"{number}" if len(ratios) == number else f"{number}, of which {len(ratios)} have a/b"
            published = paper.GRADIENT_SUM_RATIO.value.get((norm, layer))
            theirs = f"{published} ({paper.GRADIENT_SUM_RATIO.origin})" if published else "unknown"
            lines.append(
                f"| {style.label(norm)} | {layer} | {plain(seeds['a'].mean())} | {plain(seeds['b'].mean())} | {mean} "
                f"| {between} | {of} | {theirs if at_scale else 'not comparable'} |"
            )
    facts = gradient_sums.iloc[0]
    lines.append("")
    lines.append(
        f"{facts['arch']}, {facts['init']}, B = {facts['batch_size']}, at initialisation, BN in train mode, "
        "float32 gradients, sums in float64."
    )
    return gradient_sums[COLUMNS], "\n".join(lines) + "\n"
