"""Figures 1 to 8 and Table 1 from values that some network, sooner or later, has: all NaN, infinite, zero, or just one.

A figure is then drawn without a warning, or says in a sentence why it shows nothing.
"""

import warnings

import extremes
import numpy as np
import pandas as pd
import pytest
from made_up import FACTS, history, moments_table
from matplotlib import pyplot as plt

from understanding_bn.figures import (
    fig1_accuracy,
    fig2_gradient_histogram,
    fig3_relative_loss,
    fig4_divergence_heatmap,
    fig5_channel_moments,
    fig6_logit_gradients,
    fig7_kernel_gradients,
    fig8_singular_values,
    table1_gradient_sums,
)
from understanding_bn.figures.nothing import NothingToShow

RANDOM = np.random.default_rng(0)


def table(value, **levels):
    """Every combination of the levels of two norms and two seeds, or of those given; positive random values."""
    levels = {"norm": ["batch", "none"], "seed": [0, 1]} | levels
    index = pd.MultiIndex.from_product(levels.values(), names=[*levels]).to_frame(index=False)
    return index.assign(**{name: RANDOM.uniform(0.1, 2, len(index)) for name in value.split()}, **FACTS)


def trained():
    cells = [history("batch", 0.1, [0.9, 0.8]), history("none", 0.1, [0.7, None]), history("none", 0.01, [0.6])]
    return pd.concat(cells, ignore_index=True)


steps = table("relative_loss", minibatch=[1, 4], step_size=[0.01, 0.1, 1.0])
path = table("mean variance", layer=[2, 8], percent=[0, 50, 100], channel=range(4))
matrices = table("singular_value", norm=["-"], seed=[0], factors=[1, 2], draw=[0, 1], rank=range(6)).assign(size=6)
sums = table("a b ratio", layer=[18, 54])
# (function, its table, the columns with values)
SHOWN = {
    "fig1": (fig1_accuracy.draw, trained(), ["train_accuracy", "test_accuracy"]),
    "fig2": (fig2_gradient_histogram.draw, table("gradient", minibatch=range(30)).assign(layer=5), ["gradient"]),
    "fig3": (fig3_relative_loss.draw, steps, ["relative_loss"]),
    "fig4": (fig4_divergence_heatmap.draw, path.assign(alpha=0.1, update=2, diverged=True), ["mean", "variance"]),
    "fig5": (fig5_channel_moments.draw, moments_table(), ["mean", "variance"]),
    "fig6": (fig6_logit_gradients.draw, table("gradient", image=range(4), **{"class": range(3)}).assign(label=1), None),
    "fig7": (fig7_kernel_gradients.draw, table("gradient", layer=[4], out_channel=range(4), in_channel=range(3)), None),
    "fig8": (fig8_singular_values.draw, matrices, ["singular_value"]),
    "table1": (table1_gradient_sums.tabulate, sums, ["a", "b", "ratio"]),
}
SLOWER = ("infinite", "zero", "one norm NaN", "one norm infinite", "one row", "no rows")
CASES = ("NaN", "some of each", *(pytest.param(case, marks=pytest.mark.slow) for case in SLOWER))


def changed(values, columns, case):
    """The table in which these columns are all of the case's kind, or those of one norm."""
    if case.endswith("row"):
        return values.head(1)
    if case.endswith("rows"):
        return values.head(0)
    return extremes.replaced(values, columns, case)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SHOWN)
def test_extreme_values_are_shown_or_are_said_to_be_nothing_to_show(name, case):
    function, values, columns = SHOWN[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            shown, _ = function(changed(values, columns or ["gradient"], case))
        except NothingToShow as nothing:
            assert name != "table1" or case == "no rows"
            assert case not in ("one norm NaN", "one norm infinite") or name == "fig8"
            assert str(nothing).endswith(".")
            return
        assert case != "no rows"
        if name != "table1":
            shown.set_layout_engine("none")
            shown.canvas.draw()
            plt.close(shown)
