"""Data sets of image files in a folder for each class."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from understanding_bn.data import decode, sources, store
from understanding_bn.errors import UserError

CLASSES = ("ant", "bee", "cow")
SPLITS = ("train", "test")


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
        (
            lambda f: put(f / "test/dog/0.png"),
            r"train: has no folder for class 'dog', which .*test has; expected the same",
        ),
        (lambda f: shutil.rmtree(f / "test/bee"), r"test: has no folder for class 'bee', which .*train has"),
        (lambda f: [p.unlink() for p in f.glob("train/bee/*")], r"train/bee: class 'bee' has no image; expected files"),
        (lambda f: [p.unlink() for p in f.glob("test/*/*")], r"test/ant: class 'ant' has no image; expected files"),
        (
            lambda f: [shutil.rmtree(f / s / c) for s in SPLITS for c in CLASSES[1:]],
            r"one class, 'ant'; expected at least",
        ),
        (
            lambda f: put(f / "train/bee/7.png", side=12),
            r"bee/7.png is 12×12, and .*ant/0.png is 9×9; expected images of",
        ),
        (
            lambda f: put(f / "train/bee/7.png", mode="L"),
            r"7.png is grey, and .*ant/0.png is RGB; .* key channels: grey or",
        ),
        (
            lambda f: [put(f / f"test/{c}/0.png", side=12) for c in CLASSES],
            r"test/ant/0.png is 12×12, and .*train/ant/0",
        ),
        (
            lambda f: [put(f / f"test/{c}/0.png", mode="L") for c in CLASSES],
            r"test/ant/0.png is grey, and .*train/ant/0",
        ),
        (
            lambda f: (f / "train/ant/notes.txt").write_text("x"),
            r"ant/notes.txt: not an image; expected files that end",
        ),
        (lambda f: (f / "train/ant/more").mkdir(), r"ant/more: not an image"),
        (lambda f: (f / "train/ant/lost.png").symlink_to("nowhere"), r"ant/lost.png: not an image"),
        (lambda f: put(f / "train/0.png"), r"train/0.png: not a folder; expected in .*train a folder for each class"),
        (lambda f: (f / "train/labels.csv").write_text("x"), r"train/labels.csv: not a folder; expected"),
        (lambda f: (f / "train/ant/9.png").write_bytes(b"x"), r"9.png can't be decoded; expected PNG or JPEG"),
        (lambda f: (f / "train").rename(f / "training"), r"train: holds no folder; expected one for each class"),
    ],
)
def test_what_is_not_such_a_data_set_is_one_line(folder, damage, complaint):
    damage(folder)
    with pytest.raises(UserError, match=complaint):
        read(folder)


DROPPINGS = ("Thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini", ".DS_Store", "._0.png", "Icon\r")


def test_what_operating_systems_leave_behind_does_not_count(folder):
    before = sources.tag("folder", folder)
    for place in ("train", "train/ant", "test/bee"):
        for name in DROPPINGS:
            (folder / place / name).write_bytes(b"x")
    for name in ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", ".cache"):
        (folder / "train" / name).mkdir()
        (folder / "test/cow" / name).mkdir()
    assert len(read(folder).train_labels) == 9
    assert sources.tag("folder", folder) == before


def image(mode):
    """A 9×9 image of one of Pillow's modes, all of the colour (200, 100, 0)."""
    return Image.new("RGBA", (9, 9), (200, 100, 0, 7)).convert("RGB").convert(mode)


@pytest.mark.parametrize(
    ("mode", "channels", "pixel", "told"),
    [
        ("1", "as_found", None, "1 bit as grey in 1 image"),
        ("L", "as_found", (118,), ""),
        ("LA", "as_found", (118,), "alpha dropped in 1 image"),
        ("P", "as_found", None, "palette as RGB in 1 image"),
        ("RGB", "as_found", (200, 100, 0), ""),
        ("RGBA", "as_found", (200, 100, 0), "alpha dropped in 1 image"),
        ("RGBA", "grey", (118,), "alpha dropped, RGB as grey in 1 image"),
        ("RGB", "grey", (118,), "RGB as grey in 1 image"),
        ("L", "rgb", (118, 118, 118), "grey as RGB in 1 image"),
        ("L", "grey", (118,), ""),
        ("LA", "rgb", (118, 118, 118), "alpha dropped, grey as RGB in 1 image"),
    ],
)
def test_every_kind_of_image_is_read_as_the_config_says(mode, channels, pixel, told):
    buffer = io.BytesIO()
    image(mode).save(buffer, "PNG")
    read = decode.decode_all([(buffer.getvalue(), "a.png")], 1, channels)
    assert pixel is None or tuple(read.images[0, 0, 0]) == pixel
    assert read.images.shape[3] == (len(pixel) if pixel else 3 if mode == "P" else 1)
    assert decode.about(read) == "; ".join(filter(None, ["PNG", told]))


def test_grey_is_what_pillow_makes_of_rgb():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert np.array_equal(decode.with_channels(pixels, 1)[..., 0], np.asarray(Image.fromarray(pixels).convert("L")))


def test_mixed_images_are_converted_where_the_config_says_so(folder, tmp_path):
    put(folder / "train/bee/7.png", mode="L")
    grey = store.prepare("folder", folder, tmp_path / "store.npz", channels="grey")
    assert (grey.channels, grey.info["tag"]) == (1, f"{sources.tag('folder', folder)}-grey")
    assert "RGB as grey in 12 images" in grey.info["source"]
    assert sources.read("folder", folder, folder, "rgb").train_images.shape == (10, 9, 9, 3)


def test_it_needs_a_folder():
    with pytest.raises(UserError, match="data_dir: missing; dataset 'folder' needs the folder of train/CLASS/"):
        sources.find("folder", None)
