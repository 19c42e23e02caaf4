"""Decoding of the user's images, which nobody has checked, with limits on size and kind."""

import io
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from understanding_bn.errors import UserError
from understanding_bn.files import first_line

LARGEST_SIDE = 1024
SMALLEST_SIDE = 8
ALLOWED_SIZE = f"a square from {SMALLEST_SIDE}×{SMALLEST_SIDE} to {LARGEST_SIDE}×{LARGEST_SIDE}"
FORMATS = ("PNG", "JPEG")  # Pillow knows dozens more; none of their decoders is ever run
LOSSY = {"JPEG"}
EIGHT_BIT_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}


def decode(data: bytes, where: str) -> tuple[np.ndarray, str]:
    """One encoded image → uint8 (H, W, C), square, of an allowed size, C = 1 (grey) or 3 (RGB); and its format.

    Raises:
        UserError: it is anything else; the message begins with `where`.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        # Pillow warns about images that are refused below.
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _must_be_allowed(image, where)
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
            codec = image.format or "unknown"
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(f"{where} can't be decoded; expected {' or '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise UserError(f"{where} claims to be huge; expected {ALLOWED_SIZE}") from None
    except Exception as error:  # Pillow's decoders raise all kinds of errors on damaged bytes
        raise UserError(f"{where} can't be decoded ({first_line(error)}); expected a whole image") from None
    return pixels if pixels.ndim == 3 else pixels[..., None], codec


def _must_be_allowed(image: Any, where: str) -> None:
    """Refuse an image by its header, before it is decoded: a small file can claim a huge picture."""
    width, height = image.size
    if width != height or not SMALLEST_SIDE <= width <= LARGEST_SIDE:
        raise UserError(f"{where} is {width}×{height}; expected {ALLOWED_SIZE}")
    if getattr(image, "n_frames", 1) != 1:
        raise UserError(f"{where} holds {image.n_frames} pictures; expected one, without animation")
    if image.mode not in EIGHT_BIT_MODES:
        raise UserError(f"{where} has pixels of mode {image.mode}; expected 8 bits a channel")


def decode_all(encoded: Iterable[tuple[bytes, str]], count: int) -> tuple[np.ndarray, set[str]]:
    """`count` encoded images, each with its name for errors → uint8 (N, H, W, C), and their formats.

    Raises:
        UserError: see `decode`; or they have different sizes.
    """
    codecs, images = set(), np.empty(0, dtype=np.uint8)
    for position, (data, where) in enumerate(encoded):
        image, codec = decode(data, where)
        codecs.add(codec)
        if position == 0:
            images = np.empty((count, *image.shape), dtype=np.uint8)
        if image.shape != images.shape[1:]:
            raise UserError(
                f"{where} is {shape(image[None])}, the first is {shape(images)}; "
                "all must have one size and one number of channels"
            )
        images[position] = image
    return images, codecs


def encoding(codecs: set[str]) -> str:
    """The formats of a data set in words. Lossy ones change the data a little, and every result must say so."""
    return " and ".join(sorted(codecs)) + (", lossy" if codecs & LOSSY else "")


def shape(images: np.ndarray) -> str:
    """The size of images (N, H, W, C) in words."""
    return f"{images.shape[2]}×{images.shape[1]} with {images.shape[3]} channel{'' if images.shape[3] == 1 else 's'}"
