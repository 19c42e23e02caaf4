"""Data sets in Parquet files and shards of one's own, with what can be wrong with them."""

import io

import numpy as np
import pandas as pd
import pytest
from parquet_files import encode, write_parquet
from PIL import Image

from understanding_bn.data import sources, store
from understanding_bn.errors import UserError


@pytest.mark.parametrize(("channels", "column", "size"), [(3, "img", 9), (1, "image", 8), (3, "image", 32)])
def test_parquet_round_trip(tmp_path, channels, column, size):
    written = write_parquet(tmp_path / "d", channels=channels, column=column, size=size)
    made = store.prepare("parquet", tmp_path / "d", tmp_path / "store.npz")
    loaded = store.load(tmp_path / "store.npz")
    assert loaded.info == made.info
    assert np.array_equal(loaded.images[loaded.rows("train")], written["train"][0])
    assert np.array_equal(loaded.labels[loaded.rows("test")], written["test"][1])
    assert (loaded.channels, loaded.classes) == (channels, 4)
    assert set(loaded.info["files"]) == {"train.parquet", "test.parquet"}


def test_a_lossy_encoding_is_named_in_the_source(tmp_path):
    write_parquet(tmp_path)
    assert sources.read("parquet", tmp_path, tmp_path).source == "Parquet files (PNG: train.parquet, test.parquet)"
    table = pd.read_parquet(tmp_path / "test.parquet")
    buffer = io.BytesIO()
    Image.fromarray(np.full((9, 9, 3), 99, np.uint8)).save(buffer, "JPEG")
    table.at[0, "img"] = {"bytes": buffer.getvalue(), "path": None}
    table.to_parquet(tmp_path / "test.parquet")
    assert "(JPEG and PNG, lossy: " in sources.read("parquet", tmp_path, tmp_path).source


def truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def one_larger_image(path):
    table = pd.read_parquet(path)
    table.at[3, "img"] = {"bytes": encode(np.zeros((16, 16, 3), np.uint8)), "path": None}
    table.to_parquet(path)


def broken_image(path):
    table = pd.read_parquet(path)
    table.at[2, "img"] = {"bytes": b"\x89PNG nonsense", "path": None}
    table.to_parquet(path)


def relabelled(change):
    """Damage to labels: all of a file's are changed."""

    def damage(path):
        table = pd.read_parquet(path)
        table.assign(label=change(table["label"].to_numpy())).to_parquet(path)

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: p.unlink(), "train.parquet is missing next to test.parquet"),
        (truncate, "train.parquet: not a readable Parquet file"),
        (lambda p: p.write_bytes(b""), "train.parquet: not a readable Parquet file"),
        (one_larger_image, "image in row 3 is 16×16, and .* row 0 is 9×9; expected images of one size"),
        (broken_image, "image in row 2 can't be decoded"),
        (
            lambda p: pd.read_parquet(p).rename(columns={"label": "x"}).to_parquet(p),
            "expected 'img' or 'image'",
        ),
        (lambda p: pd.read_parquet(p).assign(label=-1).to_parquet(p), "negative or missing"),
        (lambda p: pd.read_parquet(p).assign(label="cat").to_parquet(p), "expected whole numbers"),
        (lambda p: pd.read_parquet(p).iloc[:0].to_parquet(p), "holds no rows"),
        (relabelled(lambda y: 0 * y), "train.parquet: all labels are 0; expected at least two classes"),
        (
            relabelled(lambda y: y + 1),
            "label 0 is that of no image, label 1 that of 5 images; expected 0 to C − 1, each",
        ),
        (relabelled(lambda y: y + 10), "label 0 is that of no image, label 10 that of 5 images; expected 0 to C"),
        (relabelled(lambda y: np.array([0, 1, 2, 4])[y]), "label 3 is that of no image, label 4 that of 5 images"),
        (
            relabelled(lambda y: np.where(np.arange(20) == 7, 255, y)),
            "label 4 is that of no image, label 255 that of 1 im",
        ),
        (
            relabelled(lambda y: y + 2**40 * (y == 3)),
            "label 3 is that of no image, label 1099511627779 that of 5 images",
        ),
        (
            relabelled(lambda y: y % 3),
            "test.parquet: label 3 is that of 2 images, and of no training image; expected 0 to 2",
        ),
        (relabelled(lambda y: np.arange(20) % 5), "test.parquet: no image has label 4; expected test images of all 5"),
    ],
)
def test_bad_parquet_is_one_line_and_leaves_nothing(tmp_path, damage, message):
    write_parquet(tmp_path / "d")
    damage(tmp_path / "d" / "train.parquet")
    out = tmp_path / "out" / "store.npz"
    with pytest.raises(UserError, match=message) as caught:
        store.prepare("parquet", tmp_path / "d", out)
    assert "\n" not in str(caught.value)
    assert not out.parent.exists() or not any(out.parent.iterdir())


