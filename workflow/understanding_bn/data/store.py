"""The prepared store: one file per data set that every later job reads."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from understanding_bn import files
from understanding_bn.data import sources
from understanding_bn.errors import UserError
from understanding_bn.settings import Channels

SPLITS = ("train", "test", "validation")


@dataclass(frozen=True)
class Store:
    """A prepared data set.

    Attributes:
        images: uint8, (N, H, W, C).
        labels: int64, (N,).
        split: uint8, (N,), the position in SPLITS of each image's split. Nothing is ever fitted to images that are not
            for training.
        info: source, file hashes, classes, per-channel mean and standard deviation of the training images in
            [0, 1], whether mirrored images keep their label (None: unknown), and the SHA-256 of all arrays.
    """

    images: np.ndarray
    labels: np.ndarray
    split: np.ndarray
    info: dict[str, Any]

    def rows(self, split: str) -> np.ndarray:
        """Which images are in a split: bool, (N,)."""
        return self.split == SPLITS.index(split)

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return self.images.shape[3]

    @property
    def classes(self) -> int:
        """The number of classes."""
        return self.info["classes"]


def prepare(
    dataset: str,
    data_dir: Path | None,
    path: Path,
    train: int = 0,
    test: int = 0,
    channels: Channels = "as_found",
    size: int = 0,
    validation: int = 0,
) -> Store:
    """Read a data set, measure its training split, and write the store to `path` (.npz), atomically.

    Stores of the same data that other code has prepared are removed from that folder.

    `train` and `test` are how many images of each split to take, 0: all; `validation` how many of the training images
    are kept from training, to choose by. `channels` converts them to grey or RGB.
    `size` is the side in pixels that they are shrunk to; 0 leaves them as they are.

    Raises:
        UserError: see `sources.read`, `sources.some` and `sources.shrunk`; or the images are all one colour.
    """
    raw = sources.some(sources.read(dataset, data_dir, path.parent / "download", channels), train, test, validation)
    raw = sources.shrunk(raw, size) if size else raw
    parts = [(raw.train_images, raw.train_labels), (raw.test_images, raw.test_labels), *raw.validation]
    images = np.concatenate([pixels for pixels, _ in parts])
    labels = np.concatenate([classes for _, classes in parts])
    split = np.repeat(np.arange(len(parts), dtype=np.uint8), [len(classes) for _, classes in parts])
    mean, std = _channel_statistics(raw.train_images)
    info = {
        "dataset": dataset,
        "tag": sources.tag(dataset, data_dir, train, test, channels, size, validation),
        "source": raw.source,
        "files": sources.checksums(dataset, data_dir),
        "train_images": len(raw.train_labels),
        "test_images": len(raw.test_labels),
        "validation_images": validation,
        "size": list(images.shape[1:]),
        "classes": int(raw.train_labels.max()) + 1,
        "majority_share": float(np.bincount(raw.train_labels).max() / len(raw.train_labels)),
        "channel_mean": mean,
        "channel_std": std,
        "flip": raw.flip,
        "sha256": _content_hash(images, labels, split),
    }
    with files.atomic(path) as temporary:
        np.savez(temporary, images=images, labels=labels, split=split, info=np.array(json.dumps(info)))
    for other in path.parent.glob("store*.npz"):  # of other code
        if other != path:
            other.unlink()
    return Store(images, labels, split, info)


def load(path: Path) -> Store:
    """Read a store that `prepare` wrote, and verify it.

    Raises:
        UserError: the file is missing, damaged, or does not match its own checksum.
    """
    try:
        # Opened here: of a damaged file, NumPy leaves its own handle open.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as data:
            store = Store(data["images"], data["labels"], data["split"], json.loads(str(data["info"])))
        if _content_hash(store.images, store.labels, store.split) == store.info["sha256"]:
            return store
        problem = "its contents do not match its checksum"
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; prepare the data set first") from None
    except Exception as error:  # zipfile, zlib, numpy and json each have their own
        problem = files.first_line(error)
    raise UserError(f"{path}: damaged data store ({problem}); delete it and run again")


def _channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation of each channel of uint8 images, on the scale [0, 1].

    From a histogram of the 256 levels, which is exact and needs no float copy of the images.
    """
    levels = np.arange(256) / 255
    means, stds = [], []
    for channel in range(images.shape[3]):
        share = np.bincount(images[..., channel].ravel(), minlength=256) / images[..., channel].size
        mean = float(share @ levels)
        std = float(np.sqrt(share @ (levels - mean) ** 2))
        if std == 0:
            raise UserError(f"channel {channel} of the training images is constant; expected images with contrast")
        means.append(mean)
        stds.append(std)
    return means, stds


def _content_hash(images: np.ndarray, labels: np.ndarray, split: np.ndarray) -> str:
    """SHA-256 of the arrays: without a validation split the same as before there were any."""
    marks = [split == which for which in range(1, max(2, 1 + split.max(initial=0)))]
    digest = hashlib.sha256()
    for array in (images, labels, *marks):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
