"""Images as files in a folder per class: train/CLASS/*.png beside test/CLASS/*.png, torchvision's ImageFolder."""

import hashlib
from pathlib import Path

import numpy as np

from understanding_bn import files
from understanding_bn.data.decode import decode_all, encoding, shape
from understanding_bn.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg")
SPLITS = ("train", "test")


def read(data_dir: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], str]:
    """Images {split: uint8 (N, H, W, C)}, labels {split: int64 (N,)}, classes in their names' order; and a source.

    Raises:
        UserError: a split has other classes, other sizes, a file that is no image, or nothing.
    """
    images, labels, codecs = {}, {}, set()
    classes = [path.name for path in _classes(data_dir / "train")]
    for split in SPLITS:
        here = [path.name for path in _classes(data_dir / split)]
        if other := set(here) - set(classes):
            raise UserError(f"{data_dir / split}: has a class {min(other)!r}, which {data_dir / 'train'} has not")
        listed = [(path, classes.index(path.parent.name)) for path in _images(data_dir / split)]
        encoded = ((_bytes(path), str(path)) for path, _ in listed)
        images[split], found = decode_all(encoded, len(listed))
        labels[split] = np.array([label for _, label in listed], dtype=np.int64)
        codecs |= found
    if images["train"].shape[1:] != images["test"].shape[1:]:
        raise UserError(
            f"{data_dir / 'test'}: images are {shape(images['test'])}, those of train {shape(images['train'])}; "
            "all must have one size and one number of channels"
        )
    return images, labels, f"image files ({encoding(codecs)}, {len(classes)} classes)"


def listing(data_dir: Path) -> bytes:
    """What tells one such data set from another without reading it: every image's place and size.

    Raises:
        UserError: there is none.
    """
    lines = [
        f"{path.relative_to(data_dir).as_posix()} {path.stat().st_size}\n"
        for split in SPLITS
        for path in _images(data_dir / split)
    ]
    return "".join(lines).encode(errors="surrogateescape")


def checksums(data_dir: Path) -> dict[str, str]:
    """A SHA-256 for each split, over every image's place and SHA-256."""
    found = {}
    for split in SPLITS:
        digest = hashlib.sha256()
        for path in _images(data_dir / split):
            line = f"{path.relative_to(data_dir).as_posix()} {files.sha256(path)}\n"
            digest.update(line.encode(errors="surrogateescape"))
        found[split] = digest.hexdigest()
    return found


def _classes(split: Path) -> list[Path]:
    """The folders of the classes, by name."""
    found = sorted(path for path in split.iterdir() if path.is_dir() and path.name[0] != ".") if split.is_dir() else []
    if not found:
        raise UserError(f"{split}: holds no folder; expected one for each class, with its images in it")
    return found


def _images(split: Path) -> list[Path]:
    """The images of all classes, by name. Hidden files are none."""
    found = [path for folder in _classes(split) for path in sorted(folder.iterdir()) if path.name[0] != "."]
    for path in found:
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            raise UserError(f"{path}: not an image; expected files that end in {', '.join(SUFFIXES)}")
    if not found:
        raise UserError(f"{split}: holds no image; expected files that end in {', '.join(SUFFIXES)}")
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({files.first_line(error)})") from None
