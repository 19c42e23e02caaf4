"""What readers call networks, data sets and counts; files have shorter names for them."""

import re
from collections.abc import Iterable

import pandas as pd

from understanding_bn.figures.numbers import plain

DATA = {"cifar10": "CIFAR-10", "digits": "the digits"}


def network(arch: str) -> str:
    """ResNet-20 for resnet-20, with a word on its shortcuts if they are not projections."""
    family, _, depth = arch.rpartition("-")
    padded = " with padded shortcuts" if "padded" in family else ""
    return f"{'ResNet' if 'resnet' in family else family}-{depth}{padded}"


def initialisation(init: str) -> str:
    """Xavier uniform for xavier_uniform."""
    name = init.replace("_", " ")
    return name[0].upper() + name[1:] if name.startswith(("xavier", "kaiming", "fixup")) else name


def data(tag: str) -> str:
    """CIFAR-10 at 16×16 (10,000 training images) for cifar10-0123abcd-16px-train10000-test4000."""
    name, *parts = tag.split("-")
    limit, kept, side = (
        next((found[1] for part in parts if (found := re.fullmatch(pattern, part))), None)
        for pattern in (r"train(\d+)", r"validation(\d+)", r"(\d+)px")
    )
    size = f" at {side}×{side}" if side else ""
    images = plain(int(limit), 9) if limit else f"all but {plain(int(kept), 9)}" if kept else ""
    return DATA.get(name, name) + size + (f" ({images} training images)" if images else "")


def count(number: int, what: str) -> str:
    """1 seed, 2 seeds."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def seeds_of(table: pd.DataFrame, cell: list[str]) -> str:
    """2 seeds, or at most 2 seeds where cells have different numbers of them."""
    counts = table.groupby(cell, dropna=False)["seed"].nunique()
    return f"{'at most ' * (counts.nunique() > 1)}{count(int(counts.max()), 'seed')}"


def listed(values: Iterable[float]) -> str:
    """Distinct values in ascending order: 4, 16."""
    return ", ".join(plain(value, 6) for value in sorted(set(values)))
