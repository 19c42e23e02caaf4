"""Variance and rank of gradients between mini-batches, layers, units and samples, against dense float64 matrices."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_of
from torch.nn import functional as F

from understanding_bn.analysis import gradient_moments
from understanding_bn.analysis.context import flat
from understanding_bn.data.batches import Split
from understanding_bn.measurements import gradient_noise, gradient_structure
from understanding_bn.measurements.gradient_structure import GradientStructure
from understanding_bn.training.state import state_of


@pytest.fixture(scope="module")
def context(digits):
    return context_of(digits, pad=0)


def measured(context, norm, seed, **options):
    return gradient_structure.measure(context, norm, seed, GradientStructure(at=[0], **options))


def dense(context, norm, count, seed=0, domain=gradient_structure.MINIBATCHES):
    """The gradients of the same mini-batches as float64 rows, by `backward`."""
    model = context.model(norm, seed)
    rows = []
    for images, labels in context.draws("subset", count, seed, domain):
        model.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        rows.append(np.concatenate([p.grad.double().numpy().ravel() for p in model.parameters()]))
    return np.array(rows), model


def effective_rank(matrix):
    shares = np.linalg.svd(matrix, compute_uv=False)
    shares = shares[shares > 0] / shares.sum()
    return np.exp(-(shares * np.log(shares)).sum())


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_every_quantity_is_that_of_the_dense_matrix_of_gradients(context, norm):
    table = measured(context, norm, 0, minibatches=6)
    found = table.set_index(["block", "quantity"])["value"]
    gradients, model = dense(context, norm, 6)
    noise = gradients.var(axis=0, ddof=1).sum()
    assert found["all", "noise"] == pytest.approx(noise, rel=1e-6)
    squared = (gradients.mean(axis=0) ** 2).sum() - noise / 6
    assert found["all", "gradient_norm2"] == pytest.approx(squared, rel=1e-6)
    assert found["all", "constant"] == pytest.approx(noise * 64 * 1436 / (1437 - 64), rel=1e-6)
    assert found["all", "minibatch_rank"] == pytest.approx(effective_rank(gradients), rel=1e-5)
    logarithms = []
    for layer in range(1, 9):
        kernels = [p.numel() for p in model.parameters()]
        position = next(i for i, p in enumerate(model.parameters()) if p is model.layer(layer).weight)
        start = sum(kernels[:position])
        block = gradients[:, start : start + kernels[position]]
        matrix = block.mean(axis=0).reshape(model.layer(layer).weight.shape[0], -1)
        name = str(layer)
        assert found[name, "noise"] == pytest.approx(block.var(axis=0, ddof=1).sum(), rel=1e-6)
        assert found[name, "entry_variance"] == pytest.approx(block.var(axis=1, ddof=1).mean(), rel=1e-6)
        units = np.sqrt((matrix**2).mean(axis=1))
        assert found[name, "unit_variation"] == pytest.approx(units.var(ddof=1) / units.mean() ** 2, rel=1e-6)
        assert found[name, "full_rank"] == min(matrix.shape)
        assert found[name, "rank"] == pytest.approx(effective_rank(matrix), rel=1e-6)
        logarithms.append(np.log(np.sqrt((matrix**2).mean())))
    assert found["all", "layer_variation"] == pytest.approx(np.var(logarithms, ddof=1), rel=1e-6)
    assert set(table["bn_mode"]) == {"train" if norm == "batch" else "none"}


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_the_signal_comes_from_more_mini_batches_and_changes_nothing_else(context, norm):
    """The first of them are those of the other quantities, the running statistics in `sample_constant` included."""
    here = replace(context, weights=state_of(context.model(norm, 0)))
    few = measured(here, norm, 0, minibatches=3, samples=2)
    more = measured(here, norm, 0, minibatches=3, samples=2, signal_minibatches=8)
    added = more[more["quantity"].str.startswith("signal")]
    pd.testing.assert_frame_equal(more.drop(added.index), few)
    found = added.set_index("quantity")["value"]
    gradients, _ = dense(context, norm, 8)
    squared = (gradients.mean(axis=0) ** 2).sum() - gradients.var(axis=0, ddof=1).sum() / 8
    assert found["signal_norm2"] == pytest.approx(squared, rel=1e-5)
    assert found["signal_minibatches"] == 8


def test_effective_rank_counts_equal_directions():
    orthogonal = torch.linalg.qr(torch.randn(7, 7, dtype=torch.float64))[0]
    assert gradient_moments.effective_rank(torch.linalg.svdvals(orthogonal)) == pytest.approx(7)
    outer = torch.outer(torch.arange(1.0, 6), torch.arange(1.0, 4)).double()
    assert gradient_moments.effective_rank(torch.linalg.svdvals(outer)) == pytest.approx(1, abs=1e-6)
    assert np.isnan(gradient_moments.effective_rank(torch.zeros(3)))


def test_effective_rank_of_two_unequal_directions_is_the_exponential_of_their_entropy():
    # Shares ¾ and ¼ of the singular values themselves, not of their squares: exp(ln 4 − ¾ ln 3) = 4 / 3^¾.
    assert gradient_moments.effective_rank(torch.tensor([3.0, 1.0, 0.0])) == pytest.approx(4 / 3**0.75)


@pytest.mark.parametrize("batch_size", range(1, 6))
def test_the_constant_is_exact_over_all_subsets(batch_size):
    """Every mini-batch of B of 6 images, without replacement: their noise gives back C, whatever B is."""
    generator = torch.Generator().manual_seed(0)
    model = torch.nn.Linear(4, 3).double()
    torch.nn.init.normal_(model.weight, generator=generator)
    images = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 2, 1, 0])

    def population(size):
        """The variance over all mini-batches of this size, which all are equally likely."""
        subsets = [list(chosen) for chosen in combinations(range(6), size)]
        gradients = torch.stack([gradient_moments.gradient(model, images[i], labels[i]) for i in subsets])
        return gradients.var(0, correction=0).sum().item()

    exact = population(1)
    assert gradient_moments.constant(population(batch_size), batch_size, 6) == pytest.approx(exact, rel=1e-10)
    assert np.isnan(gradient_moments.constant(population(6), 6, 6))


def test_neither_scale_nor_order_of_units_changes_ranks_and_variations():
    matrix = torch.randn(5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    changed = 1e-7 * matrix[torch.tensor([3, 0, 4, 1, 2])]
    ranks = [gradient_moments.effective_rank(torch.linalg.svdvals(each)) for each in (matrix, changed)]
    assert ranks[0] == pytest.approx(ranks[1], rel=1e-9)
    spread = [gradient_moments.variation(each.square().mean(1).sqrt()) for each in (matrix, changed)]
    assert spread[0] == pytest.approx(spread[1], rel=1e-9)


def test_squared_gradient_is_unbiased():
    """Pure noise has no gradient: the estimate is zero on average, where |ḡ|² is not."""
    generator = torch.Generator().manual_seed(0)
    found = [gradient_moments.moments(torch.randn(4, 50, generator=generator)) for _ in range(2000)]
    squares = np.array([each["gradient_norm2"] for each in found])
    assert abs(squares.mean()) < 4 * squares.std() / np.sqrt(len(squares))
    assert np.mean([each["noise"] for each in found]) == pytest.approx(50, rel=0.02)


@pytest.fixture(scope="module")
def few(context, digits):
    """The same on 150 images."""
    chosen = np.flatnonzero(digits.rows("train"))[:150]
    store = replace(digits, images=digits.images[chosen], labels=digits.labels[chosen], split=digits.split[chosen])
    return replace(context, split=Split(store, "train", 0, torch.device("cpu")), batch_size=32)


@pytest.fixture(scope="module")
def inner_products(few):
    """Those of all images' own gradients without normalisation, about their mean: (150, 150) float64."""
    model = few.model("none", 0)
    rows = [gradient_moments.gradient(model, *batch).double().numpy() for batch in few.split.in_order(1)]
    centred = np.array(rows) - np.mean(rows, axis=0)
    return centred @ centred.T


