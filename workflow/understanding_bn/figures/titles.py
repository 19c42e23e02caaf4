"""What readers call networks, data sets and counts; files have shorter names for them."""

import re
from collections.abc import Iterable

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
    """CIFAR-10 (10,000 training images) for cifar10-0123abcd-train10000-test4000."""
    name, *parts = tag.split("-")
    limit = next((part.removeprefix("train") for part in parts if re.fullmatch(r"train\d+", part)), None)
    return DATA.get(name, name) + (f" ({plain(int(limit), 9)} training images)" if limit else "")


def count(number: int, what: str) -> str:
    """1 seed, 2 seeds."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def listed(values: Iterable[float]) -> str:
    """Distinct values in ascending order: 4, 16."""
    return ", ".join(plain(value, 6) for value in sorted(set(values)))
