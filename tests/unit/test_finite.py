"""Routines that raise on numbers that are not finite get none."""

import numpy as np
import pytest
import torch

from understanding_bn.analysis.finite import if_finite


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("of", [np.array, torch.tensor])
def test_a_function_sees_finite_entries_only(of, bad):
    assert if_finite(lambda a, b: float((a + b).sum()), of([1.0, 2.0]), of([3.0]), otherwise=0.0) == 9
    assert if_finite(lambda a, b: 1 / 0, of([1.0, 2.0]), of([3.0, bad]), otherwise=5.0) == 5
