"""Images in the common Parquet layout: a column `img` or `image` (struct of `bytes`, `path`) and a column `label`.

A split is one file, train.parquet, or shards: the files of a folder train.parquet/, or train-00000-of-00003.parquet and
so on, as the Hugging Face Hub has them. Shards are read in the order of their names.
"""

import hashlib
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from understanding_bn.data.decode import Pictures, about, counted, decode_all, must_be_alike
from understanding_bn.data.folders import entries
from understanding_bn.errors import UserError
from understanding_bn.files import first_line, sha256
from understanding_bn.settings import Channels

SPLITS = ("train", "test")
ENDS = 1 << 16  # bytes at each end of a file that its tag depends on; the footer has row counts and checksums
SHARD = r"(train|test)-(\d{5,})-of-(\d{5,})(-[0-9a-f]+)?\.parquet"


def find(data_dir: Path) -> dict[str, list[Path]]:
    """The files of each split, in order; nothing if the folder holds none of this kind.

    Raises:
        UserError: a split or a shard is missing, or a split is there twice.
    """
    found = {split: _of_split(data_dir, split) for split in SPLITS}
    present = [split for split in SPLITS if found[split]]
    if not present:
        return {}
    for split in SPLITS:
        if not found[split]:
            there = found[present[0]][0]
            raise UserError(
                f"data_dir: {data_dir / split}.parquet is missing next to {there.name}; both splits are needed"
            )
    return found


def _of_split(data_dir: Path, split: str) -> list[Path]:
    """The files of one split, by name."""
    whole = data_dir / f"{split}.parquet"
    shards = _numbered(data_dir, split)
    if whole.exists() and shards:
        raise UserError(
            f"data_dir: holds both {whole.name} and {shards[0].name}; expected one of them, remove the other"
        )
    if whole.is_dir():
        shards = [path for path in entries(whole) if path.name[0] != "_"]  # such as _SUCCESS and _metadata
        if not shards:
            raise UserError(f"{whole}: an empty folder; expected Parquet files in it, or one file of that name")
        return shards
    return [whole] if whole.is_file() else shards


def _numbered(data_dir: Path, split: str) -> list[Path]:
    """The shards SPLIT-00000-of-NNNNN.parquet, all of them or none."""
    by_total: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in entries(data_dir):
        if (name := re.fullmatch(SHARD, path.name)) and name[1] == split:
            by_total[name[3]][int(name[2])] = path
    if len(by_total) > 1:
        totals = " and of ".join(sorted(by_total))
        raise UserError(f"data_dir: {data_dir} holds shards of {totals} for {split}; expected those of one number")
    for total, shards in by_total.items():
        for number in range(int(total)):
            if number not in shards:
                missing = data_dir / f"{split}-{number:05}-of-{total}.parquet"
                raise UserError(f"data_dir: {missing} is missing; expected all {int(total)} shards, fetch it again")
        return [shards[number] for number in sorted(shards)]
    return []


def digest(data_dir: Path) -> str:
    """A hash of the names, sizes and both ends of all files, as hex digits."""
    whole = hashlib.sha256()
    for files in find(data_dir).values():
        for file in files:
            size = file.stat().st_size
            with file.open("rb") as handle:
                whole.update(f"{file.relative_to(data_dir).as_posix()} {size} ".encode(errors="surrogateescape"))
                whole.update(handle.read(ENDS))
                handle.seek(max(0, size - ENDS))
                whole.update(handle.read())
    return whole.hexdigest()


def checksums(data_dir: Path) -> dict[str, str]:
    """The SHA-256 of every file, by its path in the folder."""
    return {file.relative_to(data_dir).as_posix(): sha256(file) for files in find(data_dir).values() for file in files}


