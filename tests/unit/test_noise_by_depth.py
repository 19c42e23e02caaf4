"""The noise of SGD along curvature, against closed forms and central differences, and its measurement by depth."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_of
from torch import nn

from understanding_bn.analysis import gradient_moments as gm
from understanding_bn.analysis.context import flat
from understanding_bn.analysis.curvature_of_noise import curvature_of_noise
from understanding_bn.measurements import gradient_structure, noise_by_depth
from understanding_bn.measurements.gradient_structure import GradientStructure
from understanding_bn.measurements.noise_by_depth import NoiseByDepth

SIZE = 5


class Point(nn.Module):
    """Weights w as a network: its "logits" are R(w − x) for each image x, (B, SIZE)."""

    def __init__(self, weights, root):
        super().__init__()
        self.weights = nn.Parameter(weights)
        self.register_buffer("root", root)

    def forward(self, x):
        return (self.weights - x) @ self.root.T


def saddle(logits, labels):
    """½ zᵀAz of z = w − x, with A = RᵀDR: D has 1 three times, then −1 twice."""
    return (logits[:, :3].square().sum(1) - logits[:, 3:].square().sum(1)).mean() / 2


def quadratic(scale=1.0, dtype=torch.float64):
    """A network whose loss is a saddle, its curvature A in float64, and 8 mini-batches of 4 images."""
    generator = torch.Generator().manual_seed(0)
    root = scale**0.5 * torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64)
    matrix = root.T @ torch.diag(torch.tensor([1.0, 1, 1, -1, -1]).double()) @ root
    images = torch.randn(8, 4, SIZE, generator=generator, dtype=torch.float64)
    model = Point(torch.randn(SIZE, generator=generator, dtype=torch.float64).to(dtype), root.to(dtype))
    return model, matrix, [(batch.to(dtype), torch.zeros(4)) for batch in images]


def gradients_of(model, matrix, batches):
    return torch.stack([matrix @ (model.weights.detach().double() - x.double().mean(0)) for x, _ in batches])


def test_of_a_quadratic_it_is_the_trace_of_the_product_of_two_matrices():
    """H is the same on all mini-batches, so that nothing is left to chance; NumPy's covariance is the dense Σ."""
    model, matrix, batches = quadratic()
    gradients = gradients_of(model, matrix, batches)
    covariance = np.cov(gradients.numpy().T)
    found, mean_loss = curvature_of_noise(model, gradients, batches, saddle)
    assert found == pytest.approx(np.trace(matrix.numpy() @ covariance), rel=1e-10)
    expected = np.mean([saddle(model(x), y).item() for x, y in batches])
    assert mean_loss == pytest.approx(expected, rel=1e-12)


def test_it_is_the_noises_part_of_the_expected_loss_after_a_step():
    """E L(w − αg_B) − L(w) = −α|g|² + α²/2 (gᵀHg + tr(HΣ)), exact for a quadratic: over all mini-batches alike."""
    model, matrix, batches = quadratic()
    gradients = gradients_of(model, matrix, batches)
    trace = curvature_of_noise(model, gradients, batches, saddle)[0] * 7 / 8  # Σ of these eight, not of a population
    alpha, start, mean = 0.3, model.weights.detach().clone(), gradients.mean(0)

    def expected_loss(weights):
        with torch.no_grad():
            model.weights.copy_(weights)
            return np.mean([saddle(model(x), y).item() for x, y in batches])

    before = expected_loss(start)
    after = np.mean([expected_loss(start - alpha * gradient) for gradient in gradients])
    squared, curved = mean.square().sum().item(), torch.dot(mean, matrix @ mean).item()
    assert after - before == pytest.approx(-alpha * squared + alpha**2 / 2 * (curved + trace), rel=1e-10)


def test_it_is_unbiased_over_few_mini_batches():
    """Gaussian images: Σ = A² / B, and tr(HΣ) = tr(A³) / 4, of three mini-batches on average."""
    model, matrix, _ = quadratic()
    expected = torch.trace(matrix @ matrix @ matrix).item() / 4
    generator = torch.Generator().manual_seed(2)
    drawn = [
        [(torch.randn(4, SIZE, generator=generator).double(), torch.zeros(4)) for _ in range(3)] for _ in range(200)
    ]
    found = [curvature_of_noise(model, gradients_of(model, matrix, each), each[:2], saddle)[0] for each in drawn]
    assert abs(np.mean(found) - expected) < 3 * np.std(found) / len(found) ** 0.5


