"""Data sets of image files in a folder for each class."""

import numpy as np
import pytest
from PIL import Image

from understanding_bn.data import sources, store
from understanding_bn.errors import UserError

CLASSES = ("ant", "bee", "cow")


@pytest.fixture
def folder(tmp_path):
    """Nine images to train on and three to test on, 9×9 RGB; the shade is the image's number."""
    for split, count in (("train", 3), ("test", 1)):
        for label, name in enumerate(CLASSES):
            for number in range(count):
                put(tmp_path / split / name / f"{number}.png", shade=10 * label + number)
    return tmp_path


def put(path, shade=0, side=9, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((side, side, 3) if mode == "RGB" else (side, side), shade, dtype=np.uint8)
    Image.fromarray(pixels, mode).save(path)


def read(folder):
    return sources.read("folder", folder, folder)


def test_classes_are_numbered_by_name(folder):
    images = read(folder)
    assert images.train_images.shape == (9, 9, 9, 3)
    assert images.train_labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert images.train_images[:, 0, 0, 0].tolist() == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert images.test_labels.tolist() == [0, 1, 2]
    assert images.source == "image files (PNG, 3 classes)"
    assert images.flip is None


def test_jpeg_is_told_and_hidden_files_are_not_images(folder):
    put(folder / "train/ant/9.JPG")
    (folder / "train/ant/.DS_Store").write_bytes(b"x")
    (folder / "train/.cache").mkdir()
    images = read(folder)
    assert len(images.train_labels) == 10
    assert images.source == "image files (JPEG and PNG, lossy, 3 classes)"


def test_it_becomes_a_store_with_its_checksums(folder, tmp_path):
    store.prepare("folder", folder, tmp_path / "store.npz")
    info = store.load(tmp_path / "store.npz").info
    assert info["classes"] == 3
    assert set(info["files"]) == {"train", "test"}
    assert info["tag"] == sources.tag("folder", folder)


def test_the_tag_follows_what_the_folder_holds_and_not_where_it_is(folder, tmp_path_factory):
    before, sums = sources.tag("folder", folder), sources.checksums("folder", folder)
    moved = tmp_path_factory.mktemp("other") / "moved"
    folder.rename(moved)
    assert sources.tag("folder", moved) == before
    assert sources.checksums("folder", moved) == sums
    put(moved / "train/ant/0.png", shade=99)
    assert sources.checksums("folder", moved)["train"] != sums["train"]
    assert sources.checksums("folder", moved)["test"] == sums["test"]
    put(moved / "train/ant/7.png")
    assert sources.tag("folder", moved) != before


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda f: put(f / "test/dog/0.png"), r"test: has a class 'dog', which .*train does not have"),
        (lambda f: put(f / "train/bee/7.png", side=12), r"7.png is 12×12 with 3 channels, the first is 9×9 with 3"),
        (lambda f: put(f / "train/bee/7.png", mode="L"), r"7.png is 9×9 with 1 channel, the first is 9×9 with 3"),
        (lambda f: [put(f / f"test/{c}/0.png", side=12) for c in CLASSES], r"test: images are 12×12 .* train 9×9"),
        (lambda f: (f / "train/ant/notes.txt").write_text("x"), r"notes.txt: not an image; expected files that end"),
        (lambda f: (f / "train/ant/more").mkdir(), r"more: not an image"),
        (lambda f: (f / "train/ant/9.png").write_bytes(b"x"), r"9.png can't be decoded; expected PNG or JPEG"),
        (lambda f: [p.unlink() for p in f.glob("test/*/*")], r"test: holds no image"),
        (lambda f: (f / "train").rename(f / "training"), r"train: holds no folder; expected one for each class"),
    ],
)
def test_what_is_not_such_a_data_set_is_one_line(folder, damage, complaint):
    damage(folder)
    with pytest.raises(UserError, match=complaint):
        read(folder)


def test_it_needs_a_folder():
    with pytest.raises(UserError, match="data_dir: missing; dataset 'folder' needs the folder of train/CLASS/"):
        sources.find("folder", None)
