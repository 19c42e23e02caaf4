"""Where in a network a normalisation may stand."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import nn

# After which convolution, or after the last block.
STEM = "stem"  # the first convolution of the network
BRANCH = "branch"  # a 3×3 convolution of a block, unless it is the next
BRANCH_END = "branch_end"  # the last of a residual branch, before the shortcut is added; a plain network has none
SHORTCUT = "shortcut"  # the 1×1 convolution of a projection
FINAL = "final"  # no convolution: after the last block
PLACES = (STEM, BRANCH, BRANCH_END, SHORTCUT, FINAL)

Norm = Callable[[int, str], nn.Module | None]  # of a number of channels and a place


def placed(function: Callable[..., Any]) -> Norm:
    """A norm's function as one of channels and place.

    One without a parameter `place` stands after every convolution, and nowhere else.
    """
    if "place" in inspect.signature(function).parameters:
        return lambda channels, place: function(channels, place=place)
    return lambda channels, place: None if place == FINAL else function(channels)


def in_network(stages: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """Every (place, stage, channels) that networks have, of stages with so many channels."""
    for place in PLACES:
        for stage, channels in enumerate(stages):
            only = {STEM: stage == 0, SHORTCUT: stage > 0, FINAL: stage == len(stages) - 1}
            if only.get(place, True):
                yield place, stage, channels
