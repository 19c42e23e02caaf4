"""Where images come from. Each function reads one kind of source into the same raw form.

To add a data set, prefer Parquet files or a folder of images, which need no code; otherwise write one function here
that returns an `Images` and add a line to `read`.
"""

import hashlib
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from understanding_bn.data import image_folder
from understanding_bn.data.decode import decode_all, encoding, shape
from understanding_bn.errors import UserError
from understanding_bn.files import first_line, sha256

ATTEMPTS = 3
PAUSE = 5.0  # seconds after the first failed download; twice that after the second
DOWNLOAD_TIMEOUT = 60.0  # seconds of silence


@dataclass(frozen=True)
class Images:
    """A data set as read: uint8 images (N, H, W, C), int64 labels (N,), and where it came from."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    source: str
    flip: bool | None  # whether a mirrored image keeps its label; None if only the user can know


def read(dataset: str, data_dir: Path | None, download_dir: Path) -> Images:
    """Read `dataset` (digits, cifar10, parquet or folder), from `data_dir` where it is given.

    Raises:
        UserError: the data is missing, damaged or not what the data set's name says.
    """
    if dataset == "digits":
        return digits()
    files = find(dataset, data_dir)
    if dataset == "folder" and data_dir is not None:
        pictures, labels, source = image_folder.read(data_dir)
        return Images(pictures["train"], labels["train"], pictures["test"], labels["test"], source, flip=None)
    if files and files[0].suffix == ".parquet":
        images = parquet(files[0], files[1])
        if dataset == "cifar10":
            _must_be_cifar10(images, files[0])
            return replace(images, source=f"CIFAR-10 from {images.source}", flip=True)
        return images
    return cifar10(data_dir, download_dir)


def folder(data_dir: str) -> Path:
    """The folder that a config names, with `~` expanded.

    Raises:
        UserError: it is in the home of a user that does not exist.
    """
    try:
        return Path(data_dir).expanduser()
    except RuntimeError:
        raise UserError(f"data_dir: {data_dir!r} is in the home of an unknown user; give the folder's path") from None


def find(dataset: str, data_dir: Path | None) -> list[Path]:
    """The files that `read` will open: none for digits or a download, else those recognised in `data_dir`.

    Raises:
        UserError: `data_dir` is needed and not given, or does not hold the data set in a known layout.
    """
    if dataset == "digits":
        if data_dir is not None:
            raise UserError(
                f"data_dir: {str(data_dir)!r} is given, but dataset 'digits' is embedded; "
                "set dataset=cifar10, dataset=parquet or dataset=folder as well, or leave data_dir out"
            )
        return []
    if data_dir is None:
        if dataset == "parquet":
            raise UserError("data_dir: missing; dataset 'parquet' needs the folder of train.parquet and test.parquet")
        if dataset == "folder":
            raise UserError("data_dir: missing; dataset 'folder' needs the folder of train/CLASS/ and test/CLASS/")
        return []
    if not _is_folder(data_dir):
        raise UserError(f"data_dir: {str(data_dir)!r} is not a folder; give the folder that holds the data set")
    if dataset == "folder":
        return [data_dir / split for split in image_folder.SPLITS]
    pair = [data_dir / "train.parquet", data_dir / "test.parquet"]
    present = [file for file in pair if file.is_file()]
    if len(present) == 2:
        return pair
    if len(present) == 1:
        missing = (set(pair) - set(present)).pop()
        raise UserError(f"data_dir: {missing} is missing next to {present[0].name}; both files are needed")
    batches = [data_dir / "cifar-10-batches-py" / f"data_batch_{i}" for i in range(1, 6)]
    batches.append(data_dir / "cifar-10-batches-py" / "test_batch")
    if dataset == "cifar10" and all(file.is_file() for file in batches):
        return batches
    layouts = "train.parquet and test.parquet" + (", or cifar-10-batches-py/" if dataset == "cifar10" else "")
    raise UserError(f"data_dir: {str(data_dir)!r} holds no {dataset} data; expected {layouts} in it")


def _is_folder(path: Path) -> bool:
    """Whether there is such a folder; for an impossible path there is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def tag(dataset: str, data_dir: Path | None, train: int = 0, test: int = 0) -> str:
    """A short name for exactly this data set, for use in paths. It does not depend on where the files are.

    For Parquet files it includes eight hex digits of a hash of their sizes, first and last 64 KiB (the footer holds
    row counts and checksummed column statistics); for a folder of images, of a hash of their paths and sizes.
    torchvision's CIFAR-10 is one known data set and needs none. A subset adds its numbers of `train` and `test` images.
    """
    limits = "".join(f"-{name}{count}" for name, count in (("train", train), ("test", test)) if count)
    return _whole_tag(dataset, data_dir) + limits


