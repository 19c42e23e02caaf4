"""The Hessian: products, Lanczos, stochastic quadrature and both ends against dense matrices in float64."""

import copy
import importlib.util
import json
import math

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import nn
from torch.nn import functional as F

from understanding_bn import plugins
from understanding_bn.analysis import lanczos, spectral, spectrum, tape
from understanding_bn.analysis.context import Context
from understanding_bn.analysis.hessian import Objective
from understanding_bn.benchmark import hvp
from understanding_bn.data.batches import Split
from understanding_bn.errors import UserError
from understanding_bn.measurements import hessian_spectrum
from understanding_bn.measurements.hessian_spectrum import HessianSpectrum
from understanding_bn.models import places, resnet
from understanding_bn.settings import Augmentation, Optimiser

CLASSES = 3


class Small(nn.Module):
    """A residual block of 4 channels between a strided stem and a linear layer: some 400 parameters."""

    def __init__(self, norm="batch", smooth=False):
        super().__init__()
        own = plugins.make("norm", norm) if norm != "group" else lambda channels: nn.GroupNorm(2, channels)
        make = places.placed(own)
        self.stem = resnet.ConvNorm(1, 4, 3, 2, make, places.STEM)
        self.block = resnet.Block(4, 4, 1, "projection", make)
        self.linear = nn.Linear(4, CLASSES)
        self.smooth = smooth

    def forward(self, x):
        x = torch.tanh(self.stem(x)) if self.smooth else F.relu(self.stem(x), inplace=True)
        x = torch.tanh(self.block.second(torch.tanh(self.block.first(x))) + x) if self.smooth else self.block(x)
        return self.linear(x.mean((2, 3)))

    def layer(self, number):
        return {1: self.stem.conv}[number]


def network(norm="batch", smooth=False, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    model = Small(norm, smooth)
    for module in model.modules():  # moments as after some training
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    return model.to(dtype).to(memory_format=torch.channels_last)


def batches(count=2, size=6, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(size, 1, 6, 6, generator=generator, dtype=torch.float64).to(dtype),
            torch.randint(0, CLASSES, (size,), generator=generator),
        )
        for _ in range(count)
    ]


def vector(size, seed=2):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(model, data, mode):
    """The Hessian, all rows at once, by double backward with the ordinary modules and autograd."""
    model = copy.deepcopy(model).double().train(mode == "train")
    parameters = list(model.parameters())
    total = sum(len(labels) for _, labels in data)
    loss = sum(F.cross_entropy(model(images.double()), labels) * len(labels) / total for images, labels in data)
    gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, parameters, create_graph=True)])
    each = torch.eye(len(gradient), dtype=gradient.dtype)
    rows = torch.autograd.grad(gradient, parameters, each, is_grads_batched=True, materialize_grads=True)
    return torch.cat([part.flatten(1) for part in rows], dim=1)


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@pytest.fixture(scope="module")
def matrix():
    return dense(network(), batches(), "train")


MODES = [("batch", "train"), ("batch", "eval"), ("none", "train"), ("group", "train")]
MODES += [("ghost-3", "train"), ("ghost-3", "eval")]


@pytest.mark.parametrize(("norm", "mode"), MODES)
def test_products_are_those_of_the_dense_hessian(norm, mode):
    model, data = network(norm), batches()
    objective = Objective(model, data, mode)
    v = vector(objective.size)
    assert relative(objective.hvp(v), dense(model, data, mode) @ v) < 1e-12


def test_a_float32_network_has_float64_products():
    model, data = network(dtype=torch.float32), batches(dtype=torch.float32)
    objective = Objective(model, data, "train")
    v = vector(objective.size)
    found = objective.hvp(v)
    assert found.dtype == torch.float64
    assert relative(found, dense(model, data, "train") @ v) < 1e-5


def test_products_are_central_differences_of_the_gradient():
    model, data = network(smooth=True), batches()
    objective = Objective(model, data, "train")
    v = vector(objective.size)
    h = 1e-5

    def gradient(step):
        moved, start = copy.deepcopy(model), 0
        with torch.no_grad():
            for parameter in moved.parameters():
                part = v[start : start + parameter.numel()].view(parameter.shape)
                parameter += step * part
                start += parameter.numel()
        return Objective(moved, data, "train").gradient()

    assert relative((gradient(h) - gradient(-h)) / (2 * h), objective.hvp(v)) < 1e-6


