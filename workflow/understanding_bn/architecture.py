"""Names of network architectures. Imports no torch, because the Snakefile reads them."""

import re
from collections.abc import Iterable

from understanding_bn.errors import UserError

# Families by the kind of shortcut where a block changes shape (He et al. 2015, options B and A). The plain network of
# the same paper has no shortcuts at all.
SHORTCUTS = {"resnet": "projection", "resnet-padded": "padding", "plain": "none"}


def parse(arch: str) -> tuple[str, int]:
    """(kind of shortcut, depth) of a name such as `resnet-110`, `resnet-padded-110` or `plain-20`.

    Raises:
        UserError: the name is not FAMILY-D with D = 6n + 2.
    """
    match = re.fullmatch(r"(.+)-([1-9][0-9]{0,4})", arch)
    if not match or match[1] not in SHORTCUTS or int(match[2]) < 8 or int(match[2]) % 6 != 2:
        *others, last = (f"{family}-D" for family in SHORTCUTS)
        raise UserError(
            f"arch: {arch[:60]!r} is unknown; expected {', '.join(others)} or {last} "
            "with depth D = 6n + 2, such as resnet-20 or resnet-110"
        )
    return SHORTCUTS[match[1]], int(match[2])


def depth(arch: str) -> int:
    """The number of layers of an architecture, projections not counted."""
    return parse(arch)[1]


def in_order(archs: Iterable[str]) -> list[str]:
    """Distinct names, families by the alphabet, each from shallow to deep."""
    return sorted(set(archs), key=lambda arch: (arch.rsplit("-", 1)[0], depth(arch)))
