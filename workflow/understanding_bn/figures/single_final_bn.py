"""One batch norm after the last block, beside batch norm everywhere and nowhere."""

from understanding_bn.figures.accuracy_by_alpha import draw

__all__ = ["draw"]
