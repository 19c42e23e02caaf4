"""The mini-batches that a Hessian is taken over: the cell's own, or those of one size for all cells."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from contexts import context_of

from understanding_bn.analysis import spectrum
from understanding_bn.errors import UserError
from understanding_bn.measurements import hessian_spectrum
from understanding_bn.measurements.hessian_spectrum import HessianSpectrum


@pytest.fixture(scope="module")
def context(digits):
    return context_of(digits)


def test_the_partition_is_fixed_and_grows_by_adding(context):
    small = spectrum.partition(context.split, 40, 16, 0)
    large = spectrum.partition(context.split, 48, 16, 0)
    assert [images.shape for images, _ in small] == [(16, 1, 8, 8)] * 2
    for (images, labels), (same, too) in zip(small, large, strict=False):
        assert torch.equal(images, same) and torch.equal(labels, too)
    everything = spectrum.partition(context.split, context.split.count, 16, 0)
    assert len(everything) == context.split.count // 16
    images = torch.cat([images.flatten(1) for images, _ in everything]).unique(dim=0)
    whole = torch.cat([images.flatten(1) for images, _ in context.split.in_order()]).unique(dim=0)
    assert len(whole) - context.split.count % 16 <= len(images) <= len(everything) * 16
    assert not torch.equal(spectrum.partition(context.split, 32, 16, 1)[0][0], small[0][0])
    (one,) = spectrum.partition(context.split, 8, 16, 0)  # a mini-batch at least
    assert torch.equal(one[0], small[0][0])
    with pytest.raises(UserError, match="batch_size: 5000 is more than"):
        spectrum.partition(context.split, 8, 5000, 0)
    with pytest.raises(UserError, match="subset: 1438 is more than the 1437 training images; expected at most 1437"):
        spectrum.partition(context.split, 1438, 16, 0)


def test_the_partition_is_the_cells_own_unless_one_is_given(context, monkeypatch):
    taken = []

    def spectrum_of(model, batches, *options):
        taken.append(batches)
        return pd.DataFrame({"value": [0.0]})

    monkeypatch.setattr(spectrum, "spectrum", spectrum_of)
    small, large = replace(context, batch_size=8), replace(context, batch_size=48)
    for options in ({}, {"batch_size": 24}):
        chosen = HessianSpectrum(at=[0], subset=48, top=1, probes=1, steps=3, **options)
        tables = [hessian_spectrum.measure(each, "batch", 0, chosen) for each in (small, large)]
        assert [table["partition"].item() for table in tables] == ([24, 24] if options else [8, 48])
    assert [len(batches) for batches in taken] == [6, 1, 2, 2]
    for (images, labels), (same, too) in zip(*taken[2:], strict=True):
        assert torch.equal(images, same) and torch.equal(labels, too)


@pytest.mark.slow  # it traces a ResNet-8 in both modes
def test_cells_of_any_batch_size_with_the_same_weights_have_one_spectrum_over_a_common_partition(context):
    options = HessianSpectrum(at=[0], subset=48, batch_size=24, bn_modes=["train", "eval"], top=1, probes=1, steps=3)
    cells = [replace(context, batch_size=8), replace(context, batch_size=48)]
    first, second = (hessian_spectrum.measure(cell, "batch", 0, options) for cell in cells)
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert set(first["partition"]) == {24} and set(first["bn_mode"]) == {"train", "eval"}
