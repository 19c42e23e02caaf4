"""Table 1: do the terms of a kernel gradient cancel or add up?"""

import numpy as np
import pandas as pd

from understanding_bn import paper
from understanding_bn.figures import style
from understanding_bn.summaries.intervals import geometric_interval

COLUMNS = ["norm", "seed", "layer", "a", "b", "ratio"]


def tabulate(gradient_sums: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The raw values over seeds, and a Markdown table of means; of a/b geometric, with Student's 95 % interval."""
    at_scale = paper.is_scale_of(gradient_sums)
    lines = [
        "| norm | layer | a = Σ\\|d\\| | b = \\|Σd\\| | a/b, geom. mean | a/b, 95 % interval | seeds | a/b, paper |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for norm in style.ordered(gradient_sums["norm"]):
        for layer, seeds in gradient_sums[gradient_sums["norm"] == norm].groupby("layer"):
            interval = geometric_interval(seeds["ratio"].to_numpy())
            between = f"{interval[0]:.3g} to {interval[1]:.3g}" if interval else "one seed"
            published = paper.GRADIENT_SUM_RATIO.value.get((norm, layer))
            theirs = f"{published} ({paper.GRADIENT_SUM_RATIO.origin})" if published else "unknown"
            means = f"{seeds['a'].mean():.2e} | {seeds['b'].mean():.2e} | {np.exp(np.log(seeds['ratio']).mean()):.3g}"
            lines.append(
                f"| {style.label(norm)} | {layer} | {means} | {between} | {seeds['seed'].nunique()} "
                f"| {theirs if at_scale else 'not comparable'} |"
            )
    facts = gradient_sums.iloc[0]
    lines.append("")
    lines.append(
        f"{facts['arch']}, {facts['init']}, B = {facts['batch_size']}, at initialisation, BN in train mode, "
        "float32 gradients, sums in float64."
    )
    return gradient_sums[COLUMNS], "\n".join(lines) + "\n"
