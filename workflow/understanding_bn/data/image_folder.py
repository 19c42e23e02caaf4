"""Images as files in one folder per class, train/CLASS/*.png and test/CLASS/*.png, as in torchvision's ImageFolder."""

import hashlib
from pathlib import Path

import numpy as np

from understanding_bn import files
from understanding_bn.data.decode import about, decode_all, must_be_alike
from understanding_bn.data.folders import entries
from understanding_bn.errors import UserError
from understanding_bn.settings import Channels

SUFFIXES = (".png", ".jpg", ".jpeg")
EXPECTED = f"files that end in {', '.join(SUFFIXES)}"
SPLITS = ("train", "test")


def read(data_dir: Path, channels: Channels = "as_found") -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], str]:
    """Images {split: uint8 (N, H, W, C)}, labels {split: int64 (N,)}, numbering classes by name; and the source.

    Raises:
        UserError: see `_images`; or images have different sizes, or some are grey and others RGB.
    """
    pictures, labels = {}, {}
    for split, by_class in _images(data_dir).items():
        listed = [(path, label) for label, paths in enumerate(by_class.values()) for path in paths]
        encoded = ((_bytes(path), str(path)) for path, _ in listed)
        pictures[split] = decode_all(encoded, len(listed), channels)
        labels[split] = np.array([label for _, label in listed], dtype=np.int64)
    train, test = pictures.values()
    must_be_alike(test.images.shape[1:], test.first, train.images.shape[1:], train.first)
    source = f"image files ({about(train, test)}, {labels['train'].max() + 1} classes)"
    return {split: read.images for split, read in pictures.items()}, labels, source


def listing(data_dir: Path) -> bytes:
    """Every image's path and size: enough to tell such data sets apart without reading the images.

    Raises:
        UserError: see `_images`.
    """
    lines = [f"{_place(path, data_dir)} {path.stat().st_size}\n" for path in _in_order(data_dir)]
    return "".join(lines).encode(errors="surrogateescape")


def checksums(data_dir: Path) -> dict[str, str]:
    """A SHA-256 for each split, over every image's path and SHA-256."""
    digests = {split: hashlib.sha256() for split in SPLITS}
    for path in _in_order(data_dir):
        line = f"{_place(path, data_dir)} {files.sha256(path)}\n"
        digests[path.relative_to(data_dir).parts[0]].update(line.encode(errors="surrogateescape"))
    return {split: digest.hexdigest() for split, digest in digests.items()}


def _place(path: Path, data_dir: Path) -> str:
    return path.relative_to(data_dir).as_posix()


def _in_order(data_dir: Path) -> list[Path]:
    """All images, by split, class and name."""
    return [path for by_class in _images(data_dir).values() for paths in by_class.values() for path in paths]


def _images(data_dir: Path) -> dict[str, dict[str, list[Path]]]:
    """The images by split and class, all by name. What `folders.entries` leaves out does not count.

    Raises:
        UserError: a split is missing or has other classes, a class has no image, or something else lies among them.
    """
    images = {split: {folder.name: _of_class(folder) for folder in _classes(data_dir / split)} for split in SPLITS}
    for split, other in (SPLITS, SPLITS[::-1]):
        if lonely := sorted(set(images[split]) - set(images[other])):
            raise UserError(
                f"{data_dir / other}: has no folder for class {lonely[0]!r}, which {data_dir / split} has; "
                "expected the same classes in both"
            )
    if len(images["train"]) == 1:
        raise UserError(f"{data_dir / 'train'}: holds one class, {min(images['train'])!r}; expected at least two")
    return images


def _classes(split: Path) -> list[Path]:
    """The folders of the classes, by name."""
    folders = entries(split) if split.is_dir() else []
    for path in folders:
        if not path.is_dir():
            raise UserError(f"{path}: not a folder; expected in {split} a folder for each class, and nothing else")
    if not folders:
        raise UserError(f"{split}: holds no folder; expected one for each class, with its images in it")
    return folders


def _of_class(folder: Path) -> list[Path]:
    """The images of a class, by name."""
    paths = entries(folder)
    for path in paths:
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            raise UserError(f"{path}: not an image; expected {EXPECTED}")
    if not paths:
        raise UserError(f"{folder}: class {folder.name!r} has no image; expected {EXPECTED}, or no such folder")
    return paths


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({files.first_line(error)})") from None
