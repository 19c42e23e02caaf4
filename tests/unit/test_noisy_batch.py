"""Noisy batch norm, a plug-in of the project: its noise has the moments it should, and depends on its seed alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fake_graphs import FakeGraphs
from torch import nn
from torch.nn import functional as F
from training_runs import CPU, OPTIMISER, cell, lane, left_in_the_second_epoch

from understanding_bn import plugins
from understanding_bn.analysis.context import flat, loss_at
from understanding_bn.analysis.hessian import Objective
from understanding_bn.data.store import Store
from understanding_bn.models import resnet
from understanding_bn.models.guards import try_norm
from understanding_bn.models.places import STEM
from understanding_bn.training import checkpoint, loop
from understanding_bn.training.state import start

PLUGIN = Path(__file__).resolve().parents[2] / "workflow" / "norms" / "noisy_batch.py"
NORM, SHORT = "noisy-batch", {"norm": "noisy-batch", "batch_size": 8}


@pytest.fixture
def few():
    """32 images to train on, four updates an epoch, and 8 to test on."""
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    info = {"channel_mean": [0.5], "channel_std": [0.3]}
    return Store(images, np.arange(40) % 10, np.repeat(np.array([0, 1], dtype=np.uint8), [32, 8]), info)


def network(seed=0, norm=NORM):
    return resnet.build("resnet-8", norm, "xavier_uniform", 1, 10, seed, [PLUGIN])


def noisy(channels=16, key=0):
    module = plugins.make("norm", NORM, [PLUGIN])(channels, STEM)
    module.key.fill_(key)
    return module


def noises(model):
    return [module for module in model.modules() if hasattr(module, "seed_from")]


def run(seed, device_alpha=False):
    made = start(cell(**SHORT), OPTIMISER, seed, 1, 10, CPU, [PLUGIN])
    if device_alpha:  # as on a GPU, where a graph reads it
        made.optimiser.param_groups[0]["lr"] = torch.tensor(0.05)
    return made


def same(left, right):
    """Whether two runs went the same way, bit for bit."""
    assert left.rows == right.rows
    states = (run.model.state_dict() for run in (left, right))
    assert all(torch.equal(one, other) for one, other in zip(*(state.values() for state in states), strict=True))


def test_it_is_offered_and_passes_the_trial_of_plug_ins():
    assert plugins.offers(PLUGIN)["norm"] == [NORM]
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        try_norm(NORM, [PLUGIN], (8, 16), 4, 4, dtype)


def test_its_numbers_are_those_of_splitmix64():
    """Against the reference implementation's first outputs for the seed 1234567."""
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    parts = torch.tensor([[number >> shift & 0x7FFFFF for number in known] for shift in (41, 18)])
    assert torch.equal(noisy(key=1234567).uniform(3), (parts + 0.5) / 2**22 - 1)


def test_noise_is_that_of_the_source():
    """s and m apart: of activations that are all 0 the output is m, of all 1 it is s + m, at the same draw."""
    module = noisy(channels=32)
    images, noise = torch.zeros(8, 32, 4, 4), []
    for draw in range(50):
        outputs = []
        for value in (0.0, 1.0):
            nn.init.constant_(module.bias, value)
            module.draws.fill_(draw)
            outputs.append(module(images).detach().double())
        noise.append(torch.stack([outputs[0], outputs[1] - outputs[0]]))
    noise = torch.stack(noise).movedim(3, 2).flatten(3)  # draw, m or s, channel, activation
    of_channel = noise.mean(3)
    count, inside = of_channel[:, 0].numel(), noise.shape[3]
    for part, centre, reach, spread in ((0, 0, 0.5, 0.1**2 / 3), (1, 1.125, 0.125, 0.1**2)):
        error = (reach**2 / 3 / count) ** 0.5
        assert of_channel[:, part].mean().item() == pytest.approx(centre, abs=3 * error)
        # Of a channel it is uniform; beside its variance stands that of a mean over activations.
        assert of_channel[:, part].var().item() == pytest.approx(reach**2 / 3 + spread / inside, rel=0.06)
        assert noise[:, part].var(3 - 1).mean().item() == pytest.approx(spread, rel=0.01)
    assert noise[:, 0].abs().max() < 0.6
    # Of an activation m is uniform and s normal, which fourth moments tell apart.
    rest = noise - of_channel[..., None]
    kurtosis = (rest**4).mean((0, 2, 3)) / rest.square().mean((0, 2, 3)) ** 2
    assert kurtosis.tolist() == pytest.approx([1.8, 3.0], rel=0.03)
    # From update to update, channel to channel, activation to activation, and of m with s, nothing is left of either.
    pairs = [(of_channel[:, 0], of_channel[:, 1]), (rest[:, 0], rest[:, 1])]
    for values in (*of_channel.unbind(1), *rest.unbind(1)):
        for along in range(values.dim()):
            pairs.append(tuple(values.narrow(along, begin, values.shape[along] - 1) for begin in (0, 1)))
    for one, other in pairs:
        correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1].item()
        # That of an activation with the next is −1/(n − 1), where a mean over n was taken away.
        assert abs(correlation) < 4 / one.numel() ** 0.5 + 1 / (inside - 1)


