"""Intervals over seeds and test images, against closed forms, known limits and simulated coverage."""

import numpy as np
import pytest

from understanding_bn.summaries import crossed, intervals
from understanding_bn.summaries.crossed import Sample

IMAGES = 360


def sample(seeds, rng, of_seeds=0.0, of_images=0.0, rest=1.0, images=IMAGES):
    """Seeds × images with independent normal parts of these standard deviations, and mean 0."""
    table = of_seeds * rng.normal(size=(seeds, 1)) + of_images * rng.normal(size=(1, images))
    table = table + rest * rng.normal(size=(seeds, images))
    return Sample(table.mean(axis=1), table)


# What images give to the variance of the mean, over what seeds give.
@pytest.mark.parametrize("ratio", [0, 0.1, 0.3, 1, 3, 10])
@pytest.mark.parametrize("seeds", [3, 5])
def test_coverage(seeds, ratio):
    """93 to 97 % at n = 3 and 5, whichever of the two sources is the larger."""
    rng = np.random.default_rng(seeds)
    covered, runs = 0, 3000
    of_images = (ratio * 0.2**2 / seeds * IMAGES) ** 0.5
    for _ in range(runs):
        low, high = crossed.interval(sample(seeds, rng, 0.2, of_images, 2.0))
        covered += low <= 0 <= high
    error = 2.6 * (0.95 * 0.05 / runs) ** 0.5
    assert 0.93 - error < covered / runs < 0.97 + error
    if ratio:
        return
    alone = [sample(seeds, rng, 0.2, 0, 0) for _ in range(20)]
    for each in alone:
        assert crossed.interval(each) == pytest.approx(intervals.mean_interval(each.values), rel=1e-6)


@pytest.mark.parametrize("seeds", [3, 5])
def test_coverage_of_a_ratio(seeds):
    """Fieller's interval of a share of a difference, with both sources in both."""
    rng = np.random.default_rng(seeds)
    covered, runs, share = 0, 2000, 0.6
    for _ in range(runs):
        whole, luck = sample(seeds, rng, 0.2, 2.0, 2.0), sample(seeds, rng, 0.2, 2.0, 2.0)
        whole = Sample(whole.values + 5, whole.images + 5)
        low, high = crossed.ratio_interval(crossed.difference(share * whole, -0.2 * luck), whole)
        covered += low <= share <= high
    assert 0.93 < covered / runs < 0.975


def test_the_interval_is_that_of_seeds_where_images_are_not_recorded():
    values = np.array([1.0, 2.0, 4.0])
    alone = Sample(values)
    assert crossed.interval(alone) == intervals.mean_interval(values)
    assert crossed.p(alone, 1) == intervals.t_p(values, 1)
    assert "not recorded" in alone.method
    whole = Sample(np.array([2.0, 3.0, 4.1]))
    assert crossed.ratio_interval(alone, whole) == intervals.ratio_interval(values, whole.values)


def test_images_alone_give_the_interval_of_their_mean():
    """If all seeds answer alike, only the images are a sample: Student's t over them."""
    answers = np.random.default_rng(0).integers(-1, 2, IMAGES).astype(float)
    same = Sample(np.full(4, answers.mean()), np.tile(answers, (4, 1)))
    assert crossed.interval(same) == pytest.approx(intervals.mean_interval(answers), rel=1e-9)
    assert crossed.p(same, 0) == pytest.approx(intervals.t_p(answers, 0), rel=1e-9)


def test_seeds_that_agree_by_chance_are_not_sure():
    """Each of three seeds has one error that the others do not have: the same accuracy, and no certainty."""
    table = np.zeros((3, IMAGES))
    table[[0, 1, 2], [10, 20, 30]] = 100
    low, high = crossed.interval(Sample(table.mean(axis=1), table))
    assert low < table.mean() < high
    assert high - low > 0.3


def test_p_is_that_of_the_interval_and_scale_changes_nothing():
    rng = np.random.default_rng(3)
    one = sample(5, rng, 0.2, 2.0, 2.0)
    low, high = crossed.interval(one)
    assert crossed.p(one, low) == pytest.approx(0.05, abs=1e-9)
    assert crossed.p(one, high) == pytest.approx(0.05, abs=1e-9)
    assert crossed.interval(3.0 * one) == pytest.approx((3 * low, 3 * high))
    assert crossed.interval(-one) == pytest.approx((-high, -low))
    order = rng.permutation(IMAGES)
    assert crossed.interval(Sample(one.values, one.images[:, order])) == pytest.approx((low, high))
    other = sample(5, rng, 0.2, 2.0, 2.0)
    ratio = crossed.ratio_interval(one, Sample(other.values + 9, other.images + 9))
    assert crossed.p(crossed.difference(one, ratio[0] * Sample(other.values + 9, other.images + 9)), 0) == (
        pytest.approx(0.05, rel=0.3)
    )


@pytest.mark.filterwarnings("error")
def test_one_test_image_says_nothing_of_others():
    values = np.array([1.0, 2.0, 4.0])
    one, alone = Sample(values, values[:, None]), Sample(values)
    assert crossed.interval(one) == crossed.interval(alone)
    assert crossed.p(one, 0) == crossed.p(alone, 0)
    assert crossed.ratio_interval(one, one) == crossed.ratio_interval(alone, alone)
    assert one.method == "Student’s t over seeds alone: there is one test image"
