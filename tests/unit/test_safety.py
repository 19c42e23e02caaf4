"""Files from elsewhere: none of them runs code, fills the memory, or ends in more than one clear line."""

import ast
import hashlib
import io
import json
import pickle
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from understanding_bn.cell import Cell
from understanding_bn.data import decode, sources, store
from understanding_bn.errors import UserError
from understanding_bn.experiment import load
from understanding_bn.settings import Optimiser
from understanding_bn.training import checkpoint
from understanding_bn.training.state import start

PACKAGE = Path(store.__file__).resolve().parent.parent
ROOT = PACKAGE.parent.parent


class Payload:
    """Unpickled, it leaves a file behind."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path):
    """A file that is there once a payload has been run, and a proof that payloads run where they are let."""
    path = tmp_path / "pwned"
    pickle.loads(pickle.dumps(Payload(path)))
    assert path.exists()
    path.unlink()
    return path


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path, marker, capsys):
    buffer = io.BytesIO()
    torch.save({"key": tmp_path.name, "model": Payload(marker)}, buffer)
    torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)
    assert marker.exists()  # so the file is one that would
    marker.unlink()
    # Its checksum is right: whoever writes a file can write that too.
    payload = buffer.getvalue()
    (tmp_path / "newest.checkpoint").write_bytes(hashlib.sha256(payload).digest() + payload)
    cell = Cell(arch="resnet-8", init="kaiming", norm="batch", alpha=0.1, batch_size=8, epochs=1)
    run = start(cell, Optimiser(), 0, 1, 10, torch.device("cpu"))
    assert not checkpoint.restore(run, tmp_path)
    assert not marker.exists()
    assert "newest.checkpoint: not used, it is no checkpoint" in capsys.readouterr().err


def test_a_store_with_code_in_it_is_not_run(digits, tmp_path, marker):
    path = tmp_path / "store.npz"
    fields = {"images": digits.images, "labels": digits.labels, "split": digits.split}
    fields["info"] = np.array(json.dumps(digits.info))
    for name in fields:
        np.savez(path, **(fields | {name: np.array([Payload(marker)], dtype=object)}))
        with pytest.raises(UserError, match=r"store.npz: damaged data store \(.*\); delete it and run again") as caught:
            store.load(path)
        assert str(caught.value).isprintable()
        assert not marker.exists()
    np.savez(path, **fields)
    assert store.load(path).info == digits.info


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", pickle.dumps({"a": 1}), b"\x93NUMPY nonsense", b"images,labels\n1,2\n"],
)
def test_what_is_no_store_is_one_line(tmp_path, content):
    path = tmp_path / "store.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged data store") as caught:
        store.load(path)
    assert str(caught.value).isprintable()


def test_torchvisions_pickles_are_run_only_with_the_right_checksum(tmp_path, marker):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch", "batches.meta"]:
        (folder / name).write_bytes(pickle.dumps(Payload(marker)))
    with pytest.raises(UserError, match=r"data_batch_1 is damaged, or not of CIFAR-10 .*; fetch CIFAR-10 again"):
        sources.read("cifar10", tmp_path, tmp_path)
    assert not marker.exists()


# Calls that run what they are given, by their last names, with the one keyword that makes some of them harmless.
NEVER = {"pickle.load", "pickle.loads", "pickle.Unpickler", "os.system", "os.popen", "pd.read_pickle", "marshal.loads"}
NEVER |= {"eval", "exec", "compile", "__import__", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "joblib.load"}
NEVER |= {"yaml.load_all", "marshal.load", "shelve.open", "subprocess.getoutput", "runpy.run_path", "dill.load"}
ONLY_WITH = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
NOT_WITH = {"shell": True, "allow_pickle": True, "weights_only": False}
MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "cloudpickle", "runpy", "code"}


def dangers(source: str) -> list[str]:
    """Calls and imports in Python code that could run what a file or a config says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found += [name for name in names if name and name.split(".")[0] in MODULES]
            hidden = {"system", "popen", "load"} & {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom) and node.module in {"os", "torch", "numpy", "yaml"}:
                found += sorted(hidden)
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).replace("numpy.", "np.").replace("pandas.", "pd.")
            keywords = {k.arg: getattr(k.value, "value", None) for k in node.keywords if k.arg}
            keyword, value = ONLY_WITH.get(name, (None, None))
            if name in NEVER or (keyword and keywords.get(keyword) is not value):
                found.append(name)
            found += [key for key, bad in NOT_WITH.items() if keywords.get(key) is bad]
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_code_runs_what_a_file_says(path):
    assert not dangers(path.read_text())


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "np.load(path)",
        "numpy.load(path, allow_pickle=True)",
        "np.savez(path, allow_pickle=True)",
        "import pickle",
        "from pickle import loads",
        "from os import system",
        "from torch import load",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "eval(text)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "pandas.read_pickle(path)",
    ],
)
def test_the_search_for_dangers_finds_them(source):
    assert dangers(source)
    harmless = "torch.load(p, weights_only=True); np.load(p, allow_pickle=False); yaml.safe_load(t); model.eval()"
    assert not dangers(harmless)