def test_the_constant_is_the_variance_of_single_images(few, inner_products):
    """C of mini-batches and of samples beside the exact one over all images: three standard errors at most."""
    exact = np.trace(inner_products) / 150
    here = replace(few, weights=state_of(few.model("none", 0)))  # the same network for every seed of the draws
    tables = [measured(here, "none", seed, minibatches=10, samples=40) for seed in range(6)]
    for name in ("constant", "sample_constant"):
        values = [table.loc[table["quantity"] == name, "value"].item() for table in tables]
        assert abs(np.mean(values) - exact) < 3 * np.std(values, ddof=1) / np.sqrt(6) + 0.01 * exact


@pytest.mark.parametrize(("sampling", "share"), [("replacement", 1.0), ("subset", (150 - 100) / 149)])
def test_noise_with_and_without_replacement(few, inner_products, monkeypatch, sampling, share):
    """The noise of the draws that are really made, from the exact gradients, over C/B."""
    monkeypatch.setattr(Split, "augmented", lambda self, index, augmentation, generator: (index, index))
    drawn = [index for index, _ in replace(few, batch_size=100).draws(sampling, 1500, 3, gradient_noise.DOMAIN)]
    assert all(len(index) == 100 for index in drawn)
    assert all(len(index.unique()) == 100 for index in drawn) == (sampling == "subset")
    shares = np.array([np.bincount(index, minlength=150) / 100 for index in drawn])
    shares -= shares.mean(axis=0)
    noise = np.einsum("ni,ij,nj->", shares, inner_products, shares, optimize=True) / (len(drawn) - 1)
    assert noise / (np.trace(inner_products) / 150 / 100) == pytest.approx(share, rel=0.05)


