"""One batch norm after the last block, compared with batch norm everywhere and nowhere."""

from understanding_bn.figures.accuracy_by_alpha import COLUMNS, draw

__all__ = ["COLUMNS", "draw"]
