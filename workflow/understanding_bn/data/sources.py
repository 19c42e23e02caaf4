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

from understanding_bn.data import image_folder, parquet
from understanding_bn.data.decode import shape
from understanding_bn.data.folders import entries
from understanding_bn.errors import UserError
from understanding_bn.files import first_line, sha256
from understanding_bn.settings import Channels

ATTEMPTS = 3
PAUSE = 5.0  # seconds after the first failed download; twice that after the second
DOWNLOAD_TIMEOUT = 60.0  # seconds of silence
BATCHES = "cifar-10-batches-py"  # torchvision's folder
AGAIN = "fetch CIFAR-10 again, or leave data_dir out to have it downloaded"


@dataclass(frozen=True)
class Images:
    """A data set as read: uint8 images (N, H, W, C), int64 labels (N,), and where it came from.

    `validation` is empty, or has the images and labels of a validation split.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    source: str
    flip: bool | None  # whether a mirrored image keeps its label; None if only the user can know
    validation: tuple[tuple[np.ndarray, np.ndarray], ...] = ()


def read(dataset: str, data_dir: Path | None, download_dir: Path, channels: Channels = "as_found") -> Images:
    """Read `dataset` (digits, cifar10, parquet or folder), from `data_dir` where it is given.

    `channels` converts the images of a data set of the user's own to grey or RGB.

    Raises:
        UserError: the data is missing, damaged or not what the data set's name says.
    """
    if dataset == "digits":
        return digits()
    find(dataset, data_dir)
    if data_dir is not None and dataset == "folder":
        return _images(*image_folder.read(data_dir, channels))
    if data_dir is not None and parquet.find(data_dir):
        images = _images(*parquet.read(data_dir, channels))
        if dataset == "cifar10":
            _must_be_cifar10(images, data_dir)
            return replace(images, source=f"CIFAR-10 from {images.source}", flip=True)
        return images
    return cifar10(data_dir, download_dir)


def _images(pictures: dict[str, np.ndarray], labels: dict[str, np.ndarray], source: str) -> Images:
    """A data set of the user's own: only they know whether a mirrored image keeps its label."""
    return Images(pictures["train"], labels["train"], pictures["test"], labels["test"], source, flip=None)


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
    if shards := parquet.find(data_dir):
        return [file for files in shards.values() for file in files]
    if dataset == "cifar10" and (data_dir / BATCHES).exists():
        return _batches(data_dir)
    layouts = "train.parquet and test.parquet, or their shards" + (f", or {BATCHES}/" if dataset == "cifar10" else "")
    raise UserError(f"data_dir: {str(data_dir)!r} holds no {dataset} data; expected {layouts} in it{_nearby(data_dir)}")


def _batches(data_dir: Path) -> list[Path]:
    """torchvision's files of CIFAR-10."""
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for name in (*names, "batches.meta"):
        if not (data_dir / BATCHES / name).is_file():
            raise UserError(f"data_dir: {data_dir / BATCHES / name} is missing; {AGAIN}")
    return [data_dir / BATCHES / name for name in names]


def _nearby(data_dir: Path) -> str:
    """A hint where the data stand in a folder below or above, or are packed."""
    if (data_dir / "data_batch_1").is_file():
        return f"; give the folder that holds {BATCHES}, data_dir={data_dir.resolve().parent}"
    if packed := sorted(data_dir.glob("cifar-10-python*.tar.gz")):
        return f"; unpack {packed[0].name}"
    for below in sorted(path for path in entries(data_dir) if path.is_dir()):
        if parquet.find(below):
            return f"; give data_dir={below}"
    return ""


