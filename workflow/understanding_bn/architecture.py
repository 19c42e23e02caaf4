"""Names of network architectures. Imports no torch, because the Snakefile reads them."""

import re
from collections.abc import Iterable

from understanding_bn.errors import UserError

PAPER = "resnet-110"  # the network of the paper that is checked

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


def exists(arch: str) -> bool:
    """Whether there is such an architecture."""
    try:
        return bool(parse(arch))
    except UserError:
        return False


def depth(arch: str) -> int:
    """The number of layers of an architecture, projections not counted."""
    return parse(arch)[1]


def counterpart(layer: int, arch: str) -> int:
    """The layer of a network that stands where `layer` stands in the paper's ResNet-110.

    That is one of the same stage and the same place in its block, in the block nearest to the same share of the stage.
    The stem and the linear layer stay what they are. In ResNet-110 every layer is its own counterpart.
    """
    theirs, ours = (depth(PAPER) - 2) // 6, (depth(arch) - 2) // 6  # blocks of a stage, of two layers each
    if layer in (1, depth(PAPER)):
        return layer if layer == 1 else depth(arch)
    block, place = divmod(layer - 2, 2)
    stage, block = divmod(block, theirs)
    block = (2 * block * (ours - 1) + theirs - 1) // (2 * (theirs - 1))  # rounded; the first and the last stay so
    return 2 + 2 * (stage * ours + block) + place


def in_order(archs: Iterable[str]) -> list[str]:
    """Distinct names, families by the alphabet, each from shallow to deep."""
    return sorted(set(archs), key=lambda arch: (arch.rsplit("-", 1)[0], depth(arch)))
