"""Linear algebra gets finite numbers only, for its routines raise on others.

Imports no torch, which figures must not wait for.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def if_finite(function: Callable[..., T], *arrays: Any, otherwise: T) -> T:
    """function(*arrays), where all of their entries are finite; else `otherwise`, which is NaN in the result's shape.

    Args:
        function: a decomposition or a fit.
        arrays: arrays or tensors, on any device.
    """
    finite = (array.isfinite() if hasattr(array, "isfinite") else np.isfinite(array) for array in arrays)
    return function(*arrays) if all(bool(each.all()) for each in finite) else otherwise
