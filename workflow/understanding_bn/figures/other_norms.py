"""Do other normalisations order the learning rates as batch norm does?"""

from understanding_bn.figures.accuracy_by_alpha import COLUMNS, draw

__all__ = ["COLUMNS", "draw"]