def split_up(folder, name, parts):
    """One file as shards under these names."""
    table = pd.read_parquet(folder / name)
    (folder / name).unlink()
    rows = np.array_split(np.arange(len(table)), len(parts))
    for part, chosen in zip(parts, rows, strict=True):
        (folder / part).parent.mkdir(exist_ok=True)
        table.iloc[chosen].to_parquet(folder / part)


def test_shards_are_read_in_the_order_of_their_names(tmp_path):
    written = write_parquet(tmp_path)
    whole = sources.tag("parquet", tmp_path)
    split_up(tmp_path, "train.parquet", [f"train-{number:05}-of-00003.parquet" for number in range(3)])
    split_up(tmp_path, "test.parquet", ["test.parquet/part-0", "test.parquet/part-1.parquet"])
    for name in ("_SUCCESS", ".part-0.crc", "Thumbs.db"):
        (tmp_path / "test.parquet" / name).touch()
    read = sources.read("parquet", tmp_path, tmp_path)
    assert np.array_equal(read.train_images, written["train"][0])
    assert np.array_equal(read.test_labels, written["test"][1])
    assert read.source == "Parquet files (PNG: train, 3 shards, test, 2 shards)"
    assert sources.tag("parquet", tmp_path) != whole
    assert sorted(sources.checksums("parquet", tmp_path))[-1] == "train-00002-of-00003.parquet"
    assert "test.parquet/part-0" in sources.checksums("parquet", tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: (f / "train-00001-of-00003.parquet").unlink(),
            "train-00001-of-00003.parquet is missing; expected all 3",
        ),
        (
            lambda f: (f / "train-00000-of-00004.parquet").touch(),
            "holds shards of 00003 and of 00004 for train; expected",
        ),
        (
            lambda f: (f / "train.parquet").touch(),
            "holds both train.parquet and train-00000-of-00003.parquet; expected one",
        ),
        (lambda f: (f / "test.parquet").unlink(), "test.parquet is missing next to train-00000-of-00003.parquet; both"),
        (lambda f: [(f / "test.parquet").unlink(), (f / "test.parquet").mkdir()], "test.parquet: an empty folder; exp"),
        (
            lambda f: truncate(f / "train-00002-of-00003.parquet"),
            "train-00002-of-00003.parquet: not a readable Parquet",
        ),
    ],
)
def test_bad_shards_are_one_line(tmp_path, damage, message):
    write_parquet(tmp_path)
    split_up(tmp_path, "train.parquet", [f"train-{number:05}-of-00003.parquet" for number in range(3)])
    damage(tmp_path)
    with pytest.raises(UserError, match=message):
        sources.read("parquet", tmp_path, tmp_path)


def test_data_in_a_folder_below_are_pointed_out(tmp_path):
    write_parquet(tmp_path / "data")
    with pytest.raises(UserError, match=f"holds no parquet data; expected .*; give data_dir={tmp_path}/data$"):
        sources.tag("parquet", tmp_path)


def test_parquet_needs_a_data_dir():
    with pytest.raises(UserError, match="data_dir: missing"):
        sources.tag("parquet", None)


@pytest.mark.parametrize("size", [4, 2048])
def test_image_sizes_are_bounded(tmp_path, size):
    tmp_path.mkdir(exist_ok=True)
    cells = [{"bytes": encode(np.zeros((size, size, 3), np.uint8)), "path": None}]
    for name in ("train", "test"):
        pd.DataFrame({"img": cells, "label": [0]}).to_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(UserError, match="expected a square from 8×8 to 1024×1024"):
        sources.read("parquet", tmp_path, tmp_path)
