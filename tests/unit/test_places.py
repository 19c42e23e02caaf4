"""Norms that stand in some places of a network, the project's own plug-ins among them."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from understanding_bn import plugin_files
from understanding_bn.errors import UserError
from understanding_bn.experiment import load
from understanding_bn.experiment.plan import plan
from understanding_bn.models import guards, norms, places, resnet

ROOT = Path(__file__).resolve().parents[2]
SKIPINIT = "workflow/norms/skipinit.py"
ASKED = """
from torch import nn
asked = []
def norm_x(channels, place):
    asked.append((place, channels))
    return nn.GroupNorm(1, channels) if place == "{}" else None
"""


def build(arch, norm, init="kaiming", path=ROOT / SKIPINIT):
    return resnet.build(arch, norm, init, 3, 10, 0, [path])


def plug_in(tmp_path, place):
    path = tmp_path / "x.py"
    path.write_text(ASKED.format(place))
    return path


@pytest.mark.parametrize(
    ("arch", "place", "expected"),
    [
        ("resnet-8", "stem", ["stem.1"]),
        ("resnet-8", "branch", ["blocks.0.first.1", "blocks.1.first.1", "blocks.2.first.1"]),
        ("resnet-8", "branch_end", ["blocks.0.second.1", "blocks.1.second.1", "blocks.2.second.1"]),
        ("resnet-8", "shortcut", ["blocks.1.shortcut.1", "blocks.2.shortcut.1"]),
        ("resnet-8", "final", ["final_norm"]),
        ("resnet-padded-8", "shortcut", []),
        ("plain-8", "branch", [f"blocks.{block}.{side}.1" for block in range(3) for side in ("first", "second")]),
        ("plain-8", "branch_end", []),
    ],
)
def test_a_norm_stands_where_it_says(tmp_path, arch, place, expected):
    model = build(arch, "x", path=plug_in(tmp_path, place))
    assert [name for name, module in model.named_modules() if isinstance(module, nn.GroupNorm)] == expected
    normed = {name.removesuffix(".1") for name in expected}
    for name, module in model.named_modules():
        if isinstance(module, resnet.ConvNorm):
            assert (module.conv.bias is None) == (name in normed)


def test_a_norm_without_places_follows_every_convolution():
    everywhere = places.placed(norms.layer)
    assert [place for place in places.PLACES if everywhere(8, place) is None] == [places.FINAL]
    assert places.placed(norms.batch_final)(8, places.STEM) is None


def test_a_norm_is_tried_in_every_place_with_the_channels_that_networks_have_there(tmp_path):
    path = plug_in(tmp_path, "nowhere")
    path.write_text(path.read_text() + "    assert channels == 64 or place != 'final'\n")
    guards.try_norm("x", [path], resnet.WIDTHS, 2, 8, torch.float32)
    path.write_text(ASKED.format("final").replace("nn.GroupNorm(1, channels)", "nn.GroupNorm(1, 32)"))
    with pytest.raises(UserError, match=r"norm 'x' on images of shape \(2, 64, 2, 2\) in training fails"):
        guards.try_norm("x", [path], resnet.WIDTHS, 2, 8, torch.float32)


def test_a_network_with_skipinit_begins_as_its_shortcuts_alone_and_its_scalars_learn():
    model, images = build("resnet-20", "skipinit"), torch.randn(4, 3, 8, 8)
    x = model.stem(images).relu()
    for block in model.residual_blocks:
        x = block.shortcut(x).relu()
    torch.testing.assert_close(model.features(images), x)
    model(images).logsumexp(1).sum().backward()
    scalars = [parameter for name, parameter in model.named_parameters() if name.endswith("scale")]
    assert len(scalars) == 9
    assert all(scalar.shape == () and scalar == 0 and scalar.grad != 0 for scalar in scalars)


def test_skipinit_is_no_norm_but_for_its_scalars():
    ours, none = (build("resnet-8", norm).state_dict() for norm in ("skipinit", "none"))
    scalars = {f"blocks.{block}.second.1.scale" for block in range(3)}
    assert ours.keys() - none.keys() == scalars
    assert all(torch.equal(none[name], ours[name]) for name in none), "biases and weights are the same"
    assert [*build("plain-8", "skipinit").state_dict()] == [*build("plain-8", "none").state_dict()]


def test_the_page_shows_skipinit_as_it_is():
    page = (ROOT / "docs/extending.md").read_text()
    (shown,) = re.findall(rf"```python\n# in {SKIPINIT}\n(.*?)```", page, re.S)
    assert (ROOT / SKIPINIT).read_text().endswith(shown)
    for place in places.PLACES:
        assert f"| `{place}` |" in page


def test_a_plug_in_is_found_in_the_folder_of_the_run_and_else_in_the_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert plugin_files.paths([SKIPINIT, "mine.py"]) == [ROOT / SKIPINIT, Path("mine.py")]
    cell = {"arch": "resnet-8", "norm": "skipinit", "alpha": 0.1, "batch_size": 8, "epochs": 1}
    job = plan(load.resolve(load.load(None) | {"plugins": [SKIPINIT], "grid": [cell]})).train[0]
    assert job.plugins == (SKIPINIT,), "as the config has it: no folder of this machine"
    (tmp_path / SKIPINIT).parent.mkdir(parents=True)
    (tmp_path / SKIPINIT).write_text("def norm_skipinit(channels):\n    return None\n")
    assert plugin_files.paths([SKIPINIT]) == [Path(SKIPINIT)]
    assert job.code != plan(load.resolve(load.load(None) | {"grid": [cell | {"norm": "none"}]})).train[0].code
