"""How the images of a data set are encoded: their formats and, of JPEG, the quality.

A store holds pixels and no longer knows. No numeric module imports this: it describes files and changes no result.
"""

import functools
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from understanding_bn import files
from understanding_bn.data import sources
from understanding_bn.data.decode import FORMATS
from understanding_bn.errors import UserError

UNKNOWN = "unknown"


def describe(data_dir: Path) -> dict[str, Any]:
    """The SHA-256 of train.parquet and test.parquet, and how many of their images have which format and JPEG quality.

    Raises:
        UserError: the folder holds no such files, or an image in them is damaged.
    """
    paths = sources.find("parquet", data_dir)
    formats, qualities = count(data for path in paths for data in _encoded(path))
    return {
        "files": {path.name: files.sha256(path) for path in paths},
        "formats": dict(sorted(formats.items())),
        "jpeg_quality": {str(quality): number for quality, number in sorted(qualities.items(), key=str)},
    }


def count(images: Iterable[bytes]) -> tuple[Counter[str], Counter[int | str]]:
    """How many of these encoded images have which format, and how many of the JPEG images which quality."""
    formats: Counter[str] = Counter()
    qualities: Counter[int | str] = Counter()
    for data in images:
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                formats[image.format or UNKNOWN] += 1
                if image.format == "JPEG":
                    qualities[quality(image)] += 1
        except (OSError, SyntaxError) as error:
            raise UserError(
                f"an image can't be read ({files.first_line(error)}); expected {' or '.join(FORMATS)}"
            ) from None
    return formats, qualities


def quality(image: Any) -> int | str:
    """The quality, from 1 to 100, with which libjpeg writes the quantisation tables of a JPEG image; else UNKNOWN.

    The tables are all that a file keeps of it. Other encoders have other tables.
    """
    return _qualities().get(_tables(image), UNKNOWN)


def _tables(image: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(table) for _, table in sorted(image.quantization.items()))


@functools.cache
def _qualities() -> dict[tuple[tuple[int, ...], ...], int]:
    """The quality that belongs to each set of tables, of grey and of colour images, as libjpeg has them here."""
    found = {}
    for mode in ("L", "RGB"):
        blank = Image.fromarray(np.zeros((8, 8, 3), np.uint8)).convert(mode)
        for value in range(1, 101):
            buffer = io.BytesIO()
            blank.save(buffer, "JPEG", quality=value)
            with Image.open(buffer) as image:
                found[_tables(image)] = value
    return found


def _encoded(path: Path) -> Iterator[bytes]:
    """The encoded images of a Parquet file."""
    table = pq.read_table(path)
    column = next((name for name in ("img", "image") if name in table.column_names), None)
    if column is None:
        raise UserError(f"{path}: columns are {table.column_names}; expected 'img' or 'image'")
    for cell in table[column]:
        value = cell.as_py()
        yield value["bytes"] if isinstance(value, dict) else value
