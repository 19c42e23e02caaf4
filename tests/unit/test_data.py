"""Sources, the store, and mini-batches."""

import itertools
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from damage import flip_a_bit
from parquet_files import encode, write_parquet
from sklearn.datasets import load_digits

from understanding_bn.data import sources, store
from understanding_bn.data.batches import Split, stream
from understanding_bn.errors import UserError
from understanding_bn.settings import Augmentation

CPU = torch.device("cpu")


def test_digits_are_all_there_once_and_lossless(raw_digits):
    known = load_digits()
    images = np.concatenate([raw_digits.train_images, raw_digits.test_images])[..., 0]
    labels = np.concatenate([raw_digits.train_labels, raw_digits.test_labels])
    assert (len(raw_digits.train_labels), len(raw_digits.test_labels)) == (1437, 360)

    def rows(i, y):
        return sorted(map(tuple, np.column_stack([i.reshape(len(i), -1), y]).astype(int)))

    assert rows(images / 15, labels) == rows(known.images, known.target)
    assert np.abs(np.bincount(raw_digits.test_labels) - np.bincount(labels) / 5).max() <= 1
    assert not raw_digits.flip


def test_statistics_are_those_of_the_training_split(digits):
    train = digits.images[digits.rows("train")] / 255
    assert digits.info["channel_mean"][0] == pytest.approx(train.mean(), abs=1e-12)
    assert digits.info["channel_std"][0] == pytest.approx(train.std(), abs=1e-12)
    everything = digits.images / 255
    assert digits.info["channel_mean"][0] != pytest.approx(everything.mean(), abs=1e-6)


def test_torchvision_layout_is_recognised_and_a_wrong_checksum_refused(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch", "batches.meta"]:
        (folder / name).write_bytes(pickle.dumps({}))
    assert sources.tag("cifar10", tmp_path) == "cifar10"
    with pytest.raises(
        UserError, match=r"^data_dir: .*/data_batch_1 is damaged, or not of CIFAR-10 .*; fetch CIFAR-10 ag"
    ):
        sources.read("cifar10", tmp_path, tmp_path)
    for name in ("data_batch_3", "batches.meta"):
        (folder / name).rename(tmp_path / "away")
        with pytest.raises(
            UserError, match=rf"^data_dir: .*-py/{name} is missing; fetch CIFAR-10 again, or leave data_dir"
        ):
            sources.tag("cifar10", tmp_path)
        (tmp_path / "away").rename(folder / name)
    with pytest.raises(UserError, match=f"give the folder that holds cifar-10-batches-py, data_dir={tmp_path}$"):
        sources.tag("cifar10", folder)
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed/cifar-10-python.tar.gz").touch()
    with pytest.raises(UserError, match=r"holds no cifar10 data; .*; unpack cifar-10-python.tar.gz$"):
        sources.tag("cifar10", tmp_path / "packed")


def test_cifar10_data_files_in_torchvisions_layout_load(tmp_path, monkeypatch):
    from torchvision.datasets import cifar

    rng = np.random.default_rng(0)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        batch = {"data": rng.integers(0, 256, (4, 3072), dtype=np.uint8), "labels": [0, 9, 1, 2]}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}))
    monkeypatch.setattr(cifar, "check_integrity", lambda *args: True)
    made = store.prepare("cifar10", tmp_path, tmp_path / "store.npz")
    assert made.images.shape == (24, 32, 32, 3)
    first = pickle.loads((folder / "data_batch_1").read_bytes())["data"][0]
    assert np.array_equal(made.images[0], first.reshape(3, 32, 32).transpose(1, 2, 0))


def test_cifar10_name_is_not_given_to_other_data(tmp_path):
    write_parquet(tmp_path)
    with pytest.raises(UserError, match="is not CIFAR-10"):
        sources.read("cifar10", tmp_path, tmp_path)


def test_tags_tell_data_sets_apart(tmp_path):
    write_parquet(tmp_path / "a", seed=0)
    write_parquet(tmp_path / "b", seed=1)
    write_parquet(tmp_path / "elsewhere" / "a", seed=0)
    tags = [sources.tag("parquet", tmp_path / folder) for folder in ("a", "b", "elsewhere/a")]
    assert tags[0] == tags[2] != tags[1]
    assert sources.tag("digits", None) == "digits"
    assert sources.tag("digits", None, 500) == "digits-train500"
    assert sources.tag("parquet", tmp_path / "a", 3, 2) == f"{tags[0]}-train3-test2"