def test_rules_run_no_shell_beside_snakemakes():
    for path in [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]:
        # The one exception is a rule's own command.
        text = path.read_text().replace('shell("{command} || true", command=job.shellcmd', "")
        assert not [word for word in ("os.system", "subprocess", "eval(", "exec(", "shell(") if word in text], path


def chunk(kind, data):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_that_claims(width, height):
    """A tiny PNG whose header claims a picture of this size, and that could be decoded to it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def encoded(kind, image, **options):
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_with_a_long_remark():
    """A tiny PNG with compressed text in it that unfolds to 100 million letters."""
    start = encoded("PNG", small())
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 10**8, 1))
    return start[:33] + text + start[33:]


def jpeg_that_claims(side):
    """A small JPEG whose header claims a picture of this size."""
    data = bytearray(encoded("JPEG", Image.new("RGB", (8, 8))))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", side, side)
    return bytes(data)


def small(mode="RGB", side=9):
    """A picture with something on it."""
    shape = (side, side, 3) if mode == "RGB" else (side, side)
    return Image.fromarray(np.random.default_rng(side).integers(0, 256, shape, dtype=np.uint8))


def write_images(folder, cells):
    """A data set in the Parquet layout, of these encoded images twice."""
    for name in ("train", "test"):
        column = [{"bytes": data, "path": None} for data in cells]
        pd.DataFrame({"img": column, "label": np.arange(len(cells)) % 2}).to_parquet(folder / f"{name}.parquet")


FRAMES = {"save_all": True, "append_images": [small(side=10).resize((9, 9))]}
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect/></svg>'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png_that_claims(50_000, 50_000), "claims to be huge; expected a square from 8×8 to 1024×1024"),
        (png_that_claims(12_000, 12_000), "is 12000×12000; expected a square from 8×8 to 1024×1024"),
        (png_that_claims(2000, 2000), "is 2000×2000; expected a square"),
        (png_that_claims(2**31 - 1, 1), "claims to be huge; expected a square"),
        (png_that_claims(0, 0), "can't be decoded"),
        (jpeg_that_claims(65_500), "claims to be huge; expected a square"),
        (jpeg_that_claims(2000), "is 2000×2000; expected a square"),
        (encoded("PNG", Image.new("RGB", (9, 12))), "is 9×12; expected a square"),
        (encoded("PNG", Image.new("RGB", (7, 7))), "is 7×7; expected a square"),
        (encoded("PNG", small(side=12)), "is 12×12, and "),
        (encoded("PNG", small("L")), "is grey, and "),
        (encoded("PNG", small(), **FRAMES), "holds 2 pictures; expected one, without animation"),
        (encoded("MPO", small(), **FRAMES), "holds 2 pictures; expected one"),
        (encoded("PNG", Image.fromarray(np.full((9, 9), 60_000, np.uint16))), "mode I;16; expected 8 bits a channel"),
        (png_with_a_long_remark(), "can't be decoded (Decompressed data too large"),
        (encoded("PNG", small())[:-60], "can't be decoded"),
        (encoded("JPEG", small())[:-30], "can't be decoded"),
        (encoded("GIF", small()), "can't be decoded; expected PNG or JPEG"),
        (encoded("WEBP", small()), "can't be decoded; expected PNG or JPEG"),
        (encoded("BMP", small()), "can't be decoded; expected PNG or JPEG"),
        (encoded("TIFF", small()), "can't be decoded; expected PNG or JPEG"),
        (SVG, "can't be decoded; expected PNG or JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "can't be decoded; expected PNG or JPEG"),
        (b"", "can't be decoded; expected PNG or JPEG"),
        (None, "has no image bytes; expected a struct"),
    ],
)
def test_an_image_that_is_not_allowed_is_one_line_with_file_and_row(tmp_path, monkeypatch, data, message):
    if "expected a square" in message:  # refused by its header
        monkeypatch.setattr(Image.Image, "convert", lambda *args: pytest.fail("the image was decoded"))
        first = encoded("PNG", small("L"))
    else:
        first = encoded("PNG", small())
    write_images(tmp_path, [first, data])
    with warnings.catch_warnings(record=True) as warned, pytest.raises(UserError) as caught:
        warnings.simplefilter("always")
        sources.read("parquet", tmp_path, tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'train.parquet'}: ")
    assert "row 1 " in text
    assert message in text
    assert text.isprintable()
    assert "0x" not in text
    assert not warned


def test_pngs_and_jpegs_of_every_kind_of_8_bits_are_read(tmp_path):
    modes = ("RGB", "RGBA", "P", "LA", "1")
    images = [encoded("PNG", small().convert(mode)) for mode in modes]
    images += [encoded("JPEG", small().convert(mode)) for mode in ("RGB", "CMYK")]
    write_images(tmp_path, images)
    read = sources.read("parquet", tmp_path, tmp_path, "rgb")
    assert read.train_images.shape == (7, 9, 9, 3)
    assert np.array_equal(read.train_images[0], read.train_images[1])
    assert "JPEG and PNG, lossy" in read.source


WHOLE = [encoded("PNG", small()), encoded("JPEG", small()), encoded("PNG", small().convert("P"))]


@settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=9))
def test_damaged_images_are_read_or_refused_and_nothing_else(data, changes):
    data = bytearray(data)
    for place, value in changes:
        data[place % len(data)] = value
    try:
        pixels, codec, mode = decode.decode(bytes(data), "train.parquet: image in row 3")
    except UserError as error:
        assert str(error).startswith("train.parquet: image in row 3 ")
        assert str(error).isprintable()
    else:
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] in (1, 3)
        assert codec in decode.FORMATS
        assert mode in decode.GREY | decode.RGB


@pytest.mark.parametrize("name", ["~nobody-of-this-name/data", "~nobody-of-this-name"])
def test_the_home_of_nobody_is_one_line(name):
    with pytest.raises(UserError, match="home of an unknown user"):
        sources.folder(name)
    assert sources.folder("~/data") == Path.home() / "data"


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000, "x\0y"])
def test_folders_that_no_file_system_has_are_one_line(name):
    with pytest.raises(UserError, match="is not a folder"):
        sources.tag("parquet", Path(name))


def test_presets_are_read_without_making_objects_of_them(tmp_path, marker):
    path = tmp_path / "mine.yaml"
    path.write_text(f"preset: !!python/object/apply:os.system ['touch {marker}']")
    with pytest.raises(UserError, match="not valid YAML") as caught:
        load.load(path)
    assert str(caught.value).isprintable()
    assert not marker.exists()