def read(data_dir: Path, channels: Channels = "as_found") -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], str]:
    """Images {split: uint8 (N, H, W, C)}, labels {split: int64 (N,)}, and the source.

    Raises:
        UserError: a file is no such table, an image can't be used, or labels are not 0, 1, … without a gap.
    """
    found = find(data_dir)
    pictures, labels = {}, {}
    for split, shards in found.items():
        pictures[split], labels[split] = _read(shards, channels)
    train, test = pictures.values()
    must_be_alike(test.images.shape[1:], test.first, train.images.shape[1:], train.first)
    names = {split: _name(data_dir, split, shards) for split, shards in found.items()}
    _must_be_numbered(labels["train"], names["train"])
    _must_be_the_same(labels, names)
    told = ", ".join(f"{split}, {len(s)} shards" if len(s) > 1 else s[0].name for split, s in found.items())
    return (
        {split: read.images for split, read in pictures.items()},
        labels,
        f"Parquet files ({about(train, test)}: {told})",
    )


def _name(data_dir: Path, split: str, shards: list[Path]) -> str:
    """What messages call a split."""
    return str(shards[0]) if len(shards) == 1 else str(data_dir / f"{split} ({len(shards)} shards)")


def _read(shards: list[Path], channels: Channels) -> tuple[Pictures, np.ndarray]:
    """The images and labels of one split."""
    tables = [_table(path) for path in shards]
    labels = np.concatenate([label for _, label in tables])
    encoded = (
        (_bytes(cell.as_py(), path, row), f"{path}: image in row {row}")
        for path, (images, _) in zip(shards, tables, strict=True)
        for row, cell in enumerate(images)
    )
    if not len(labels):
        raise UserError(f"{shards[0]}: holds no rows; expected at least one image")
    return decode_all(encoded, len(labels), channels), labels


def _table(path: Path) -> tuple[Any, np.ndarray]:
    """The column of images and the labels (N,) int64 of one file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not a readable Parquet file ({first_line(error)}); fetch it again") from None
    column = next((name for name in ("img", "image") if name in table.column_names), None)
    if column is None or "label" not in table.column_names:
        raise UserError(f"{path}: columns are {table.column_names}; expected 'img' or 'image', and 'label'")
    try:
        labels = table["label"].cast(pa.int64()).to_numpy()
    except (pa.ArrowException, ValueError):
        raise UserError(f"{path}: column 'label' is {table['label'].type}; expected whole numbers") from None
    if table["label"].null_count or (len(labels) and labels.min() < 0):
        raise UserError(f"{path}: column 'label' has negative or missing values; expected 0, 1, 2, …")
    return table[column], labels


def _bytes(cell: object, path: Path, row: int) -> bytes:
    """The encoded image in a row."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes):
        raise UserError(f"{path}: row {row} has no image bytes; expected a struct with 'bytes', or bytes")
    return data


def _must_be_numbered(labels: np.ndarray, where: str) -> None:
    """Training labels must be 0 … C − 1, each in use: a gap would be a class that no network can learn."""
    distinct, counts = np.unique(labels, return_counts=True)
    gap = next((label for label, found in enumerate(distinct) if label != found), None)
    if gap is not None:
        raise UserError(
            f"{where}: label {gap} is that of no image, label {distinct[gap]} that of {counted(counts[gap])}; expected "
            "0 to C − 1, each in use: number the classes anew in both splits, or leave such images out"
        )
    if len(distinct) == 1:
        raise UserError(f"{where}: all labels are 0; expected at least two classes")


def _must_be_the_same(labels: dict[str, np.ndarray], names: dict[str, str]) -> None:
    """Both splits must have the same classes."""
    train, test = (set(labels[split].tolist()) for split in SPLITS)
    if strange := sorted(test - train):
        count = int((labels["test"] == strange[0]).sum())
        raise UserError(
            f"{names['test']}: label {strange[0]} is that of {counted(count)}, and of no training image; expected 0 to "
            f"{max(train)}"
        )
    if missing := sorted(train - test):
        raise UserError(
            f"{names['test']}: no image has label {missing[0]}; expected test images of all {len(train)} classes"
        )
