"""Norms and initialisations from files of the user's own."""

import re

import pytest
import torch
from torch import nn

from understanding_bn import cli, plugins
from understanding_bn.errors import UserError
from understanding_bn.experiment import load
from understanding_bn.experiment.plan import plan
from understanding_bn.models import guards, resnet

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
        ("return 7", "2, in norm_x: norm 'x' is int; expected a torch.nn.Module, or None for no norm"),
        ("return nn.Identity", "2, in norm_x: norm 'x' is the class Identity; expected a torch.nn.Module"),
        (
            "return nn.LazyBatchNorm2d()",
            "2, in norm_x: norm 'x' has parameters without a shape; expected a module for 16",
        ),
        ("return 1 / 0", "3, in norm_x: norm 'x' for 16 channels fails: ZeroDivisionError: division by zero"),
        ("return nn.GroupNorm(5, channels)", "3, in norm_x: norm 'x' for 16 channels fails: ValueError: num_channels"),
        ("raise SystemExit(0)", "3, in norm_x: norm 'x' for 16 channels fails: SystemExit: 0"),
        ("pass\nimport nonsense", "4, in <module>: the file fails: ModuleNotFoundError: No module named 'nonsense'"),
        ("pass\ndel norm_x", ": the file fails: AttributeError: .* has no attribute 'norm_x'"),
        ("pass\nnorm_x = lambda: None", "4, in <lambda>: norm 'x' for 16 channels fails: TypeError: .*takes 0 pos"),
    ],
)
def test_a_norm_that_cannot_be_made_is_one_line(mine, text, complaint):
    path = mine(f"from torch import nn\ndef norm_x(channels):\n    {text}\n")
    with pytest.raises(UserError, match=rf"mine.py(, line )?{complaint}"):
        resnet.build("resnet-8", "x", "kaiming", 1, 10, 0, [path])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1 / 0", "4, in init_x: init 'x' fails: ZeroDivisionError: division by zero"),
        (
            "model.stem.conv.weight = nn.Parameter(torch.ones(3))",
            r"leaves stem.0.weight as \(3,\) of float32; expected \(16",
        ),
        ("model.double()", r"leaves stem.0.weight as .* of float64; expected .* of float32, as it was"),
        ("model.linear = None", "leaves linear.weight as nothing; expected"),
        ("nn.init.constant_(model.linear.bias, float('nan'))", "leaves values in linear.bias that are not finite"),
        (
            "return nn.Linear(2, 2)",
            "3, in init_x: init 'x' returns Linear; expected it to set the network's parameters in",
        ),
        (
            "nn.init.ones_(model.linear.weight)",
            "leaves stem.0.weight as PyTorch drew it; expected it to be set, from the",
        ),
        ("pass\ndef init_x(model): ...", "5, in init_x: init 'x' fails: TypeError: .*takes 1 positional"),
    ],
)
def test_an_initialisation_that_fails_or_breaks_the_network_is_one_line(mine, text, complaint):
    path = mine(f"import torch\nfrom torch import nn\ndef init_x(model, generator):\n    {text}\n")
    with pytest.raises(UserError, match=rf"^.*mine.py, line .*{complaint}"):
        resnet.build("resnet-8", "none", "x", 1, 10, 0, [path])


OWN = """
import torch
from torch import nn

class Own(nn.Module):
    def forward(self, x):
        {}

class Refuses(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x.clone()
    @staticmethod
    def backward(context, gradient):
        raise ValueError("no way back")

def norm_x(channels):
    return {}
"""


def tried(path, batch_size=4, dtype=torch.float32):
    guards.try_norm("x", [path], resnet.WIDTHS, batch_size, 8, dtype)


