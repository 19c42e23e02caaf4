"""A validation split: images kept from training, measured like the test split, by which the best α is chosen."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from fake_graphs import FakeGraphs
from small_configs import config, entry
from test_lanes import on_the_device, same
from torch.nn import functional as F
from training_runs import CPU, cell, fresh, lane, train

from understanding_bn.data import sources, store
from understanding_bn.data.batches import Split
from understanding_bn.errors import UserError
from understanding_bn.experiment.load import resolve
from understanding_bn.experiment.plan import plan
from understanding_bn.figures import titles
from understanding_bn.record import Data
from understanding_bn.summaries.training import chosen_by
from understanding_bn.training import loop
from understanding_bn.training.state import MEASURED


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Stores of the same 500 training images, with 200 for validation and without."""
    folder = tmp_path_factory.mktemp("stores")
    with_it, without = folder / "with" / "store.npz", folder / "without" / "store.npz"
    store.prepare("digits", None, with_it, 500, validation=200)
    store.prepare("digits", None, without, 500)
    return with_it, without


def rows_of(images, whole):
    """Which images of the whole these are."""
    where = {image.tobytes(): row for row, image in enumerate(whole)}
    return [where[image.tobytes()] for image in images]


@pytest.mark.parametrize(("train", "validation"), [(500, 200), (0, 200), (100, 1337), (1237, 200)])
def test_each_part_has_every_class_in_its_share_and_none_has_an_image_of_another(raw_digits, train, validation):
    some = sources.some(raw_digits, train, 0, validation)
    ((images, labels),) = some.validation
    share = np.bincount(raw_digits.train_labels) / 1437
    for part, count in ((some.train_labels, train or 1437 - validation), (labels, validation)):
        assert len(part) == count
        assert np.abs(np.bincount(part, minlength=10) - share * count).max() < 2  # a rest of two draws
    trained, kept = rows_of(some.train_images, raw_digits.train_images), rows_of(images, raw_digits.train_images)
    assert trained == sorted(set(trained))
    assert kept == sorted(set(kept))
    assert not set(trained) & set(kept)
    assert raw_digits.train_labels[kept].tolist() == labels.tolist()
    assert np.array_equal(some.test_images, raw_digits.test_images)
    assert f"{validation} others of these for validation" in some.source


def test_a_subset_for_training_is_the_same_with_a_validation_split_and_without(raw_digits):
    with_it, without = sources.some(raw_digits, 500, 0, 200), sources.some(raw_digits, 500, 0)
    assert np.array_equal(with_it.train_images, without.train_images)
    assert not without.validation


def test_the_store_has_it_and_its_tag_and_its_record_say_so(paths):
    with_it, without = map(store.load, paths)
    assert [int(with_it.rows(split).sum()) for split in store.SPLITS] == [500, 360, 200]
    assert [int(without.rows(split).sum()) for split in store.SPLITS] == [500, 360, 0]
    assert with_it.info["tag"] == sources.tag("digits", None, 500, validation=200) == "digits-train500-validation200"
    assert with_it.info["channel_mean"] == without.info["channel_mean"]  # of the training images alone
    assert Data.model_validate(with_it.info).images == "500 training, 200 validation, and 360 test images"
    assert Data.model_validate(without.info).images == "500 training and 360 test images"
    assert titles.data("cifar10-validation5000") == "CIFAR-10 (all but 5,000 training images)"
    assert titles.data(with_it.info["tag"]) == "the digits (500 training images)"


def test_the_checksum_covers_who_is_in_which_split(paths, tmp_path):
    whole = store.load(paths[0])
    swapped = replace(whole, split=np.where(whole.split, 3 - whole.split, 0).astype(np.uint8))
    arrays = {name: getattr(swapped, name) for name in ("images", "labels", "split")}
    np.savez(tmp_path / "store.npz", **arrays, info=np.array(json.dumps(whole.info)))
    with pytest.raises(UserError, match="its contents do not match its checksum"):
        store.load(tmp_path / "store.npz")


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        ({"validation": 1437}, "subset.validation: 1437 is more than the 1436 training images of digits that are not"),
        ({"train": 1400, "validation": 38}, "subset.validation: 38 is more than the 37 training images of digits"),
    ],
)
def test_a_plan_with_too_many_is_one_line(subset, message):
    with pytest.raises(UserError, match=f"^config key {message} .*trained on; expected at most"):
        resolve(config().model_dump(mode="json") | {"subset": subset})