def test_draws_do_not_depend_on_each_other_and_are_the_same_again(context):
    first, again = (list(context.draws("subset", 3, 7, 1)) for _ in range(2))
    for (images, labels), (others, marks) in zip(first, again, strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, marks)
    other = next(context.draws("subset", 3, 7, 2))
    assert not torch.equal(first[0][0], other[0])
    whole = replace(context, batch_size=1437)
    images, _ = next(whole.draws("subset", 1, 0, 1))
    assert torch.equal(images.flatten(1).sum(1).sort()[0], whole_set(context).flatten(1).sum(1).sort()[0])


def whole_set(context):
    return torch.cat([images for images, _ in context.split.in_order()])


def test_the_full_batch_has_no_noise_and_no_constant(context):
    table = measured(replace(context, batch_size=1437), "none", 0, minibatches=2)
    found = table.set_index(["block", "quantity"])["value"]
    assert found["all", "noise"] < 1e-9 * found["all", "gradient_norm2"]
    assert np.isnan(found["all", "constant"])


def test_samples_of_a_batch_norm_network_are_measured_in_eval_mode_and_only_once_it_is_trained(context):
    fresh = measured(context, "batch", 0, minibatches=2, samples=4)
    assert "sample_constant" not in set(fresh["quantity"])
    model = context.model("batch", 0)
    model(next(context.minibatches(0))[0])
    trained = measured(replace(context, weights=state_of(model)), "batch", 0, minibatches=2, samples=4)
    row = trained[trained["quantity"] == "sample_constant"].iloc[0]
    assert row["bn_mode"] == "eval"
    for images, _ in context.draws("subset", 2, 0, gradient_structure.MINIBATCHES):
        model(images)  # the mini-batches measured before have updated the running statistics
    single = replace(context, batch_size=1).draws("replacement", 4, 0, gradient_structure.SAMPLES)
    gradients = []
    for images, labels in single:
        loss = F.cross_entropy(model.eval()(images), labels)
        gradients.append(flat(torch.autograd.grad(loss, list(model.parameters()))).numpy())
    assert row["value"] == pytest.approx(np.var(gradients, axis=0, ddof=1).sum(), rel=1e-4)
