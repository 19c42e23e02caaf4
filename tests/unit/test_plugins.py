"""Norms and initialisations from files of the user's own."""

import pytest
import torch
from torch import nn

from understanding_bn import plugins
from understanding_bn.errors import UserError
from understanding_bn.experiment import load
from understanding_bn.experiment.plan import plan
from understanding_bn.models import resnet

MINE = """
from torch import nn

def norm_my_rms(channels):
    return nn.GroupNorm(2, channels)

def init_ones(model, generator):
    for parameter in model.parameters():
        nn.init.ones_(parameter)

def helper():
    pass
"""


@pytest.fixture
def mine(tmp_path):
    """Writes a plug-in."""

    def write(text=MINE, name="mine.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def resolved(*paths, norm="batch"):
    cell = {"arch": "resnet-8", "norm": norm, "alpha": 0.1, "batch_size": 8, "epochs": 1}
    return load.resolve(load.load(None) | {"plugins": [str(path) for path in paths], "grid": [cell]})


def test_a_plug_in_offers_its_functions_beside_the_packages_own(mine):
    path = mine()
    assert plugins.offers(path) == {"norm": ["my-rms"], "init": ["ones"]}
    assert plugins.names("norm", [path])[-1] == "my-rms"
    assert "final" not in plugins.names("norm")
    assert resolved(path, norm="my-rms").grid[0].norm == ("my-rms",)
    with pytest.raises(UserError, match="'my-rms' is unknown"):
        resolved(norm="my-rms")


def test_networks_are_built_with_it(mine):
    model = resnet.build("resnet-8", "my-rms", "ones", 1, 10, 0, [mine()])
    norms = [module for module in model.modules() if isinstance(module, nn.GroupNorm)]
    assert len(norms) == 9
    assert all(module.num_groups == 2 for module in norms)
    assert all((parameter == 1).all() for parameter in model.parameters())
    assert all(module.bias is None for module in model.modules() if isinstance(module, nn.Conv2d))
    assert torch.isfinite(model(torch.randn(2, 1, 8, 8))).all()


def test_none_leaves_the_place_empty(mine):
    path = mine("def norm_nothing(channels):\n    return None\n")
    model = resnet.build("resnet-8", "nothing", "kaiming", 1, 10, 0, [path])
    assert all(module.bias is not None for module in model.modules() if isinstance(module, nn.Conv2d))


def test_only_jobs_that_use_it_depend_on_it(mine):
    path = mine()
    assert plugins.sources([path], "batch", ["kaiming"]) == []
    assert plugins.sources([path], "my-rms", ["kaiming"]) == plugins.sources([path], "my-rms", ["ones"]) == [path]
    with_it, without = (plan(resolved(path, norm=norm)) for norm in ("my-rms", "batch"))
    assert [job.plugins for job in with_it.train] == [(str(path),)] * len(with_it.train)
    assert not any(job.plugins for job in without.train)
    assert not any(job.plugins for jobs in with_it.initial.values() for job in jobs)
    before = with_it.train[0].code, without.train[0].code
    mine(MINE + "# a change\n")
    assert with_it.train[0].code not in before
    assert without.train[0].code == before[1] != before[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def f(:\n", r"line 1: .*; expected a Python file"),
        ("x = 1\n", r"has no function norm_NAME\(channels\) or init_NAME\(model, generator\)"),
        ("def norm_batch(channels): ...\n", r"norm_batch: there is a norm 'batch' already; rename it"),
        ("def norm_batch_final(channels): ...\n", r"norm_batch_final: there is a norm 'batch-final' already"),
        ("def norm_RMS(channels): ...\n", r"norm_RMS: expected small letters"),
        ("def norm_(channels): ...\n", r"norm_: expected small letters"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_refused_before_any_job(mine, text, complaint):
    with pytest.raises(UserError, match=rf"^config key plugins\[0\]: .*mine.py: {complaint}"):
        resolved(mine(text))


def test_a_missing_or_unreadable_file_and_a_name_in_two_of_them_are_refused(mine, tmp_path):
    with pytest.raises(UserError, match=r"^config key plugins\[0\]: .*no.py: can't be read"):
        resolved(tmp_path / "no.py")
    with pytest.raises(UserError, match=r"^config key plugins\[0\]: .*can't be read"):
        resolved(tmp_path)
    (tmp_path / "latin.py").write_bytes(b"# \xe9\ndef norm_x(c): ...\n")
    with pytest.raises(UserError, match=r"^config key plugins\[0\]: .*expected a Python file"):
        resolved(tmp_path / "latin.py")
    with pytest.raises(UserError, match=r"^config key plugins: norm 'my-rms' is in two of them"):
        resolved(mine(name="other.py"), mine())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("def norm_x(channels):\n    return 7\n", r"norm 'x' is int; expected a torch.nn.Module"),
        ("def norm_x(channels):\n    return 1 / 0\n", r"mine.py: norm 'x' fails: ZeroDivisionError: division by zero"),
        ("import nonsense\ndef norm_x(channels): ...\n", r"mine.py: the file fails: ModuleNotFoundError: .*nonsense"),
    ],
)
def test_a_plug_in_that_fails_is_one_line(mine, text, complaint):
    path = mine(text)
    with pytest.raises(UserError, match=complaint):
        resnet.build("resnet-8", "x", "kaiming", 1, 10, 0, [path])


def test_a_norm_that_no_plug_in_has_is_one_line(mine):
    with pytest.raises(UserError, match=r"norm 'rms' is unknown; expected one of none, .*my-rms"):
        plugins.make("norm", "rms", [mine()])
