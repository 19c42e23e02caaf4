"""Rank correlations of gradients and input means, and their figure."""

import drawn
import numpy as np
import pandas as pd
import pytest
from made_up import FACTS
from scipy import stats

from understanding_bn.figures import input_mean_correlation
from understanding_bn.figures.nothing import NothingToShow
from understanding_bn.summaries.input_mean_correlation import by_layer


def test_rank_correlations_are_scipys_ties_included():
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product(
        [["batch", "none"], [0, 1], [2, 3], range(12)], names=["norm", "seed", "layer", "in_channel"]
    ).to_frame(index=False)
    values = index.assign(
        input_mean=rng.integers(0, 5, len(index)).astype(float), gradient=rng.random(len(index))
    ).assign(**FACTS)
    table = by_layer(values)
    ours = table.set_index(["norm", "seed", "layer"])
    for key, channels in values.groupby(["norm", "seed", "layer"]):
        expected = stats.spearmanr(channels["input_mean"], channels["gradient"]).statistic
        assert ours.loc[key, "spearman"] == pytest.approx(expected)
        assert ours.loc[key, "channels"] == 12
    dead = by_layer(values.assign(input_mean=0.0))
    assert dead["spearman"].isna().all()
    figure, tables = input_mean_correlation.draw(values)
    assert len(tables[""]) == 8
    (mean,) = drawn.lines(figure.axes[0], "none")[:1]
    stream = table[(table["norm"] == "none") & (table["layer"] == 2)]
    assert mean[1] == pytest.approx(stream["spearman"].mean())
    with pytest.raises(NothingToShow):
        input_mean_correlation.draw(values.assign(input_mean=0.0))