def test_loss_and_gradient_are_autograds():
    model, data = network(), batches()
    objective = Objective(model, data, "train")
    model.train()
    loss = (F.cross_entropy(model(data[0][0]), data[0][1]) + F.cross_entropy(model(data[1][0]), data[1][1])) / 2
    loss.backward()
    assert objective.loss() == pytest.approx(loss.item(), rel=1e-14)
    assert relative(objective.gradient(), torch.cat([p.grad.reshape(-1) for p in model.parameters()])) < 1e-13


def test_products_are_symmetric():
    objective = Objective(network(), batches(), "train")
    u, v = vector(objective.size, 3), vector(objective.size, 4)
    assert torch.dot(u, objective.hvp(v)).item() == pytest.approx(torch.dot(v, objective.hvp(u)).item(), rel=1e-12)


def test_minibatches_add_up_by_their_sizes():
    data = batches(1, 6) + batches(1, 4)
    whole = Objective(network(), data, "train")
    first, second = (Objective(network(), [batch], "train") for batch in data)
    v = vector(whole.size)
    assert relative(whole.hvp(v), 0.6 * first.hvp(v) + 0.4 * second.hvp(v)) < 1e-13
    assert relative(whole.gradient(), 0.6 * first.gradient() + 0.4 * second.gradient()) < 1e-13
    assert whole.loss() == pytest.approx(0.6 * first.loss() + 0.4 * second.loss(), rel=1e-13)


def test_order_within_a_minibatch_does_not_matter():
    ((images, labels),) = batches(1)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    v = vector(Objective(network(), [(images, labels)], "train").size)
    shuffled = Objective(network(), [(images[order], labels[order])], "train").hvp(v)
    assert relative(shuffled, Objective(network(), [(images, labels)], "train").hvp(v)) < 1e-13


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_model_is_left_as_it_was(mode):
    model = network()
    before = copy.deepcopy(model.state_dict())
    objective = Objective(model, batches(), mode)
    objective.loss(), objective.gradient(), objective.hvp(vector(objective.size))
    assert model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_passes_kept_and_done_anew_give_the_same_and_seeds_share_a_program():
    data = batches(3)
    kept, anew = Objective(network(), data, "train"), Objective(network(), data, "train", memory=0)
    v = vector(kept.size)
    assert torch.equal(kept.hvp(v), anew.hvp(v))
    assert torch.equal(kept.hvp(v), anew.hvp(v))
    assert kept.kept_bytes > 0 and anew.kept_bytes == 0
    other = network(seed=5)
    assert relative(Objective(other, data, "train").hvp(v), dense(other, data, "train") @ v) < 1e-12


def test_a_block_is_that_of_the_dense_matrix(matrix):
    model = network()
    names, start, where = ["block.first.0.weight", "linear.bias"], 0, []
    for name, parameter in model.named_parameters():
        if name in names:
            where += range(start, start + parameter.numel())
        start += parameter.numel()
    expected = matrix[where][:, where]
    alone = Objective(model, batches(), "train", only=names)
    v = vector(alone.size)
    assert alone.size == len(where)
    assert relative(alone.hvp(v), expected @ v) < 1e-12
    assert torch.equal(Objective(model, batches(), "train").block(names).hvp(v), alone.hvp(v))
    assert relative(alone.gradient(), Objective(model, batches(), "train").gradient()[where]) < 1e-14
    with pytest.raises(ValueError, match="no such parameters: stem"):
        Objective(model, batches(), "train", only=["stem"])


def test_a_layer_that_writes_to_a_buffer_is_refused():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(36, CLASSES)
            self.register_buffer("seen", torch.zeros(()))

        def forward(self, x):
            self.seen.add_(1)
            return self.linear(x.flatten(1))

    objective = Objective(Counting().double(), batches(), "train")
    with pytest.raises(RuntimeError, match="in-place"):
        objective.hvp(vector(objective.size))


