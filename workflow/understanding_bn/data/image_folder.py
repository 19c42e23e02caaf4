"""Images as files in one folder per class, train/CLASS/*.png and test/CLASS/*.png, as in torchvision's ImageFolder."""

import hashlib
from pathlib import Path

import numpy as np

from understanding_bn import files
from understanding_bn.data.decode import decode_all, encoding, shape
from understanding_bn.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg")
SPLITS = ("train", "test")


def read(data_dir: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], str]:
    """Images {split: uint8 (N, H, W, C)}, labels {split: int64 (N,)}, numbering classes by name; and the source.

    Raises:
        UserError: a split is empty, has other classes or sizes, or holds a file that is not an image.
    """
    images, labels, codecs = {}, {}, set()
    classes = [path.name for path in _classes(data_dir / "train")]
    for split in SPLITS:
        split_classes = {path.name for path in _classes(data_dir / split)}
        if other := split_classes - set(classes):
            raise UserError(f"{data_dir / split}: has a class {min(other)!r}, which {data_dir / 'train'} does not have")
        listed = [(path, classes.index(path.parent.name)) for path in _images(data_dir / split)]
        encoded = ((_bytes(path), str(path)) for path, _ in listed)
        images[split], split_codecs = decode_all(encoded, len(listed))
        labels[split] = np.array([label for _, label in listed], dtype=np.int64)
        codecs |= split_codecs
    if images["train"].shape[1:] != images["test"].shape[1:]:
        raise UserError(
            f"{data_dir / 'test'}: images are {shape(images['test'])}, those of train {shape(images['train'])}; "
            "all must have one size and one number of channels"
        )
    return images, labels, f"image files ({encoding(codecs)}, {len(classes)} classes)"


def listing(data_dir: Path) -> bytes:
    """Every image's path and size: enough to tell such data sets apart without reading the images.

    Raises:
        UserError: there are no images.
    """
    lines = [
        f"{path.relative_to(data_dir).as_posix()} {path.stat().st_size}\n"
        for split in SPLITS
        for path in _images(data_dir / split)
    ]
    return "".join(lines).encode(errors="surrogateescape")


def checksums(data_dir: Path) -> dict[str, str]:
    """A SHA-256 for each split, over every image's path and SHA-256."""
    digests = {}
    for split in SPLITS:
        digest = hashlib.sha256()
        for path in _images(data_dir / split):
            line = f"{path.relative_to(data_dir).as_posix()} {files.sha256(path)}\n"
            digest.update(line.encode(errors="surrogateescape"))
        digests[split] = digest.hexdigest()
    return digests


def _classes(split: Path) -> list[Path]:
    """The folders of the classes, by name."""
    paths = split.iterdir() if split.is_dir() else ()
    folders = sorted(path for path in paths if path.is_dir() and path.name[0] != ".")
    if not folders:
        raise UserError(f"{split}: holds no folder; expected one for each class, with its images in it")
    return folders


def _images(split: Path) -> list[Path]:
    """The images of all classes, by name. Hidden files do not count."""
    paths = [path for folder in _classes(split) for path in sorted(folder.iterdir()) if path.name[0] != "."]
    for path in paths:
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            raise UserError(f"{path}: not an image; expected files that end in {', '.join(SUFFIXES)}")
    if not paths:
        raise UserError(f"{split}: holds no image; expected files that end in {', '.join(SUFFIXES)}")
    return paths


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read ({files.first_line(error)})") from None