@pytest.mark.parametrize(("train", "test"), [(100, 50), (1437, 0), (0, 11), (12, 12)])
def test_a_subset_has_every_class_in_its_share(raw_digits, train, test):
    some = sources.some(raw_digits, train, test)
    for count, labels, whole in (
        (train, some.train_labels, raw_digits.train_labels),
        (test, some.test_labels, raw_digits.test_labels),
    ):
        assert len(labels) == (count or len(whole))
        share = np.bincount(whole, minlength=10) / len(whole)
        assert np.abs(np.bincount(labels, minlength=10) - share * len(labels)).max() < 1
    where = {image.tobytes(): row for row, image in enumerate(raw_digits.train_images)}
    rows = [where[image.tobytes()] for image in some.train_images]
    assert rows == sorted(set(rows))  # different images, in their order
    assert [raw_digits.train_labels[row] for row in rows] == list(some.train_labels)
    again = sources.some(raw_digits, train, test)
    assert np.array_equal(some.train_images, again.train_images)
    assert ("a subset: " in some.source) and (not train or f"{train} of 1437 training" in some.source)


def test_a_store_of_a_subset_says_so_and_no_subset_is_larger_than_the_whole(tmp_path):
    made = store.prepare("digits", None, tmp_path / "store.npz", 200)
    assert (made.info["train_images"], made.info["test_images"]) == (200, 360)
    assert made.info["tag"] == "digits-train200"
    assert "200 of 1437 training images" in made.info["source"]
    with pytest.raises(UserError, match=r"subset\.test: 361 is more than there are, expected at most 360"):
        store.prepare("digits", None, tmp_path / "store.npz", 0, 361)


@pytest.mark.parametrize(
    ("train", "test", "message"), [(5, 0, r"train: 5 of 1437 .*leave 5 of 10"), (0, 9, "test: 9 of")]
)
def test_a_subset_that_leaves_classes_out_is_refused(raw_digits, train, test, message):
    with pytest.raises(
        UserError, match=rf"^config key subset\.{message}.* classes without one; expected at least 11, or"
    ):
        sources.some(raw_digits, train, test)
    sources.some(raw_digits, 11, 11)


@pytest.mark.parametrize(
    ("dataset", "folder", "message"),
    [
        ("parquet", "nowhere", "is not a folder"),
        ("parquet", ".", "holds no parquet data"),
        (
            "cifar10",
            ".",
            "holds no cifar10 data; expected train.parquet and test.parquet, or their shards, or cifar-10-batches-py/",
        ),
        ("digits", ".", "dataset 'digits' is embedded"),
    ],
)
def test_data_dir_without_data(tmp_path, dataset, folder, message):
    with pytest.raises(UserError, match=message):
        sources.tag(dataset, tmp_path / folder)


def test_a_damaged_store_is_refused(digits_path, tmp_path):
    damaged = tmp_path / "store.npz"
    shutil.copy(digits_path, damaged)
    flip_a_bit(damaged)
    with pytest.raises(UserError, match="damaged data store"):
        store.load(damaged)
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    with pytest.raises(UserError, match="damaged data store"):
        store.load(damaged)
    with pytest.raises(UserError, match="no such file"):
        store.load(tmp_path / "none.npz")


def test_gather_equals_slicing(digits):
    split = Split(digits, "train", 2, CPU)
    mean, std = digits.info["channel_mean"][0], digits.info["channel_std"][0]
    plain = torch.from_numpy(digits.images[digits.rows("train")][..., 0]).float().div(255).sub(mean).div(std)
    padded = torch.nn.functional.pad(plain, (2, 2, 2, 2))
    index, top, left = torch.tensor([5, 5, 700]), torch.tensor([0, 3, 4]), torch.tensor([4, 1, 0])
    mirror = torch.tensor([False, True, True])
    got = split.gather(index, top, left, mirror)
    for i in range(3):
        crop = padded[index[i], top[i] : top[i] + 8, left[i] : left[i] + 8]
        assert torch.allclose(got[i, 0], crop.flip(1) if mirror[i] else crop, atol=1e-6)