def test_tapes_hold_what_the_vector_does_not_enter():
    def function(point, vector):
        (x,), (v,) = point, vector
        return [x.sin(), x.cos() * v + x.exp() * v]

    x, v = torch.randn(4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    program = tape.trace(function, [x], [v])
    values, kept = program.primal(2 * x)
    assert torch.equal(values[0], (2 * x).sin())
    assert torch.equal(program.linear(*kept, v)[0], (2 * x).cos() * v + (2 * x).exp() * v)
    assert len(kept) == 2
    assert tape.size(kept) == 2 * 4 * 8
    with pytest.raises(ValueError, match="values depend"):
        tape.trace(lambda point, vector: [vector[0].sin(), point[0] * vector[0]], [x], [v])


def test_both_ends_are_the_dense_ones(matrix):
    expected = np.linalg.eigvalsh(matrix.numpy())
    objective = Objective(network(), batches(), "train")
    ends = lanczos.extremes(objective.hvp, objective.size, 4, 1e-10, seed=0)
    assert ends["top"][0] == pytest.approx(expected[::-1][:4], rel=1e-9)
    assert ends["bottom"][0] == pytest.approx(expected[:4], rel=1e-9)
    assert max(ends["top"][1].max(), ends["bottom"][1].max()) < 1e-8 * expected.max()
    again = lanczos.extremes(objective.hvp, objective.size, 4, 1e-10, seed=0)
    assert np.array_equal(ends["top"][0], again["top"][0])
    with pytest.raises(ValueError, match="4 eigenvalues of a matrix of 4 rows"):
        lanczos.extremes(objective.hvp, 4, 4, 1e-10, seed=0)


def test_trace_and_density_are_the_dense_ones(matrix):
    size = len(matrix)
    expected = np.linalg.eigvalsh(matrix.numpy())
    seen = list(lanczos.quadrature(lambda v: matrix @ v, size, 200, 40, torch.Generator().manual_seed(0)))
    value, error = spectral.trace(np.array([each.form for each in seen]))
    assert abs(value - expected.sum()) < 3 * error < 0.1 * abs(expected).sum()
    nodes, weights = np.concatenate([s.nodes for s in seen]), np.concatenate([s.weights for s in seen])
    distance = wasserstein_distance(expected, nodes, v_weights=weights)
    # Measured: 0.3 % of the spectrum's width; the mean |λ| is 4 % of it.
    assert distance < 0.005 * (expected.max() - expected.min())
    assert np.isnan(spectral.trace(np.ones(1))[1])
    # Forms 1, 3 and 8: mean 4, squared deviations 26, error √(26 / 2 / 3).
    assert spectral.trace(np.array([1.0, 3.0, 8.0])) == pytest.approx((4, math.sqrt(13 / 3)))


def test_smoothed_density_has_the_weight_of_its_nodes():
    grid = np.linspace(-10, 10, 4001)
    drawn = spectral.density(np.array([-1.0, 2.0]), np.array([0.25, 0.75]), grid, 0.5)
    assert np.trapezoid(drawn, grid) == pytest.approx(1)
    assert np.trapezoid(drawn[grid < 0.5], grid[grid < 0.5]) == pytest.approx(0.25, abs=2e-3)


@pytest.fixture(scope="module")
def context(digits):
    split = Split(digits, "train", 1, torch.device("cpu"))
    return Context(split, 10, "resnet-8", "xavier_uniform", 16, Augmentation(pad=1, flip=False), Optimiser())


@pytest.mark.slow
def test_a_layer_must_have_more_weights_than_eigenvalues_asked_for(context):
    data = spectrum.partition(context.split, 16, 16, 0)
    with pytest.raises(UserError, match=r"top: 144 .* layer 1 has 144 weights; expected at most 143"):
        spectrum.spectrum(context.model("none", 0), data, ["train"], 144, 1, 2, [1], 0)


def test_a_spectrum_has_every_mode_block_and_probe():
    model = network()
    table = spectrum.spectrum(model, batches(), ["train", "eval"], 1, 2, 4, [1], 0)
    assert list(table.columns) == spectrum.COLUMNS
    counts = table.groupby(["bn_mode", "block", "kind"]).size()
    for mode in ("train", "eval"):
        for block in ("all", "1"):
            assert counts[mode, block].to_dict() == {"node": 8, "top": 1, "bottom": 1, "trace": 2}
    nodes = table[table["kind"] == "node"]
    assert nodes.groupby(["bn_mode", "block", "probe"])["weight"].sum().to_numpy() == pytest.approx(1)
    ends = table[table["kind"].isin(["top", "bottom"])]
    widest = ends.groupby(["bn_mode", "block"])["value"].transform(lambda values: values.max() - values.min())
    assert (ends["residual"] < 1e-3 * widest).all()
    # A probe's v·Hv is n times the mean of its nodes, weighted.
    mean = (nodes["value"] * nodes["weight"]).groupby([nodes["bn_mode"], nodes["block"], nodes["probe"]]).sum()
    forms = table[table["kind"] == "trace"].set_index(["bn_mode", "block", "probe"])["value"]
    ratio = (forms / mean).groupby("block").mean()
    assert ratio["1"] == pytest.approx(4 * 9)
    assert ratio["all"] == pytest.approx(sum(p.numel() for p in model.parameters()))


def test_networks_without_batch_statistics_are_measured_once(context):
    options = HessianSpectrum(at=[0], subset=16, bn_modes=["train", "eval"], top=1, probes=1, steps=3)
    table = hessian_spectrum.measure(context, "none", 0, options)
    assert list(table.columns) == list(hessian_spectrum.COLUMNS) == ["partition", *spectrum.COLUMNS]
    assert set(table["bn_mode"]) == {"none"}
    assert len(table[table["kind"] == "trace"]) == 1


@pytest.mark.parametrize("norm", ["batch", "ghost-3"])
def test_in_eval_mode_the_partition_does_not_matter_and_in_train_mode_it_does(norm):
    ((images, labels),) = batches(1, 12)
    halves = list(zip(images.split(6), labels.split(6), strict=True))
    shuffled = images.roll(1, 0), labels.roll(1, 0)  # which gives ghost norm's groups other images
    model, v = network(norm), vector(Objective(network(norm), halves, "eval").size)
    found = {
        mode: [Objective(model, data, mode).hvp(v) for data in ([(images, labels)], halves, [shuffled])]
        for mode in ("eval", "train")
    }
    assert relative(found["eval"][1], found["eval"][0]) < 1e-12
    assert relative(found["eval"][2], found["eval"][0]) < 1e-12
    parted = found["train"][1 if norm == "batch" else 2]
    assert relative(parted, found["train"][0]) > 0.05
    if norm == "ghost-3":  # its groups are the same in halves of the mini-batch
        assert relative(found["train"][1], found["train"][0]) < 1e-12


def test_a_network_that_has_diverged_has_nans_in_place_of_values(context):
    model = context.model("none", 0)
    with torch.no_grad():
        model.linear.weight.fill_(float("nan"))
    data = spectrum.partition(context.split, 16, 16, 0)
    table = spectrum.spectrum(model, data, ["train"], 2, 3, 3, [2], 0)
    assert table[["value", "weight", "residual"]].isna().all(axis=None)
    kinds = table.groupby(["block", "kind"]).size().to_dict()
    assert kinds == {(b, k): n for b in ("2", "all") for k, n in (("top", 2), ("bottom", 2), ("node", 3), ("trace", 3))}


def test_curvlinops_agrees_in_eval_mode():
    curvlinops = pytest.importorskip("curvlinops")
    model, data = network().eval(), batches()
    theirs = curvlinops.HessianLinearOperator(model, nn.CrossEntropyLoss(), list(model.parameters()), data)
    objective = Objective(model, data, "eval")
    v = vector(objective.size)
    assert relative(objective.hvp(v), theirs @ v) < 1e-11


def test_pyhessian_agrees_in_eval_mode():
    pyhessian = pytest.importorskip("pyhessian")
    model, data = network().eval(), batches()
    theirs = pyhessian.hessian(model, nn.CrossEntropyLoss(), dataloader=data, cuda=False)
    objective = Objective(model, data, "eval")
    values, _ = theirs.eigenvalues(maxIter=500, tol=1e-9, top_n=1)
    ends = lanczos.extremes(objective.hvp, objective.size, 1, 1e-10, seed=0)
    largest = max(ends["top"][0][0], ends["bottom"][0][0], key=abs)
    assert values[0] == pytest.approx(largest, rel=1e-4)


def test_the_benchmark_writes_its_ratios(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(hvp, "LEAST_SECONDS", 0.001)
    before = getattr(torch, "eig", None)
    hvp.run(["resnet-8"], [8], ["none"], 8, 2, 1, 2, tmp_path / "hvp.json", wanted_device="cpu")
    (case,) = json.loads((tmp_path / "hvp.json").read_text())["cases"]
    assert case["bn_mode"] == "none"
    assert case["difference"] < 1e-5
    for side in hvp.SIDES:
        assert 0 < case[side]["min"] <= case[side]["median"] <= case[side]["max"]
        assert len(case["seconds"][side]) == 2
    printed = capsys.readouterr().out
    assert "resnet-8 8×8 none" in printed
    assert ("PyHessian: not installed" in printed) == (importlib.util.find_spec("pyhessian") is None)
    assert getattr(torch, "eig", None) is before
    with pytest.raises(UserError, match="'bath' is unknown"):
        hvp.run(["resnet-8"], [8], ["bath"], 8, 2, 1, 2, tmp_path / "hvp.json", wanted_device="cpu")
