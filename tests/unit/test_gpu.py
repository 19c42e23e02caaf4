"""What only a GPU can show: `pytest -m gpu`. Elsewhere these tests are skipped."""

import pandas as pd
import pytest
import torch
from torch.nn import functional as F
from training_runs import AUGMENTATION, MILESTONES, OPTIMISER, cell, job, left_in_the_second_epoch, results

from understanding_bn import device as devices
from understanding_bn.benchmark import synthetic
from understanding_bn.data.batches import Split
from understanding_bn.models.resnet import build
from understanding_bn.settings import Augmentation
from understanding_bn.stages import train as stage
from understanding_bn.training import checkpoint, loop
from understanding_bn.training.graphs import CudaGraphs
from understanding_bn.training.state import start
from understanding_bn.training.update import step

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here"),
]
NORMS = ["batch", "none", "group"]


@pytest.fixture(scope="module")
def gpu():
    return devices.prepare(1, "cuda")


def lane(digits, gpu, graphs=True, seed=0, run=None, precision="float32", **changes):
    """A lane on the GPU."""
    splits = Split(digits, "train", 1, gpu), {"test": Split(digits, "test", 0, gpu)}
    run = run or start(cell(**changes), OPTIMISER, seed, 1, 10, gpu)
    recorder = CudaGraphs(gpu) if graphs else None
    return loop.Lane(run, cell(**changes), seed, *splits, AUGMENTATION, MILESTONES, (), precision, recorder)


def rows(lane):
    return pd.DataFrame(lane.run.rows)[["train_loss", "train_accuracy", "test_loss", "test_accuracy", "weight_norm"]]


@pytest.mark.parametrize("norm", NORMS)
def test_gradients_are_as_near_to_float64_as_a_cpus(gpu, norm):
    """One mini-batch of CIFAR-10's size through a ResNet-20: the GPU's error is at most ten times the CPU's."""
    store = synthetic.store(64, 32)

    def gradient(device, dtype):
        split = Split(store, "train", 4, device)
        images, labels = next(split.epoch(0, 0, 64, Augmentation(pad=4, flip=True)))
        model = build("resnet-20", norm, "kaiming", 3, 10, 0).to(device=device, dtype=dtype)
        loss = F.cross_entropy(model(images.to(dtype)), labels)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        return torch.cat([each.double().cpu().flatten() for each in gradients])

    cpu = torch.device("cpu")
    exact = gradient(cpu, torch.float64)
    errors = [(gradient(device, torch.float32) - exact).norm() / exact.norm() for device in (cpu, gpu)]
    assert (gradient(gpu, torch.float64) - exact).norm() / exact.norm() < 1e-9
    assert errors[1] < max(10 * errors[0], 1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_first_losses_are_a_cpus(digits, gpu, norm):
    """Twenty updates: errors of rounding grow, but not far."""

    def losses(device):
        run = start(cell(norm=norm, alpha=0.01), OPTIMISER, 0, 1, 10, device)
        batches = Split(digits, "train", 1, device).epoch(0, 0, 64, AUGMENTATION)
        run.model.train()
        return [step(run.model, run.optimiser, *next(batches))[0].item() for _ in range(20)]

    assert losses(gpu) == pytest.approx(losses(torch.device("cpu")), rel=1e-2)


@pytest.mark.parametrize("norm", NORMS)
def test_graphs_train_as_steps_do(digits, gpu, norm):
    """Both read the same tensors; sums in another order may differ in their last digits."""
    settings = {"norm": norm, "alpha": 0.01, "epochs": 2}
    recorded, alone = lane(digits, gpu, **settings), lane(digits, gpu, graphs=False, **settings)
    for each in (recorded, alone):
        loop.train([each])
    assert rows(recorded).to_numpy() == pytest.approx(rows(alone).to_numpy(), rel=0.02, abs=0.02)


def test_lanes_side_by_side_train_as_alone(digits, gpu):
    settings = [{"norm": "batch"}, {"norm": "none", "alpha": 1000.0}, {"norm": "batch", "batch_size": 64}]
    together = [lane(digits, gpu, seed=seed, **changes) for seed, changes in enumerate(settings)]
    loop.train(together, room=lambda going: going < 3)
    for seed, (each, changes) in enumerate(zip(together, settings, strict=True)):
        alone = lane(digits, gpu, seed=seed, **changes)
        loop.train([alone])
        assert each.run.failure.kind == alone.run.failure.kind
        if not alone.run.diverged:
            assert rows(each).to_numpy() == pytest.approx(rows(alone).to_numpy(), rel=0.02, abs=0.02)
    assert together[1].run.diverged


def test_taken_up_in_the_middle_of_an_epoch_it_goes_on(digits, gpu, tmp_path):
    left_in_the_second_epoch(lane(digits, gpu), tmp_path)
    again = start(cell(), OPTIMISER, 0, 1, 10, gpu)
    assert checkpoint.restore(again, tmp_path)
    part, whole = lane(digits, gpu, run=again), lane(digits, gpu)
    for each in (part, whole):
        loop.train([each])
    assert rows(part).to_numpy() == pytest.approx(rows(whole).to_numpy(), rel=0.02, abs=0.02)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_a_job_in_each_precision(digits_path, gpu, tmp_path, precision):
    each = job([0, 1, 2]).model_copy(update={"precision": precision})
    stage.run(each, digits_path, tmp_path / "out", tmp_path / "state", 1, "cuda")
    history, weights, record = results(tmp_path / "out")
    assert record.dtype == precision
    assert record.device == torch.cuda.get_device_name(gpu)
    assert history["test_accuracy"].groupby(history["seed"]).last().gt(0.5).all()
    tracked = [int(value) for name, value in weights[0][2].items() if name.endswith("num_batches_tracked")]
    assert set(tracked) == {2 * (1437 // 128)}