def test_every_crop_is_made_of_the_pixels_themselves(tmp_path):
    """Exactly, at every offset of every image, the last pixels of the last one included."""
    write_parquet(tmp_path, size=10)
    split = Split(store.prepare("parquet", tmp_path, tmp_path / "store.npz"), "train", 2, CPU)
    padded = split.pixels.view(split.count, 14, 14, 3)
    places = list(itertools.product(range(split.count), range(5), range(5), (False, True)))
    index, top, left, mirror = (torch.tensor(each) for each in zip(*places, strict=True))
    got = split.gather(index, top, left, mirror).permute(0, 2, 3, 1)
    for crop, (i, y, x, mirrored) in zip(got, places, strict=True):
        expected = padded[i, y : y + 10, x : x + 10]
        assert torch.equal(crop, expected.flip(1) if mirrored else expected)
    assert torch.equal(split.gather(index, top, left).permute(0, 2, 3, 1)[::2], got[::2])


def test_rgb_gather_is_channels_last_without_a_copy(tmp_path):
    write_parquet(tmp_path, size=10)
    data = store.prepare("parquet", tmp_path, tmp_path / "store.npz")
    images, _ = next(Split(data, "train", 1, CPU).epoch(0, 0, 4, Augmentation(pad=1, flip=True)))
    assert images.is_contiguous(memory_format=torch.channels_last)
    plain, _ = next(Split(data, "test", 1, CPU).in_order(4))
    expected = (data.images[data.rows("test")][:4] / 255 - data.info["channel_mean"]) / data.info["channel_std"]
    assert torch.allclose(plain, torch.from_numpy(expected.transpose(0, 3, 1, 2)).float(), atol=1e-5)


def test_an_epoch_shows_every_image_at_most_once_and_is_repeatable(digits):
    split = Split(digits, "train", 0, CPU)
    batches = list(split.epoch(1, 2, 64, Augmentation(pad=0, flip=False)))
    assert len(batches) == 1437 // 64
    seen = torch.cat([images for images, _ in batches]).flatten(1).numpy()
    training = next(split.in_order(2000))[0].flatten(1).numpy()
    known = {}
    for row in training:
        known[row.tobytes()] = known.get(row.tobytes(), 0) + 1
    for row in seen:
        known[row.tobytes()] -= 1
    assert min(known.values()) >= 0
    again = list(split.epoch(1, 2, 64, Augmentation(pad=0, flip=False)))
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(batches, again, strict=True))
    other = next(split.epoch(1, 3, 64, Augmentation(pad=0, flip=False)))[0]
    assert not torch.equal(batches[0][0], other)


def test_no_test_image_is_ever_in_a_training_batch(digits):
    split, held_out = Split(digits, "train", 0, CPU), Split(digits, "test", 0, CPU)
    assert (split.count, held_out.count) == (1437, 360)
    ours = {row.numpy().tobytes() for images, _ in split.in_order() for row in images}
    theirs = {row.numpy().tobytes() for images, _ in held_out.in_order() for row in images}
    assert not ours & theirs


def test_every_seed_and_epoch_has_a_stream_of_its_own():
    generator_keys = {stream(seed, epoch) for seed in range(50) for epoch in range(50)}
    assert len(generator_keys) == 2500
    assert stream(1, 0) != stream(0, 1)


def test_flip_and_pad_statistics(tmp_path):
    # A data set of one asymmetric image: each crop tells its own offset and mirroring.
    ramp = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3 + 10
    cells = [{"bytes": encode(ramp), "path": None}] * 2000
    for name, rows in (("train", cells), ("test", cells[:4])):
        pd.DataFrame({"img": rows, "label": np.arange(len(rows)) % 2}).to_parquet(tmp_path / f"{name}.parquet")
    data = store.prepare("parquet", tmp_path, tmp_path / "store.npz")
    split = Split(data, "train", 1, CPU)
    crops = {}
    for images, _ in split.epoch(0, 0, 500, Augmentation(pad=1, flip=True)):
        for row in images:
            crops[row.numpy().tobytes()] = crops.get(row.numpy().tobytes(), 0) + 1
    assert len(crops) == 9 * 2  # 3 × 3 offsets, mirrored or not
    assert min(crops.values()) > 2000 / 18 * 0.6
    unmirrored = {
        row.numpy().tobytes() for images, _ in split.epoch(0, 0, 500, Augmentation(pad=1, flip=False)) for row in images
    }
    assert len(unmirrored) == 9


def test_batch_size_beyond_the_data_is_refused(digits):
    with pytest.raises(UserError, match="batch_size: 5000 is more than the 1437 training images"):
        next(Split(digits, "train", 0, CPU).epoch(0, 0, 5000, Augmentation(pad=0, flip=False)))
