"""Networks, norms and initialisations."""

import math

import pytest
import torch
from torch import nn

from understanding_bn import architecture, plugins
from understanding_bn.errors import UserError
from understanding_bn.models import norms, resnet

NORMS = ["ghost-5" if name == plugins.GHOST else name for name in plugins.names("norm")]
INITS = plugins.names("init")


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_names_are_those_that_the_design_lists():
    assert plugins.names("norm") == ["none", "batch", "batch-final", "ghost-M", "layer", "group", "instance"]
    assert set(INITS) == {
        "xavier_uniform",
        "xavier_normal",
        "xavier_convolutions",
        "kaiming",
        "orthogonal",
        "delta_orthogonal",
        "fixup",
        "branch_scaled",
    }


def test_resnet20_with_projections_has_the_published_number_of_parameters():
    assert count(resnet.build("resnet-20", "batch", "kaiming", 3, 10, 0)) == 272_474


def test_resnet20_with_padded_shortcuts_has_the_published_number_of_parameters():
    assert count(resnet.build("resnet-padded-20", "batch", "kaiming", 3, 10, 0)) == 269_722


@pytest.mark.parametrize("size", [8, 9])
def test_padded_shortcuts_take_every_second_position_and_add_zeros(size):
    x = torch.randn(2, 16, size, size)
    short = resnet.PaddedShortcut(16, 2)(x)
    half = (size + 1) // 2
    assert short.shape == (2, 32, half, half)
    assert torch.equal(short[:, :16], x[:, :, ::2, ::2])
    assert (short[:, 16:] == 0).all()
    model = resnet.build("resnet-padded-14", "batch", "xavier_uniform", 16, 10, 0)
    assert model(x).shape == (2, 10)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("arch", ["resnet-8", "plain-8"])
def test_every_norm_and_init_runs_forward_and_backward(arch, norm, init):
    model = resnet.build(arch, norm, init, channels=1, classes=7, seed=0)
    logits = model(torch.randn(5, 1, 8, 8))
    assert logits.shape == (5, 7)
    logits.logsumexp(1).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (8, 3), (12, 3), (28, 1), (32, 3)])
def test_input_sizes(size, channels):
    model = resnet.build("resnet-14", "batch", "xavier_uniform", channels, 10, 0)
    assert model(torch.randn(2, channels, size, size)).shape == (2, 10)


def test_a_plain_network_is_its_convolutions_one_after_the_other():
    model = resnet.build("plain-14", "none", "kaiming", 3, 10, 0)
    x = images = torch.randn(2, 3, 8, 8)
    for number in range(1, 14):
        x = model.layer(number)(x).relu()
    assert x.shape == (2, 64, 2, 2)
    assert torch.equal(model.features(images), x)
    assert torch.equal(model(images), model.linear(x.mean((2, 3))))
    parameters = [sum(p.numel() for p in model.layer(number).parameters()) for number in range(1, 15)]
    assert count(model) == sum(parameters)


def test_features_of_a_single_final_norm_are_normalised():
    features = resnet.build("plain-8", "batch-final", "kaiming", 3, 10, 0).features(torch.randn(8, 3, 8, 8))
    assert features.mean((0, 2, 3)).abs().max() < 1e-5


def test_layers_are_numbered_as_in_the_paper():
    model = resnet.build("resnet-110", "batch", "xavier_uniform", 3, 10, 0)
    widths = [model.layer(n).weight.shape[:2] for n in range(1, 111)]
    assert widths[0] == (16, 3)
    assert widths[1:37] == [(16, 16)] * 36
    assert widths[37] == (32, 16)
    assert widths[38:73] == [(32, 32)] * 35
    assert widths[73] == (64, 32)
    assert widths[109] == (10, 64)
    assert model.layer(55).weight.numel() == 9216
    with pytest.raises(UserError, match="layer 111"):
        model.layer(111)


def test_bias_only_where_no_norm_follows():
    for norm, expected in (("batch", False), ("none", True), ("batch-final", True), ("layer", False)):
        model = resnet.build("resnet-8", norm, "xavier_uniform", 3, 10, 0)
        convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
        assert {conv.bias is not None for conv in convs} == {expected}
        assert all((conv.bias == 0).all() for conv in convs if conv.bias is not None)


