"""Jacobians and their conditioning, against closed forms, central differences, reverse mode and sampled products."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_of
from singular import as_values
from torch import nn

from understanding_bn.analysis import jacobian, random_matrices
from understanding_bn.measurements import jacobian_conditioning
from understanding_bn.measurements.jacobian_conditioning import JacobianConditioning
from understanding_bn.models import resnet
from understanding_bn.summaries.jacobian_conditioning import conditions

MODES = ["train", "eval"]


@pytest.fixture(scope="module")
def context(digits):
    return context_of(digits)


def measured(context, norm, seed, networks, **changes):
    options = JacobianConditioning(networks=networks, batch_size=4, **changes)
    return jacobian_conditioning.measure(context, norm, seed, options)


def images(count, size=6, channels=2):
    return torch.randn(count, channels, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def network(arch, norm, init="kaiming", channels=2, seed=0):
    """A network in float64 whose batch norms have scales and shifts as if it had been trained."""
    model = resnet.build(arch, norm, init, channels, 10, seed).double()
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.uniform_(module.bias, -0.5, 0.5, generator=generator)
    return model


@pytest.mark.parametrize("arch", ["resnet-8", "resnet-padded-8", "plain-14"])
@pytest.mark.parametrize(("norm", "bn_mode"), [("batch", "train"), ("batch", "eval"), ("none", "none")])
def test_jacobian_is_that_of_reverse_mode_and_of_central_differences(arch, norm, bn_mode, monkeypatch):
    monkeypatch.setattr(jacobian, "IMAGES_AT_ONCE", 40)  # not a divisor of what there is to do
    batch, image = images(3), 1
    model = network(arch, norm)
    (found,) = jacobian.in_modes(model, batch, [bn_mode])
    assert found == bn_mode
    matrix = jacobian.jacobian(model, *jacobian.seen(batch, image, bn_mode))
    others, place = jacobian.seen(batch, image, bn_mode)

    def features(pixels):
        return model.features(torch.cat([others[:place], pixels[None], others[place + 1 :]]))[place].flatten()

    reverse = torch.autograd.functional.jacobian(features, batch[image]).flatten(1)
    assert matrix.shape == reverse.shape == (64 * 2 * 2, 2 * 6 * 6)
    assert torch.allclose(matrix, reverse, rtol=1e-10, atol=1e-12 * reverse.abs().max().item())
    step = 1e-6
    with torch.no_grad():
        for pixel in (0, 17, 40, 71):
            shift = torch.zeros(72, dtype=torch.float64)
            shift[pixel] = step
            shift = shift.view(2, 6, 6)
            slope = (features(batch[image] + shift) - features(batch[image] - shift)) / (2 * step)
            assert torch.allclose(matrix[:, pixel], slope, rtol=1e-6, atol=1e-7 * matrix.abs().max().item())


def test_the_two_modes_share_features_and_differ_in_derivatives():
    batch, model = images(5), network("resnet-14", "batch")
    features, matrices = {}, {}
    for bn_mode in jacobian.in_modes(model, batch, MODES):
        with torch.no_grad():
            features[bn_mode] = model.features(batch)
        matrices[bn_mode] = jacobian.jacobian(model, *jacobian.seen(batch, 0, bn_mode))
    assert torch.allclose(features["train"], features["eval"], rtol=1e-10, atol=1e-12)
    assert not torch.allclose(matrices["train"], matrices["eval"], rtol=0.01)


def test_train_mode_leaves_the_running_moments_alone():
    batch, model = images(4), network("resnet-8", "batch")
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    for bn_mode in jacobian.in_modes(model, batch, ["train"]):
        jacobian.jacobian(model, *jacobian.seen(batch, 0, bn_mode))
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


@pytest.mark.parametrize("bn_mode", MODES)
def test_the_order_of_the_other_images_does_not_matter(bn_mode):
    batch, model = images(5), network("plain-8", "batch")
    found = []
    for order in ([0, 1, 2, 3, 4], [0, 3, 4, 1, 2]):
        (_,) = jacobian.in_modes(model, batch[order], [bn_mode])
        found.append(jacobian.jacobian(model, *jacobian.seen(batch[order], 0, bn_mode)))
    assert torch.allclose(found[0], found[1], rtol=1e-9, atol=1e-12)


class Chain(nn.Module):
    """Linear layers as 1×1 convolutions of images of one pixel: the Jacobian is the product of their matrices."""

    def __init__(self, matrices):
        super().__init__()
        self.layers = nn.Sequential()
        for matrix in matrices:
            conv = nn.Conv2d(matrix.shape[1], matrix.shape[0], 1, bias=False, dtype=torch.float64)
            conv.weight.data = torch.from_numpy(matrix)[:, :, None, None].clone()
            self.layers.append(conv)

    def features(self, x):
        return self.layers(x)


def test_a_linear_network_is_the_product_of_its_matrices():
    rng = np.random.default_rng(0)
    matrices = [rng.normal(size=shape) for shape in ((6, 4), (5, 6), (7, 5))]
    found = jacobian.jacobian(Chain(matrices), images(2, size=1, channels=4), 1).numpy()
    assert found == pytest.approx(matrices[2] @ matrices[1] @ matrices[0], rel=1e-12)


def test_a_chain_of_orthogonal_matrices_has_condition_one_at_any_depth():
    matrices = [nn.init.orthogonal_(torch.empty(8, 8, dtype=torch.float64)).numpy() for _ in range(50)]
    matrix = jacobian.jacobian(Chain(matrices), images(1, size=1, channels=8), 0)
    (row,) = conditions(as_values(torch.linalg.svdvals(matrix))).itertuples()
    assert (row.size, row.rank, row.resolved) == (8, 8, True)
    assert row.log10_condition == pytest.approx(0, abs=1e-12)
    assert row.log10_largest == pytest.approx(0, abs=1e-12)


def test_measured_are_all_networks_in_all_modes(context):
    networks = {"archs": ["resnet-8", "plain-8"], "inits": ["orthogonal", "fixup", "delta_orthogonal"]}
    batch, none = (measured(context, norm, 0, networks, images=2) for norm in ("batch", "none"))
    assert len(batch) == 2 * 3 * 2 * 2 * 64
    assert len(none) == 2 * 3 * 2 * 64
    assert set(none["bn_mode"]) == {"none"}
    assert (batch["inputs"] == 64).all()
    assert (batch["outputs"] == 256).all()
    table = conditions(pd.concat([batch.assign(norm="batch"), none.assign(norm="none")]).assign(seed=0))
    assert set(table["shortcut"]) == {"projection", "none"}
    assert set(table["depth"]) == {8}
    # Fixup's branches give nothing, so that without shortcuts nothing passes.
    zero = table[(table["init"] == "fixup") & (table["shortcut"] == "none")]
    assert (zero["rank"] == 0).all()
    assert zero[["log10_condition", "log10_median_ratio", "log10_passed_ratio", "log10_largest"]].isna().all(axis=None)
    # A delta-orthogonal kernel sees one pixel of each four by four, of which the strides leave 2 × 2.
    delta = table[(table["init"] == "delta_orthogonal") & (table["bn_mode"] != "train")]
    assert (delta["rank"] <= 4).all()
    assert not delta["resolved"].any()
    assert table[table["init"] == "orthogonal"]["resolved"].all()


def test_a_measurement_depends_on_its_seed_alone(context):
    networks = {"archs": ["plain-8"], "inits": ["kaiming"]}
    first, again, other = (measured(context, "batch", seed, networks) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not np.allclose(first["singular_value"], other["singular_value"])


def test_the_network_sees_grey_levels_as_all_colours_at_once():
    batch, model = images(3, channels=3), network("plain-8", "batch", channels=3)
    (_,) = jacobian.in_modes(model, batch, ["train"])
    whole, grey = (jacobian.jacobian(model, batch, 1, each) for each in (False, True))
    assert grey.shape == (64 * 2 * 2, 6 * 6)
    assert torch.allclose(grey, whole.unflatten(1, (3, 36)).sum(1) / 3**0.5, rtol=1e-10, atol=1e-13)


def test_sizes_are_those_of_all_feature_maps_in_order():
    model, image = network("plain-14", "none"), images(1, size=8)
    stages = [16 * 64] * 5 + [32 * 16] * 4 + [64 * 4] * 4
    assert jacobian.sizes(model, image) == [2 * 64, *stages]
    assert jacobian.sizes(model, image, grey=True) == [64, *stages]
    assert jacobian.sizes(network("resnet-14", "batch"), image) == [2 * 64, *stages], "projections are on no chain"


def test_train_mode_is_measured_at_every_size_and_the_rest_at_the_largest(context):
    networks = {"archs": ["plain-8"], "inits": ["kaiming"]}
    options = JacobianConditioning(networks=networks, batch_size=[2, 4], gaussian=True)
    batch, none = (jacobian_conditioning.measure(context, norm, 3, options) for norm in ("batch", "none"))
    kinds = set(batch[["kind", "bn_mode", "batch_size"]].itertuples(index=False, name=None))
    assert kinds == {("network", "train", 2), ("network", "train", 4), ("network", "eval", 4)}
    kinds = set(none[["kind", "bn_mode", "batch_size"]].itertuples(index=False, name=None))
    assert kinds == {(kind, "none", 4) for kind in ("network", "gaussian", "gaussian_masked")}
    # The first images are the same, and those of one size do not depend on the others.
    alone = measured(context, "batch", 3, networks)
    both = batch[batch["batch_size"] == 4]
    pd.testing.assert_frame_equal(alone, both.reset_index(drop=True))
    chain = [64, *[1024] * 3, *[512] * 2, *[256] * 2]
    masked = none.loc[none["kind"] == "gaussian_masked", "singular_value"].to_numpy()
    assert np.array_equal(masked, random_matrices.chain(chain, 0.5, 3))


def test_products_need_plain_networks(context):
    networks = {"archs": ["resnet-8"], "inits": ["kaiming"]}
    assert set(measured(context, "none", 0, networks, gaussian=True)["kind"]) == {"network"}


def log10_conditions(sizes, passed=1.0, draws=200):
    singular = np.array([random_matrices.chain(sizes, passed, draw) for draw in range(draws)])
    return np.log10(singular[:, 0] / singular[:, -1])


def test_a_chain_of_one_square_factor_has_edelmans_mean():
    # E log κ → log N + 1.537 (Edelman 1988); of 400 draws the mean has a standard error of 0.02.
    assert log10_conditions([40, 40], draws=400).mean() == pytest.approx(
        math.log10(40) + 1.537 / math.log(10), abs=0.08
    )


@pytest.mark.parametrize("factors", [2, 4])
def test_a_chain_of_squares_is_that_of_theorem_1(factors):
    expected, _ = random_matrices.log10_condition(factors, 40)
    assert np.median(log10_conditions([40] * (factors + 1))) == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("passed", [1.0, 0.5])
def test_a_masked_factor_is_one_of_as_many_rows_as_pass(passed):
    # Marchenko and Pastur: the singular values reach from 1 − √y to 1 + √y, y = columns / rows.
    root = (50 / (passed * 1600)) ** 0.5
    found = log10_conditions([50, 1600], passed, draws=4)
    assert found.mean() == pytest.approx(math.log10((1 + root) / (1 - root)), abs=0.02)


def test_masks_cost_rank_and_length_stays():
    sizes = [30, 200, 40, 200]
    values = random_matrices.chain(sizes, 0.5, 0)
    rank = (values > 1e-12 * values[0]).sum()
    assert 8 <= rank <= 29, "of 40 entries about half pass"
    for passed in (1.0, 0.5):
        squares = [(random_matrices.chain([10, 300, 300], passed, draw) ** 2).mean() for draw in range(20)]
        assert np.mean(squares) == pytest.approx(1, abs=0.1)


def test_a_chain_depends_on_its_seed_and_on_all_of_its_sizes():
    first = random_matrices.chain([8, 16, 16], 0.5, 1)
    assert np.array_equal(first, random_matrices.chain([8, 16, 16], 0.5, 1))
    for sizes, seed in (([8, 16, 16], 2), ([8, 16, 16, 16], 1), ([8, 17, 16], 1)):
        assert not np.allclose(first, random_matrices.chain(sizes, 0.5, seed))


@pytest.mark.parametrize(("factors", "draws"), [(1, 200), (3, 200), (5, 200)])
def test_theory_against_sampled_products(factors, draws):
    size = 64
    singular = np.array([random_matrices.singular_values(size, factors, draw) for draw in range(draws)])
    condition, median = random_matrices.log10_condition(factors, size)
    assert condition == pytest.approx(np.median(np.log10(singular[:, 0] / singular[:, -1])), abs=0.1)
    assert median == pytest.approx(np.median(np.log10(singular[:, 0] / np.median(singular, axis=1))), abs=0.06)


def test_quantiles_are_those_of_theorem_1():
    # One factor: the quarter circle, whose share below s = 2 sin(a) is (2a + sin 2a)/π.
    for a in (1e-3, 0.3, 1.2):
        share = (2 * a + math.sin(2 * a)) / math.pi
        assert random_matrices.log10_quantile(1, share) == pytest.approx(math.log10(2 * math.sin(a)), abs=1e-6)
    for factors in (2, 5, 8):
        s = 10 ** random_matrices.log10_quantile(factors, 0.3)
        assert random_matrices.cumulative(factors, np.array([s * s]))[0] == pytest.approx(0.3, abs=1e-6)
    # Of very many factors the squared values' M-th roots are uniform (Newman 1986), far below the smallest float.
    assert random_matrices.log10_quantile(2000, 0.1) / 2000 == pytest.approx(-0.5, abs=0.003)