@pytest.mark.parametrize(
    ("train", "validation", "message"),
    [
        (1400, 38, "subset.validation: 38 is more than there are, expected at most 37"),
        (
            0,
            3,
            "subset.validation: 3 of 1437 images leave 7 of 10 classes without one; expected at least 11, or 0",
        ),
        (0, 1437, "subset.validation: 1437 of 1437 images leave 10 classes without one for training; expected fewer"),
    ],
)
def test_data_with_too_few_are_one_line(raw_digits, train, validation, message):
    with pytest.raises(UserError) as caught:
        sources.some(raw_digits, train, 0, validation)
    assert str(caught.value).startswith(f"config key {message}")


def test_batches_are_of_what_is_left():
    planned = plan(resolve(config(entry(batch_size=1237)).model_dump(mode="json") | {"subset": {"validation": 200}}))
    assert planned.prepare.validation == 200
    with pytest.raises(UserError, match=r"grid\[0\].batch_size\[0\]: 1238 is more than the 1237 training images"):
        resolve(config(entry(batch_size=1238)).model_dump(mode="json") | {"subset": {"validation": 200}})


def test_it_is_measured_after_every_epoch_and_changes_nothing_else(paths, tmp_path):
    with_it, weights, _ = train(paths[0], tmp_path / "a", tmp_path / "s", [0], epochs=2)
    without, _, _ = train(paths[1], tmp_path / "b", tmp_path / "t", [0], epochs=2)
    validated = ["validation_loss", "validation_accuracy"]
    assert without[validated].isna().all(axis=None)
    assert with_it[validated].notna().all(axis=None)
    others = [name for name in without if name not in (*validated, "dataset")]
    pd.testing.assert_frame_equal(with_it[others], without[others], check_exact=True)
    run = fresh()
    run.model.load_state_dict(weights[0][2])
    images, labels = next(Split(store.load(paths[0]), "validation", 0, CPU).in_order(200))
    with torch.no_grad():
        logits = run.model.eval()(images)
    last = with_it.iloc[-1]
    assert last["validation_accuracy"] == pytest.approx((logits.argmax(1) == labels).double().mean().item())
    assert last["validation_loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("epochs", "evaluations", "expected"),
    [
        (8, None, {1, 2, 3, 4, 5, 6, 7, 8}),
        (8, 8, {1, 2, 3, 4, 5, 6, 7, 8}),
        (5, 8, {1, 2, 3, 4, 5}),
        (128, 4, {32, 64, 96, 128}),
        (10, 4, {3, 5, 8, 10}),
        (7, 1, {7}),
    ],
)
def test_so_many_evaluations_are_spread_evenly_and_end_with_training(epochs, evaluations, expected):
    assert cell(epochs=epochs).evaluated(evaluations) == expected


def test_fewer_evaluations_leave_gaps_and_all_else_as_it_is(paths):
    often, seldom = fresh(epochs=3), fresh(epochs=3)
    data, said = store.load(paths[0]), []
    loop.train([lane(often, data, epochs=3)])
    loop.train([lane(seldom, data, epochs=3, evaluations=1)], lambda lane: said.append(lane))
    held_out = [name for name in MEASURED if name.split("_")[0] in ("test", "validation") and name != "test_correct"]
    assert [[row[name] for row in seldom.rows] for name in held_out] == [
        [None, None, often.rows[-1][name]] for name in held_out
    ]
    gaps = [row | dict.fromkeys(held_out) for row in often.rows]
    assert [row | dict.fromkeys(held_out) for row in seldom.rows] == gaps
    assert len(said) == 3 * (500 // 128 + 1) + 2 + 1  # mini-batches and ends of epochs, held-out and training images


def test_a_device_replays_its_measurement_too(paths):
    data, recorder = store.load(paths[0]), FakeGraphs()
    plain, replayed = (on_the_device() for _ in range(2))
    loop.train([lane(plain, data)])
    loop.train([lane(replayed, data, recorder=recorder)])
    same(plain, replayed)
    assert recorder.replays == 2 * (500 // 128 + 2)  # mini-batches, and both splits that are held out


def test_the_best_is_chosen_by_it_where_every_sound_run_has_it():
    last = pd.DataFrame({"test_accuracy": [0.5, 0.6, np.nan], "validation_accuracy": [0.6, 0.5, np.nan]})
    assert chosen_by(last) == "validation_accuracy"
    assert chosen_by(last.assign(validation_accuracy=[0.6, np.nan, np.nan])) == "test_accuracy"
    assert chosen_by(last[["test_accuracy"]]) == "test_accuracy"
