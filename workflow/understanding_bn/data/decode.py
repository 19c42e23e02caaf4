"""Decoding of the user's images, which nobody has checked, with limits on size and kind."""

import io
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from understanding_bn.errors import UserError
from understanding_bn.files import first_line
from understanding_bn.settings import Channels

LARGEST_SIDE = 1024
SMALLEST_SIDE = 8
ALLOWED_SIZE = f"a square from {SMALLEST_SIDE}×{SMALLEST_SIDE} to {LARGEST_SIDE}×{LARGEST_SIDE}"
FORMATS = ("PNG", "JPEG")  # Pillow knows dozens more; none of their decoders is ever run
LOSSY = {"JPEG"}
# Pillow's modes of at most 8 bits a channel, and how an image of that mode is read, in words where that changes it.
GREY = {"1": "1 bit as grey", "L": "", "LA": "alpha dropped"}
RGB = {"RGB": "", "RGBA": "alpha dropped", "P": "palette as RGB", "PA": "palette as RGB, alpha dropped"}
RGB |= {"CMYK": "CMYK as RGB", "YCbCr": ""}
COLOURS = {1: "grey", 3: "RGB"}  # by the number of channels
WANTED = {"grey": 1, "rgb": 3}  # by the config's `channels`
LUMA = np.array([19595, 38470, 7471], dtype=np.uint32)  # of RGB, ITU-R 601-2 as Pillow has it: 0.299, 0.587, 0.114


@dataclass(frozen=True)
class Pictures:
    """Decoded images.

    Attributes:
        images: uint8 (N, H, W, C), C = 1 (grey) or 3 (RGB).
        codecs: their formats.
        changes: how many of them were changed in reading, by what was done.
        first: the name of the first.
    """

    images: np.ndarray
    codecs: set[str]
    changes: Counter[str]
    first: str


def decode(data: bytes, where: str) -> tuple[np.ndarray, str, str]:
    """One encoded image → uint8 (H, W, C), square, of an allowed size, C = 1 or 3; its format; Pillow's mode of it.

    Grey stays grey, with or without alpha and also of 1 bit; everything else is RGB. Alpha is dropped: colours stay as
    they are stored.

    Raises:
        UserError: it is anything else; the message begins with `where`.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        # Pillow warns about images that are refused below.
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _must_be_allowed(image, where)
            as_read = "L" if image.mode in GREY else "RGB"
            pixels = np.asarray(image if image.mode == as_read else image.convert(as_read))
            codec, mode = image.format or "unknown", image.mode
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(f"{where} can't be decoded; expected {' or '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise UserError(f"{where} claims to be huge; expected {ALLOWED_SIZE}") from None
    except Exception as error:  # Pillow's decoders raise all kinds of errors on damaged bytes
        raise UserError(f"{where} can't be decoded ({first_line(error)}); expected a whole image") from None
    return pixels if pixels.ndim == 3 else pixels[..., None], codec, mode


def _must_be_allowed(image: Any, where: str) -> None:
    """Refuse an image by its header, before it is decoded: a small file can claim a huge picture."""
    width, height = image.size
    if width != height or not SMALLEST_SIDE <= width <= LARGEST_SIDE:
        raise UserError(f"{where} is {width}×{height}; expected {ALLOWED_SIZE}")
    if getattr(image, "n_frames", 1) != 1:
        raise UserError(f"{where} holds {image.n_frames} pictures; expected one, without animation")
    if image.mode not in GREY | RGB:
        raise UserError(f"{where} has pixels of mode {image.mode}; expected 8 bits a channel")


def decode_all(encoded: Iterable[tuple[bytes, str]], count: int, channels: Channels = "as_found") -> Pictures:
    """`count` encoded images, each with its name for errors, as one array.

    `channels` converts them to grey or RGB; as_found leaves that to the images, which must then be all alike.

    Raises:
        UserError: see `decode`; or they have different sizes, or some are grey and others RGB.
    """
    codecs: set[str] = set()
    changes: Counter[str] = Counter()
    images, first = np.empty(0, dtype=np.uint8), ""
    for position, (data, where) in enumerate(encoded):
        image, codec, mode = decode(data, where)
        found: int = image.shape[2]
        wanted = found if channels == "as_found" else WANTED[channels]
        image = with_channels(image, wanted)
        if position == 0:
            images, first = np.empty((count, *image.shape), dtype=np.uint8), where
        must_be_alike(image.shape, where, images.shape[1:], first)
        images[position] = image
        codecs.add(codec)
        steps = [(GREY | RGB)[mode], f"{COLOURS[found]} as {COLOURS[wanted]}" if found != wanted else ""]
        if change := ", ".join(filter(None, steps)):
            changes[change] += 1
    return Pictures(images, codecs, changes, first)


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """An image (…, C) as grey or RGB: grey is repeated, RGB is weighted by luma and rounded, as Pillow does."""
    if image.shape[-1] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=-1)
    return ((image @ LUMA + 0x8000) >> 16).astype(np.uint8)[..., None]


def must_be_alike(shape: tuple[int, ...], where: str, other: tuple[int, ...], first: str) -> None:
    """Refuse images (H, W, C) of different sizes, or of which some are grey and others RGB."""
    if shape[:2] != other[:2]:
        size, expected = f"{shape[1]}×{shape[0]}", f"{other[1]}×{other[0]}"
        raise UserError(f"{where} is {size}, and {first} is {expected}; expected images of one size")
    if shape[2] != other[2]:
        kinds = f"{where} is {COLOURS[shape[2]]}, and {first} is {COLOURS[other[2]]}"
        raise UserError(f"{kinds}; expected one kind, or config key channels: grey or rgb to convert them all")


def about(*parts: Pictures) -> str:
    """The formats of a data set in words, and what was changed in reading it.

    Lossy formats change the data a little, and every result must say so.
    """
    codecs = set[str]().union(*(part.codecs for part in parts))
    changes = sum((part.changes for part in parts), Counter[str]())
    formats = " and ".join(sorted(codecs)) + (", lossy" if codecs & LOSSY else "")
    return "; ".join([formats, *(f"{change} in {counted(count)}" for change, count in sorted(changes.items()))])


def counted(images: int) -> str:
    """A number of images in words."""
    return f"{images} image{'' if images == 1 else 's'}"


def shape(images: np.ndarray) -> str:
    """The size of images (N, H, W, C) in words."""
    return f"{images.shape[2]}×{images.shape[1]} {COLOURS[images.shape[3]]}"