def test_gradients_whose_squares_float32_cannot_hold_are_measured():
    model, matrix, batches = quadratic(1e-22, torch.float32)
    gradients = gradients_of(model, matrix, batches)
    expected = torch.trace(matrix @ torch.from_numpy(np.cov(gradients.numpy().T))).item()
    assert 0 < abs(expected) < 1e-60
    assert curvature_of_noise(model, gradients, batches, saddle)[0] == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope="module")
def context(digits):
    return context_of(digits, batch_size=8)


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.slow
def test_curvature_along_noise_is_that_of_central_differences(context, norm):
    """Through batch norm in train mode, in float64."""
    model = context.model(norm, 0).double()
    batches = [(images.double(), labels) for images, labels in context.draws("subset", 5, 0, 1)]
    gradients = torch.stack([gm.gradient(model, *batch) for batch in batches[:3]])
    deviations = gradients - gradients.mean(0)
    start = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    def gradient_at(weights, batch):
        nn.utils.vector_to_parameters(weights, model.parameters())
        return gm.gradient(model, *batch)

    products = []
    for deviation, batch in zip(deviations, batches[3:], strict=False):
        step = 1e-5 * deviation / deviation.norm()
        slope = (gradient_at(start + step, batch) - gradient_at(start - step, batch)) / 2e-5
        products.append((torch.dot(slope, deviation) * deviation.norm()).item())
    nn.utils.vector_to_parameters(start, model.parameters())
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    found, _ = curvature_of_noise(model, gradients, batches[3:])
    assert found == pytest.approx(3 / 2 * np.mean(products), rel=1e-5)
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())
    # The order of the images in a mini-batch says nothing.
    turned = [(images.flip(0), labels.flip(0)) for images, labels in batches[3:]]
    assert curvature_of_noise(model, gradients, turned)[0] == pytest.approx(found, rel=1e-8)


def measured(context, norm, seed, *archs):
    options = NoiseByDepth(
        networks={"archs": archs, "inits": ["xavier_uniform"]}, batch_size=8, minibatches=3, hessian_minibatches=1
    )
    return noise_by_depth.measure(context, norm, seed, options)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_a_network_is_measured_alike_whatever_else_is_and_as_its_gradient_structure(context, norm, monkeypatch):
    alone = measured(replace(context, batch_size=64), norm, 1, "plain-8")
    measured(context, norm, 0, "plain-8")
    both = measured(context, norm, 1, "resnet-8", "plain-8")
    pd.testing.assert_frame_equal(both[both["arch"] == "plain-8"].reset_index(drop=True), alone)
    monkeypatch.setattr(gradient_structure, "MINIBATCHES", noise_by_depth.GRADIENTS)
    of_structure = gradient_structure.measure(
        replace(context, arch="plain-8"), norm, 1, GradientStructure(at=[0], minibatches=3)
    )
    shared = alone[~alone["quantity"].isin(["noise_curvature", "loss"])]
    pd.testing.assert_frame_equal(shared[[*of_structure]].reset_index(drop=True), of_structure, rtol=1e-4)


@pytest.mark.slow
def test_the_hessian_is_of_other_mini_batches(context):
    """With those of the gradients, tr(HΣ) of so few would say how far a gradient fits its own mini-batch."""
    table = measured(context, "none", 0, "plain-8").set_index(["block", "quantity"])["value"]
    of_network = replace(context, arch="plain-8")
    model = of_network.model("none", 0).double()

    def drawn(count, domain):
        return [(images.double(), labels) for images, labels in of_network.draws("subset", count, 0, domain)]

    batches, others = drawn(3, noise_by_depth.GRADIENTS), drawn(1, noise_by_depth.HESSIAN)
    gradients = torch.stack([gm.gradient(model, *batch) for batch in batches])
    assert not torch.equal(others[0][0], batches[0][0])
    assert table["all", "noise_curvature"] == curvature_of_noise(model, gradients, others)[0]
    noise = flat([gradients]).view(3, -1).var(0).sum().item()
    assert table["all", "noise"] == pytest.approx(noise, rel=1e-6)
    assert table["all", "constant"] == pytest.approx(noise * 8 * 1436 / 1429, rel=1e-6)