def test_single_final_norm_stands_after_the_last_block_and_nowhere_else():
    model = resnet.build("resnet-20", "batch-final", "xavier_uniform", 3, 10, 0)
    found = [name for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert found == ["final_norm"]


def test_group_norm_has_eight_groups_and_layer_norm_one():
    groups = {}
    for norm in ("group", "layer"):
        model = resnet.build("resnet-8", norm, "xavier_uniform", 3, 10, 0)
        groups[norm] = {m.num_groups for m in model.modules() if isinstance(m, nn.GroupNorm)}
    assert groups == {"group": {8}, "layer": {1}}


def test_group_norm_in_bfloat16_is_that_in_float32_rounded_once():
    """As PyTorch's own kernel for bfloat16, and in the layout of the images."""
    ours, theirs = norms.group(16), nn.GroupNorm(8, 16)
    with torch.no_grad():
        for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            other.copy_(parameter.copy_(torch.randn(16)))
    x = torch.randn(4, 16, 6, 6).bfloat16()
    for layout in (torch.channels_last, torch.contiguous_format):
        images = x.contiguous(memory_format=layout).requires_grad_()
        normalised = ours(images)
        normalised.sum().backward()
        assert (normalised.dtype, images.grad.dtype) == (torch.bfloat16, torch.bfloat16)
        assert normalised.is_contiguous(memory_format=layout)
        assert torch.equal(normalised, theirs(x.float()).bfloat16())
        torch.testing.assert_close(normalised, theirs(x), rtol=0.02, atol=0.02)
    assert torch.equal(ours(x.float()), theirs(x.float()))


def test_same_seed_same_weights_other_seed_others():
    first, again, other = (resnet.build("resnet-8", "batch", "kaiming", 3, 10, s).stem.conv.weight for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        ("xavier_uniform", 2 / (2 * 64 * 9)),
        ("xavier_normal", 2 / (2 * 64 * 9)),
        ("kaiming", 2 / (64 * 9)),
        ("orthogonal", 1 / (64 * 9)),
    ],
)
def test_variance_of_initial_weights(init, variance):
    weight = resnet.build("resnet-8", "batch", init, 3, 10, 0).blocks[2].second.conv.weight
    assert weight.var().item() == pytest.approx(variance, rel=0.03)


def test_xavier_uniform_is_uniform():
    weight = resnet.build("resnet-8", "batch", "xavier_uniform", 3, 10, 0).blocks[2].second.conv.weight
    assert weight.abs().max().item() == pytest.approx(math.sqrt(6 / (2 * 64 * 9)), rel=1e-3)


def test_orthogonal_kernels_preserve_norms():
    for init in ("orthogonal", "delta_orthogonal"):
        conv = resnet.build("resnet-8", "none", init, 3, 10, 0).blocks[1].second.conv
        flat = conv.weight.flatten(1).double()
        assert torch.allclose(flat @ flat.T, torch.eye(32, dtype=torch.float64), atol=1e-5)
    delta = conv.weight.clone()
    delta[:, :, 1, 1] = 0
    assert (delta == 0).all()
    # Square delta-orthogonal kernels are isometries of images.
    image = torch.randn(1, 32, 6, 6)
    assert conv(image).norm().item() == pytest.approx(image.norm().item(), rel=1e-5)


def test_fixup_starts_as_the_shortcuts_alone():
    model = resnet.build("resnet-20", "none", "fixup", 3, 10, 0)
    x = torch.randn(2, 16, 8, 8).relu()
    assert torch.equal(model.blocks[0](x), x)
    assert (model(torch.randn(2, 3, 8, 8)) == 0).all()
    assert isinstance(model.blocks[0].branch_scale, nn.Parameter)
    scaled, plain = (resnet.build("resnet-20", "none", i, 3, 10, 0) for i in ("fixup", "kaiming"))
    ratio = scaled.blocks[4].first.conv.weight / plain.blocks[4].first.conv.weight
    assert ratio.mean().item() == pytest.approx(9**-0.5, rel=1e-5)


def test_xavier_for_convolutions_leaves_the_linear_layer_as_pytorch_makes_it():
    ours, uniform = (resnet.build("resnet-8", "none", i, 3, 10, 0) for i in ("xavier_convolutions", "xavier_uniform"))
    assert torch.equal(ours.layer(5).weight, uniform.layer(5).weight)
    assert ours.linear.weight.abs().max() <= 1 / 8
    assert ours.linear.weight.std().item() == pytest.approx(1 / 8 / math.sqrt(3), rel=0.1)
    assert 0 < ours.linear.bias.abs().max() <= 1 / 8
    torch.manual_seed(0)
    pytorchs = torch.stack([nn.Linear(64, 10).weight for _ in range(20)]).std()
    assert ours.linear.weight.std().item() == pytest.approx(pytorchs.item(), rel=0.1)


def test_branch_scaled_multiplies_branches_by_one_over_root_blocks():
    scaled, plain = (resnet.build("resnet-20", "none", i, 3, 10, 0) for i in ("branch_scaled", "kaiming"))
    block, same = scaled.blocks[1], plain.blocks[1]
    x = 100 + torch.randn(2, 16, 8, 8)  # far from the ReLU's kink, so that the sum can be taken apart
    branch = same.second(torch.relu(same.first(x)))
    assert torch.allclose(block(x), torch.relu(x + branch / 3), rtol=1e-5)


@pytest.mark.parametrize(
    "arch",
    ["resnet-21", "resnet-2", "vgg-16", "resnet-", "resnet", "resnet-padded-9", "plain-9", "plain", "resnet-110\n"],
)
def test_unknown_architectures_are_refused(arch):
    with pytest.raises(UserError, match="6n \\+ 2"):
        architecture.parse(arch)


def test_architectures_are_listed_by_family_and_depth():
    mixed = ["resnet-8", "plain-20", "resnet-110", "resnet-padded-14", "plain-8", "resnet-20", "resnet-8"]
    assert architecture.in_order(mixed) == [
        "plain-8", "plain-20", "resnet-8", "resnet-20", "resnet-110", "resnet-padded-14"
    ]  # fmt: skip
