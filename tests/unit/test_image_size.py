"""Images that are shrunk: area averages in whole numbers, told in the tag, the source and every title."""

from dataclasses import replace

import numpy as np
import pytest
from small_configs import config

from understanding_bn import paper
from understanding_bn.benchmark import plan
from understanding_bn.data import sources, store
from understanding_bn.errors import UserError
from understanding_bn.experiment.load import resolve
from understanding_bn.figures import titles


def test_each_pixel_is_the_rounded_mean_of_a_square(raw_digits):
    half = sources.shrunk(raw_digits, 4)
    whole = raw_digits.train_images.astype(float)
    means = sum(whole[:, i::2, j::2] for i in (0, 1) for j in (0, 1)) / 4
    assert half.train_images.shape == (1437, 4, 4, 1)
    assert half.train_images.dtype == np.uint8
    assert np.array_equal(half.train_images, np.floor(means + 0.5))
    assert half.test_images.shape == (360, 4, 4, 1)
    assert half.source == f"{raw_digits.source}, shrunk to 4×4 by area averages"


def test_extremes_stay_and_colours_do_not_mix(raw_digits):
    white = np.full((2, 6, 6, 3), 255, dtype=np.uint8)
    white[..., 1] = 0
    colours = replace(raw_digits, train_images=white, test_images=white)
    assert np.array_equal(sources.shrunk(colours, 2).train_images, white[:, :2, :2])
    assert np.array_equal(sources.shrunk(colours, 6).train_images, white)


def test_a_side_that_does_not_fit_is_one_line(raw_digits):
    with pytest.raises(UserError, match="config key image_size: 3 does not divide 8×8, the size of these images"):
        sources.shrunk(raw_digits, 3)
    with pytest.raises(UserError, match=r"config key image_size: 3 does not divide 8, .* expected one of 1, 2, 4, 8,"):
        resolve(config().model_dump(mode="json") | {"image_size": 3})


def test_the_store_and_its_tag_say_so(tmp_path):
    made = store.prepare("digits", None, tmp_path / "store.npz", 500, size=4)
    assert made.images.shape == (860, 4, 4, 1)
    assert made.info["size"] == [4, 4, 1]
    assert made.info["tag"] == sources.tag("digits", None, 500, size=4) == "digits-4px-train500"
    assert store.load(tmp_path / "store.npz").info == made.info


def test_titles_and_what_differs_from_the_paper_say_so():
    assert titles.data("cifar10-0123abcd-16px-train10000-test4000") == "CIFAR-10 at 16×16 (10,000 training images)"
    assert titles.data("digits-4px") == "the digits at 4×4"
    differs = paper.differences("cifar10-0123abcd-16px", 50_000, "resnet-110", 128)
    assert differs == {"data": "50,000 of CIFAR-10’s training images, at 16×16 pixels"}


def test_the_plan_counts_what_is_computed():
    raw = config().model_dump(mode="json") | {"image_size": 4}
    assert plan.images_of(resolve(raw), None).image_size == 4