def _is_folder(path: Path) -> bool:
    """Whether there is such a folder; for an impossible path there is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def tag(
    dataset: str,
    data_dir: Path | None,
    train: int = 0,
    test: int = 0,
    channels: Channels = "as_found",
    size: int = 0,
    validation: int = 0,
) -> str:
    """A short name for exactly this data set, for use in paths. It does not depend on where the files are.

    For Parquet files it includes eight hex digits of a hash of their sizes, first and last 64 KiB (the footer holds
    row counts and checksummed column statistics); for a folder of images, of a hash of their paths and sizes.
    torchvision's CIFAR-10 is one known data set and needs none. Images that are converted or shrunk, and a subset of
    `train` and `test` images and a validation split have it in their name.
    """
    counts = {"train": train, "test": test, "validation": validation}
    limits = "".join(f"-{name}{count}" for name, count in counts.items() if count)
    try:
        whole = _whole_tag(dataset, data_dir)
    except OSError as error:
        raise UserError(
            f"{error.filename or data_dir}: can't be read ({error.strerror}); expected the data set"
        ) from None
    return whole + ("" if channels == "as_found" else f"-{channels}") + (f"-{size}px" if size else "") + limits


def _whole_tag(dataset: str, data_dir: Path | None) -> str:
    """The name of the data set without regard to a subset."""
    find(dataset, data_dir)
    if data_dir is not None and dataset == "folder":
        return f"{dataset}-{hashlib.sha256(image_folder.listing(data_dir)).hexdigest()[:8]}"
    if data_dir is not None and parquet.find(data_dir):
        return f"{dataset}-{parquet.digest(data_dir)[:8]}"
    return dataset


def checksums(dataset: str, data_dir: Path | None) -> dict[str, str]:
    """The SHA-256 of every file that a data set was read from; of a folder of images, one for each split."""
    if data_dir is not None and dataset == "folder":
        return image_folder.checksums(data_dir)
    if data_dir is not None and parquet.find(data_dir):
        return parquet.checksums(data_dir)
    return {file.name: sha256(file) for file in find(dataset, data_dir)}


def some(images: Images, train: int, test: int, validation: int = 0) -> Images:
    """A subset of `train` and `test` images (0: all of that split), in their order, and a source that says so.

    `validation` images more are taken from the training images; with `train` = 0 the others are for training. Every
    class keeps its share in each part, to within one image. The draw depends on the labels alone, so all seeds and
    machines have the same images. A subset for training is the same with a validation split and without.

    Raises:
        UserError: there are fewer images than that, or a class would be left without one.
    """
    labels = images.train_labels
    notes = []
    rows = _drawn("subset.train", labels, train) if train else np.arange(len(labels))
    held_out: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    if validation:
        others = np.setdiff1d(np.arange(len(labels)), rows) if train else rows
        chosen = others[_drawn("subset.validation", labels[others], validation)]
        if not train:
            rows = np.setdiff1d(rows, chosen)
            if lost := len(np.unique(labels)) - len(np.unique(labels[rows])):
                text = f"{validation} of {len(labels)} images leave {lost} classes without one for training"
                raise UserError(f"config key subset.validation: {text}; expected fewer")
        held_out = ((images.train_images[chosen], labels[chosen]),)
    if train or validation:
        notes.append(f"{len(rows)} of {len(labels)} training images")
    if validation:
        notes.append(f"{validation} others of these for validation")
    tested = _drawn("subset.test", images.test_labels, test) if test else np.arange(len(images.test_labels))
    if test:
        notes.append(f"{test} of {len(images.test_labels)} test images")
    return replace(
        images,
        train_images=images.train_images[rows],
        train_labels=labels[rows],
        test_images=images.test_images[tested],
        test_labels=images.test_labels[tested],
        source=f"{images.source}, a subset: {', '.join(notes)}" if notes else images.source,
        validation=held_out,
    )


def _drawn(key: str, labels: np.ndarray, wanted: int) -> np.ndarray:
    """The rows of a subset in ascending order, in which every class keeps its share.

    Raises:
        UserError: there are fewer images than that, or a class would be left without one.
    """
    if wanted > len(labels):
        raise UserError(f"config key {key}: {wanted} is more than there are, expected at most {len(labels)}")
    rows = np.sort(_shuffled_by_class(labels)[(np.arange(wanted) * len(labels)) // wanted])
    classes, sizes = np.unique(labels, return_counts=True)
    if left_out := len(classes) - len(np.unique(labels[rows])):
        otherwise = "none" if key == "subset.validation" else "all"
        raise UserError(
            f"config key {key}: {wanted} of {len(labels)} images leave {left_out} of {len(classes)} classes without "
            f"one; expected at least {-(-len(labels) // sizes.min())}, or 0 for {otherwise}"
        )
    return rows


def shrunk(images: Images, size: int) -> Images:
    """The images with a side of `size` pixels, each pixel the rounded mean of a square of theirs.

    Raises:
        UserError: they are not square, or `size` does not divide their side.
    """
    height, width = images.train_images.shape[1:3]
    if height != width or height % size:
        raise UserError(
            f"config key image_size: {size} does not divide {height}×{width}, the size of these images; "
            "expected a side that does, or 0 to leave them"
        )
    return replace(
        images,
        train_images=_area_means(images.train_images, size),
        test_images=_area_means(images.test_images, size),
        validation=tuple((_area_means(pixels, size), labels) for pixels, labels in images.validation),
        source=f"{images.source}, shrunk to {size}×{size} by area averages",
    )


def _area_means(pixels: np.ndarray, size: int) -> np.ndarray:
    """(N, H, H, C) uint8 → (N, size, size, C) uint8: means over squares, halves rounded up. Exact, in whole numbers."""
    count, height, _, channels = pixels.shape
    side = height // size
    squares = pixels.reshape(count, size, side, size, side, channels)
    sums = squares.sum((2, 4), dtype=np.uint32)
    return ((2 * sums + side**2) // (2 * side**2)).astype(np.uint8)


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
        if data_dir is None:
            expected = "give data_dir=FOLDER with CIFAR-10 in it"
            raise UserError(f"CIFAR-10 in {where}: {first_line(error)}; {expected}") from None
        sums = [*CIFAR10.train_list, *CIFAR10.test_list, [CIFAR10.meta["filename"], CIFAR10.meta["md5"]]]
        damaged = _damaged(where, sums)
        raise UserError(f"data_dir: {damaged or f'{where} ({first_line(error)})'}; {AGAIN}") from None
    return Images(
        train.data,
        np.asarray(train.targets, dtype=np.int64),
        test.data,
        np.asarray(test.targets, dtype=np.int64),
        "CIFAR-10 (torchvision's files, loss-free)",
        flip=True,
    )


def _damaged(where: Path, sums: list[list[str]]) -> str | None:
    """The first of torchvision's files, each [name, MD5], that is not what it should be."""
    for name, md5 in sums:
        with (where / BATCHES / name).open("rb") as handle:
            if hashlib.file_digest(handle, "md5").hexdigest() != md5:
                return f"{where / BATCHES / name} is damaged, or not of CIFAR-10 (its MD5 is not {md5})"
    return None


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


def _must_be_cifar10(images: Images, path: Path) -> None:
    """Refuse other data under CIFAR-10's name."""
    size, classes = images.train_images.shape[1:], int(images.train_labels.max()) + 1
    if size != (32, 32, 3) or classes != 10:
        raise UserError(
            f"data_dir: images in {path} are {shape(images.train_images)} in {classes} classes, which is not CIFAR-10 "
            "(32×32 RGB, 10 classes); use dataset=parquet for other data"
        )