def _whole_tag(dataset: str, data_dir: Path | None) -> str:
    """The name of the data set without regard to a subset."""
    files = find(dataset, data_dir)
    if dataset == "folder" and data_dir is not None:
        return f"{dataset}-{hashlib.sha256(image_folder.listing(data_dir)).hexdigest()[:8]}"
    if not files or files[0].suffix != ".parquet":
        return dataset
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        with file.open("rb") as handle:
            digest.update(f"{file.name} {size} ".encode() + handle.read(1 << 16))
            handle.seek(max(0, size - (1 << 16)))
            digest.update(handle.read())
    return f"{dataset}-{digest.hexdigest()[:8]}"


def checksums(dataset: str, data_dir: Path | None) -> dict[str, str]:
    """The SHA-256 of every file that a data set was read from; of a folder of images, one for each split."""
    if dataset == "folder" and data_dir is not None:
        return image_folder.checksums(data_dir)
    return {file.name: sha256(file) for file in find(dataset, data_dir)}


def some(images: Images, train: int, test: int) -> Images:
    """A subset of `train` and `test` images (0: all of that split), in their order, and a source that says so.

    Every class keeps its share, to within one image. The draw depends on the labels alone, so all seeds and machines
    have the same images.

    Raises:
        UserError: there are fewer images than that.
    """
    splits = {"train": (images.train_images, images.train_labels), "test": (images.test_images, images.test_labels)}
    notes = []
    for name, wanted in (("train", train), ("test", test)):
        pixels, labels = splits[name]
        if not wanted:
            continue
        if wanted > len(labels):
            raise UserError(
                f"config key subset.{name}: {wanted} is more than there are, expected at most {len(labels)}"
            )
        rows = np.sort(_shuffled_by_class(labels)[(np.arange(wanted) * len(labels)) // wanted])
        splits[name] = pixels[rows], labels[rows]
        notes.append(f"{wanted} of {len(labels)} {'training' if name == 'train' else 'test'} images")
    source = f"{images.source}, a subset: {', '.join(notes)}" if notes else images.source
    return replace(
        images,
        train_images=splits["train"][0],
        train_labels=splits["train"][1],
        test_images=splits["test"][0],
        test_labels=splits["test"][1],
        source=source,
    )


def _shuffled_by_class(labels: np.ndarray) -> np.ndarray:
    """Row numbers class by class, shuffled once within each: evenly spaced ones have the same share of every class."""
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(labels))
    return order[np.argsort(labels[order], kind="stable")]


def digits() -> Images:
    """scikit-learn's 1,797 handwritten digits, 8×8 grey, 16 levels: 1,437 to train on, 360 to test on.

    They come with the package, so nothing is downloaded. The split is drawn once, with the same share of every class.
    A mirrored digit is a different character, so flips are off.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images * 15).astype(np.uint8)[..., None]
    labels = data.target.astype(np.int64)
    order = _shuffled_by_class(labels)
    test = np.zeros(len(labels), dtype=bool)
    test[order[::5]] = True
    return Images(
        images[~test], labels[~test], images[test], labels[test], "scikit-learn digits (embedded)", flip=False
    )


def cifar10(data_dir: Path | None, download_dir: Path) -> Images:
    """The loss-free CIFAR-10 in torchvision's layout, verified by its checksums; downloaded if `data_dir` is None."""
    from torchvision.datasets import CIFAR10

    where = data_dir or download_dir
    try:
        if data_dir is None:
            _download(lambda: CIFAR10(where, download=True))
        train = CIFAR10(where, train=True, download=False)
        test = CIFAR10(where, train=False, download=False)
    except Exception as error:
        expected = "give data_dir=FOLDER with CIFAR-10 in it" if data_dir is None else "fetch it again"
        raise UserError(f"CIFAR-10 in {where}: {first_line(error)}; {expected}") from None
    return Images(
        train.data,
        np.asarray(train.targets, dtype=np.int64),
        test.data,
        np.asarray(test.targets, dtype=np.int64),
        "CIFAR-10 (torchvision's files, loss-free)",
        flip=True,
    )


def _download(fetch: Callable[[], object]) -> None:
    """Call `fetch`, which verifies checksums itself, up to ATTEMPTS times, with growing pauses.

    A partial download is never used: it does not match its checksum and is fetched again.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)  # torchvision sets none and would wait forever for a silent server
    try:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                fetch()
                return
            except Exception as error:  # urllib, tarfile and torchvision each have their own
                if attempt == ATTEMPTS:
                    raise
                pause = PAUSE * attempt
                print(
                    f"download failed ({first_line(error)}); trying again in {pause:g} s, {attempt} of {ATTEMPTS}",
                    file=sys.stderr,
                )
                time.sleep(pause)
    finally:
        socket.setdefaulttimeout(before)


def parquet(train: Path, test: Path) -> Images:
    """Any image data set in the common Parquet layout: `img` or `image` (struct of `bytes`, `path`) and `label`."""
    train_images, train_labels, train_codecs = _read_parquet(train)
    test_images, test_labels, test_codecs = _read_parquet(test)
    if train_images.shape[1:] != test_images.shape[1:]:
        raise UserError(
            f"{test}: images are {shape(test_images)}, those of {train.name} {shape(train_images)}; "
            "all must have one size and one number of channels"
        )
    source = f"Parquet files ({encoding(train_codecs | test_codecs)}: {train.name}, {test.name})"
    return Images(train_images, train_labels, test_images, test_labels, source, flip=None)


def _read_parquet(path: Path) -> tuple[np.ndarray, np.ndarray, set[str]]:
    """The images (N, H, W, C) uint8, labels (N,) int64 and image formats of one Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable Parquet file ({first_line(error)}); fetch it again") from None
    column = next((name for name in ("img", "image") if name in table.column_names), None)
    if column is None or "label" not in table.column_names:
        raise UserError(f"{path}: columns are {table.column_names}; expected 'img' or 'image', and 'label'")
    if len(table) == 0:
        raise UserError(f"{path}: holds no rows; expected at least one image")
    try:
        labels = table["label"].cast(pa.int64()).to_numpy()
    except (pa.ArrowException, ValueError):
        raise UserError(f"{path}: column 'label' is {table['label'].type}; expected whole numbers") from None
    if table["label"].null_count or labels.min() < 0:
        raise UserError(f"{path}: column 'label' has negative or missing values; expected 0, 1, 2, …")

    cells = enumerate(table[column])
    encoded = ((_bytes(cell.as_py(), path, row), f"{path}: image in row {row}") for row, cell in cells)
    images, codecs = decode_all(encoded, len(table))
    return images, labels, codecs


def _bytes(cell: object, path: Path, row: int) -> bytes:
    """The encoded image in a row of a Parquet file."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes):
        raise UserError(f"{path}: row {row} has no image bytes; expected a struct with 'bytes', or bytes")
    return data


def _must_be_cifar10(images: Images, path: Path) -> None:
    """Refuse other data under CIFAR-10's name."""
    size, classes = images.train_images.shape[1:], int(images.train_labels.max()) + 1
    if size != (32, 32, 3) or classes != 10:
        raise UserError(
            f"{path}: images are {shape(images.train_images)} in {classes} classes, which is not CIFAR-10 "
            "(32×32 RGB, 10 classes); use dataset=parquet for other data"
        )