@pytest.mark.parametrize(
    ("forward", "made", "complaint"),
    [
        (
            "...",
            "nn.LayerNorm(channels)",
            "17, in norm_x: norm 'x' on .* (4, 16, 8, 8) in training fails: RuntimeError: ",
        ),
        ("return x.undefined", "Own()", "7, in forward: norm 'x' on .* fails: AttributeError: 'Tensor' object has no"),
        ("return x if self.training else 1 / 0", "Own()", "7, in forward: .* in eval mode fails: ZeroDivisionError"),
        ("return x, 1", "Own()", "17, in norm_x: .* returns tuple; expected a tensor"),
        ("return x.mean(1)", "Own()", "(4, 8, 8) of float32; expected (4, 16, 8, 8) of float32, as its input"),
        ("return x[:, :, ::2, ::2]", "Own()", "(4, 16, 4, 4) of float32; expected (4, 16, 8, 8)"),
        ("return x.double()", "Own()", "of float64; expected (4, 16, 8, 8) of float32"),
        ("return x.detach()", "Own()", "passes no gradient back; expected an output that depends on its input"),
        ("return Refuses.apply(x)", "Own()", "15, in backward: the gradient of .* fails: ValueError: no way back"),
        (
            "...",
            "nn.LayerNorm([channels, 8, 8])",
            "17, in norm_x: norm 'x' on images of shape (4, 32, 4, 4) in training",
        ),
    ],
)
def test_a_norm_that_does_not_do_what_networks_expect_is_one_line(mine, forward, made, complaint):
    path = mine(OWN.format(forward, made))
    pattern = re.escape(complaint).replace(re.escape(".*"), ".*")
    with pytest.raises(UserError, match=rf"mine.py, line .*{pattern}"):
        tried(path)


def test_a_norm_is_tried_as_the_job_uses_it_and_draws_nothing_of_anyone_elses(mine):
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    tried(mine(OWN.format("return x.mul_(2).div(len(x) - 4)", "Own()")), batch_size=8)  # in place is fine
    assert torch.equal(torch.rand(2), expected)
    with pytest.raises(UserError, match=r"float32; expected .* float64"):
        tried(mine(OWN.format("return x.float()", "Own()")), dtype=torch.float64)
    ghost = "return x.view(2, 16, *x.shape[1:]).sub(1).view(x.shape)"  # works for 32 images only
    tried(mine(OWN.format(ghost, "Own()")), batch_size=32)
    with pytest.raises(UserError, match="RuntimeError"):
        tried(mine(OWN.format(ghost, "Own()")), batch_size=16)


@pytest.mark.parametrize(
    ("forward", "made", "complaint"),
    [
        ("return x if len(x) == 4 else 1 / 0", "Own()", "7, in forward: the plug-in fails: ZeroDivisionError"),
        ("...", "nn.LayerNorm(channels)", "17, in norm_x: norm 'x' fails: RuntimeError: Given normalized_shape=[16]"),
        ("return Refuses.apply(x)", "Own()", "15, in backward: the plug-in fails: ValueError: no way back"),
    ],
)
def test_what_fails_later_in_a_job_is_told_too(mine, forward, made, complaint):
    path = mine(OWN.format(forward, made))
    model = resnet.build("resnet-8", "x", "kaiming", 1, 10, 0, [path])
    with pytest.raises(UserError, match=re.escape(f"mine.py, line {complaint}")), plugins.watched([path]):
        model(torch.randn(3, 1, 8, 8)).sum().backward()
    with pytest.raises(KeyError), plugins.watched([path]):
        {}["a mistake of ours"]


def test_a_norm_that_no_plug_in_has_is_one_line(mine):
    with pytest.raises(UserError, match=r"norm 'rms' is unknown; expected one of none, .*my-rms"):
        plugins.make("norm", "rms", [mine()])


@pytest.mark.parametrize("stage", ["train", "measure"])
def test_a_job_tries_its_norm_before_it_begins(mine, digits_path, tmp_path, capsys, stage):
    path = mine(OWN.format("...", "nn.LayerNorm(channels)"))
    planned = plan(resolved(path, norm="x"))
    job = planned.train[0] if stage == "train" else planned.trained["gradient_structure"][0]
    files = {
        "--store": digits_path,
        "--out": tmp_path / "out",
        "--weights": tmp_path / "none",
        "--state": tmp_path / "s",
    }
    del files["--weights" if stage == "train" else "--state"]
    with pytest.raises(SystemExit) as ended:
        cli.main([stage, "--spec", job.spec, *(str(word) for pair in files.items() for word in pair)])
    assert ended.value.code == 2
    *_, line = capsys.readouterr().err.splitlines()  # the first says on what it computes
    assert line.startswith(f"error: {path}, line 17, in norm_x: norm 'x' on images of shape (8, 16, 8, 8) in training")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "s").exists()
