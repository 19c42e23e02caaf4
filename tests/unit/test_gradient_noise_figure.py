"""Slopes and laws of the gradient's noise, and its figure."""

import itertools

import drawn
import numpy as np
import pandas as pd
import pytest

from understanding_bn.figures import gradient_noise as figure
from understanding_bn.summaries.gradient_noise import share_without_replacement, slopes


def values(slope=-1.0, alpha_slope=2.0):
    index = pd.MultiIndex.from_product(
        [["batch", "none"], [0, 1], [4, 16, 64], [0.01, 0.1]], names=["norm", "seed", "batch_size", "alpha"]
    ).to_frame(index=False)
    noise = (1.0 + index["seed"]) * index["batch_size"] ** slope
    facts = {
        "arch": "resnet-8",
        "epoch": 0,
        "sampling": "epoch",
        "images": 1437,
        "minibatches": 32,
        "constant": noise * index["batch_size"],
    }
    return index.assign(noise=noise, update_noise=noise * index["alpha"] ** alpha_slope, **facts)


def test_slopes_are_those_of_the_power_laws():
    table = slopes(values(-0.8, 1.9))
    assert len(table) == 4
    assert table["batch_size_slope"].to_numpy() == pytest.approx(-0.8)
    assert table["alpha_slope"].to_numpy() == pytest.approx(1.9)


def test_a_slopes_error_within_a_seed_is_that_of_least_squares():
    """Simulated: log noise with errors of its own at each B, whose standard deviations are known."""
    assert slopes(values())["batch_size_slope_error"].isna().all(), "not recorded"
    table = values()
    sizes = sorted(table["batch_size"].unique())
    known = dict(zip(sizes, [0.2, 0.1, 0.3], strict=True))
    table["log_noise_error"] = table["batch_size"].map(known)
    logs = np.log(sizes)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(20_000, len(sizes))) * [known[size] for size in sizes]
    simulated = np.polyfit(logs, noise.T, 1)[0].std()
    assert slopes(table)["batch_size_slope_error"].to_numpy() == pytest.approx(simulated, rel=0.03)


def test_the_figure_draws_everything_and_names_the_slopes():
    shown, tables = figure.draw(values())
    assert list(tables[""].columns) == figure.COLUMNS
    assert len(tables[""]) == 24
    assert {"batch norm: −1.00 and 2.00", "no norm: −1.00 and 2.00"} <= set(drawn.legends(shown))
    # Seeds have noise 1/B and 2/B: their geometric mean is √2/B, and that of updates at B = 64 is √2/64 · α².
    laws = (lambda size: 1 / size, lambda alpha: alpha**2 / 64)
    for ax, law in zip(shown.axes, laws, strict=True):
        ((x, mean),) = drawn.lines(ax, "batch")
        assert mean == pytest.approx(np.sqrt(2) * law(x))
        assert sorted(drawn.markers(ax, "batch")[:, 1]) == pytest.approx(sorted([*law(x), *(2 * law(x))]))
        assert [y.tolist() for _, y in drawn.lines(ax, linestyle=":")] == [pytest.approx(mean.tolist())] * 2


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_sampling_without_replacement_follows_its_law(size):
    """Against every subset of a small population: the variance of their means, over σ²/B of draws with replacement."""
    population = np.array([3.0, -1.0, 4.0, 1.0, 5.0])
    means = [np.mean(subset) for subset in itertools.combinations(population, size)]
    share = np.var(means) / (np.var(population) / size)
    assert share_without_replacement(size, len(population)) == pytest.approx(share)


def test_the_laws_of_sampling_are_drawn_over_the_measured_shares():
    images = 64
    parts = []
    for sampling, share in (("epoch", 1.0), ("replacement", 1.0), ("subset", None)):
        part = values().assign(sampling=sampling, images=images)
        law = share or (images - part["batch_size"]) / (images - 1)
        parts.append(part.assign(constant=part["constant"] * law))
    shown, _ = figure.draw(pd.concat(parts, ignore_index=True))
    ax = shown.axes[2]
    (_, without), (_, with_replacement) = sorted(drawn.lines(ax, linestyle=":"), key=lambda line: line[1][-1])
    assert with_replacement == pytest.approx(1)
    assert without[0] == pytest.approx(60 / 63), "B = 4"
    assert without[-1] == pytest.approx(0, abs=1e-9), "all images are in every mini-batch"
    triangles = [line for line in ax.get_lines() if line.get_marker() == "v" and len(line.get_xdata())]
    assert len(triangles) == 2, "one for each norm"
    for line in triangles:
        assert line.get_ydata() == pytest.approx([60 / 63, 48 / 63, 0], abs=1e-9)