def test_without_training_there_is_no_noise_but_its_mean():
    module, twin = noisy(), nn.BatchNorm2d(16)
    images = torch.randn(4, 16, 3, 3, generator=torch.Generator().manual_seed(0))
    module(images), twin(images)  # which sets the running statistics
    before = {name: value.clone() for name, value in module.named_buffers()}
    assert torch.allclose(module.eval()(images), 1.125 * twin.eval()(images))
    assert all(torch.equal(value, before[name]) for name, value in module.named_buffers())


def test_weights_are_those_of_batch_norm_and_every_layer_has_a_key_of_its_own():
    ours, theirs = network(), network(norm="batch")
    assert torch.equal(flat(ours.parameters()), flat(theirs.parameters()))
    keys = [int(module.key) for seed in (0, 1) for module in noises(network(seed))]
    assert len(set(keys)) == len(keys) == 2 * 9


def test_noise_depends_on_nothing_but_the_seed_and_the_number_of_draws():
    images = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    first = network().train()
    outputs = [first(images) for _ in range(2)]
    torch.manual_seed(2)
    network(5)(images)
    again = network().train()
    assert all(torch.equal(again(images), output) for output in outputs)
    assert not torch.allclose(*outputs)
    # Nor on how images lie in memory, or what they are.
    module, turned = noisy(), noisy()
    y = torch.zeros(2, 16, 3, 3)
    assert torch.equal(module(y), turned(y.to(memory_format=torch.channels_last)))


@pytest.fixture
def fixed():
    """A network after one draw, a mini-batch, and the objective that is made of both."""
    model = network().train()
    batch = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8)
    model(batch[0])
    return model, batch, Objective(model, [batch], "train")


def test_a_network_that_must_stay_one_function_keeps_its_draw(fixed):
    """As for a Hessian, which has one only then."""
    model, (images, labels), objective = fixed
    assert objective.loss() == objective.loss() == loss_at(model, images, labels)
    assert [int(module.draws) for module in noises(model)] == [2] * 9  # the objective's own passes are not counted


@pytest.mark.slow
def test_its_gradient_is_that_of_the_draw(fixed):
    model, batch, objective = fixed
    products = [objective.gradient() for _ in range(2)]
    assert torch.equal(*products)
    F.cross_entropy(model(batch[0]), batch[1]).backward()
    assert torch.allclose(products[0], flat([p.grad for p in model.parameters()]), rtol=1e-4, atol=1e-6)


def test_a_resumed_run_is_the_uninterrupted_one(few, tmp_path):
    whole, part, again = run(0), run(0), run(0)
    loop.train([lane(whole, few, **SHORT)])
    left_in_the_second_epoch(lane(part, few, **SHORT), tmp_path)
    assert checkpoint.restore(again, tmp_path)
    loop.train([lane(again, few, **SHORT)])
    same(whole, again)
    assert [int(module.draws) for module in noises(whole.model)] == [8] * 9  # the pass that judges the end is undone


def test_other_seeds_beside_it_change_nothing(few):
    alone, beside, other = run(0), run(0), run(1)
    loop.train([lane(alone, few, **SHORT)])
    loop.train([lane(other, few, 1, **SHORT), lane(beside, few, **SHORT)], room=lambda going: going < 2)
    same(alone, beside)
    assert alone.rows != other.rows


def test_a_recorded_step_draws_anew_each_time_it_is_replayed(few):
    """As a CUDA graph must; and warm-up and recording draw nothing that is missed later."""
    replayed, plain = (run(0, device_alpha=True) for _ in range(2))
    loop.train([lane(replayed, few, recorder=FakeGraphs(), **SHORT)])
    loop.train([lane(plain, few, **SHORT)])
    same(replayed, plain)
