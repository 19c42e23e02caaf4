"""The cost of Hessian-vector products, in gradients on the same mini-batch, and of densities, against PyHessian.

A gradient is autograd's, of the plain network: the unit in which costs of curvature are usually given.
"""

import contextlib
import gc
import importlib.util
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp
from torch.nn import functional as F

from understanding_bn import device as devices
from understanding_bn import files, flops, plugins, provenance
from understanding_bn.analysis import lanczos
from understanding_bn.analysis.context import batch_norms, flat
from understanding_bn.analysis.hessian import Objective, frozen_copy
from understanding_bn.benchmark import hardware, measure, synthetic
from understanding_bn.data.batches import Split
from understanding_bn.errors import UserError
from understanding_bn.messages import columns
from understanding_bn.models.resnet import build
from understanding_bn.progress import Progress

MODULE = "benchmark.hvp"
LEAST_SECONDS = 0.1  # of a side's round: small networks do several products, so that the clock's grain weighs little
MINIBATCHES = 4  # of the spectral density: a spectrum's subset has several
GRADIENT = "gradient"
SIDES = {
    "kept": "ours",
    "anew": "ours, no memory",
    "double_backward": "double backward",
    "jvp_of_grad": "jvp of grad",
}


@dataclass(frozen=True)
class Case:
    """The network and the one mini-batch whose loss is differentiated."""

    arch: str
    image_size: int
    norm: str
    bn_mode: str
    batch_size: int


def run(
    archs: list[str],
    sizes: list[int],
    norms: list[str],
    batch_size: int,
    rounds: int,
    probes: int,
    steps: int,
    out: Path,
    threads: int = 1,
    wanted_device: str = "auto",
) -> None:
    """Measure every arch × size × norm (and BN mode), print a table on stdout and write the rounds to `out` (JSON).

    Per case the sides take turns, `rounds` times: the gradient; our product with the passes kept from one vector to
    the next; ours without that; double backward and `torch.func.jvp` of `grad`, both from scratch for every
    vector, as a short script would. Where PyHessian is installed, a spectral density of `probes` × `steps` products is
    timed too, in eval mode, which is the only one that it knows.

    Raises:
        UserError: an unknown name, an argument that is too small, or a missing device.
    """
    stopwatch = provenance.Stopwatch()
    load = hardware.load_before()
    numbers = {"batch-size": batch_size, "rounds": rounds, "probes": probes, "steps": steps, "threads": threads}
    for name, value in numbers.items():
        measure.at_least(name, value, 1)
    for arch, size in itertools.product(archs, sizes):
        measure.at_least("sizes", size, 8)
        flops.forward(arch, size, synthetic.CHANNELS, synthetic.CLASSES)
    known = plugins.names("norm")
    if unknown := [norm for norm in norms if not plugins.is_among(norm, known)]:
        raise UserError(f"--norms: {unknown[0]!r} is unknown; expected one of {', '.join(known)}")
    device = hardware.device(threads, wanted_device)
    planned = []
    for arch, size, norm in itertools.product(archs, sizes, norms):
        modes = ["train", "eval"] if batch_norms(_network(arch, norm, device)) else ["none"]
        planned += [Case(arch, size, norm, mode, batch_size) for mode in modes]

    progress = Progress("benchmark", len(planned), "cases")
    cases = []
    for done, case in enumerate(planned):
        progress.show(done, f"{case.arch} {case.image_size}×{case.image_size} {case.norm} {case.bn_mode}")
        cases.append(_case(case, rounds, device))
        if case.bn_mode != "train" and importlib.util.find_spec("pyhessian") is not None:
            cases[-1]["density"] = _density(case, rounds, probes, steps, device)
    progress.show(len(planned))

    device_name = devices.name(device)
    print(f"A Hessian-vector product in gradients; {device_name}, threads: {threads}, B = {batch_size},")
    print(f"rounds: {rounds}; median (min–max)\n")
    print(columns(["network, BN mode", "gradient, ms", *SIDES.values(), "MiB kept"], [_row(c) for c in cases]))
    print(f"\nSpectral density, {probes} × {steps} products over {MINIBATCHES} mini-batches, eval mode")
    print(_densities(cases))
    settings = {"archs": archs, "sizes": sizes, "norms": norms, "batch_size": batch_size, "rounds": rounds}
    settings |= {"probes": probes, "steps": steps, "threads": threads, "device": device.type}
    files.write_json(
        out,
        {"stage": "benchmark hvp", "settings": settings, "host_cores": hardware.cores(), "load_before": load}
        | {"cases": cases}
        | measure.facts(stopwatch, MODULE, device_name, threads),
    )


def _network(arch: str, norm: str, device: torch.device) -> nn.Module:
    return build(arch, norm, "xavier_uniform", synthetic.CHANNELS, synthetic.CLASSES, seed=0).to(device)


def _case(case: Case, rounds: int, device: torch.device) -> dict[str, Any]:
    """A case's settings, its ratios over rounds, and raw seconds."""
    mode = "eval" if case.bn_mode == "eval" else "train"
    (batch,) = _minibatches(case, 1, device)
    model = _network(case.arch, case.norm, device).train(mode == "train")
    start = time.perf_counter()
    caching = Objective(model, [batch], mode, memory=1 << 62)
    vector = torch.randn(caching.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(device)
    caching.hvp(vector)
    hardware.synchronise(device)
    first_seconds = time.perf_counter() - start
    recomputing = Objective(model, [batch], mode, memory=0)
    frozen = frozen_copy(model, mode)
    products: dict[str, Callable[[], Any]] = {
        GRADIENT: lambda: _gradient(model, batch),
        "kept": lambda: caching.hvp(vector),
        "anew": lambda: recomputing.hvp(vector),
        "double_backward": lambda: _double_backward(model, batch, vector),
        "jvp_of_grad": lambda: _jvp_of_grad(frozen, batch, vector),
    }
    result = asdict(case) | {
        "parameters": caching.size,
        "first_seconds": first_seconds,
        "kept_bytes": caching.kept_bytes,
    }
    expected = products["jvp_of_grad"]()
    result["difference"] = ((products["kept"]() - expected).norm() / expected.norm()).item()
    raw = _interleaved(products, rounds, device)
    result |= {"seconds": {side: [each[side] for each in raw] for side in products}}
    result |= {side: measure.spread([each[side] / each[GRADIENT] for each in raw]) for side in SIDES}
    return result


def _minibatches(case: Case, count: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Noise images and labels."""
    store = synthetic.store(count * case.batch_size, case.image_size)
    return list(Split(store, "train", 0, device).in_order(case.batch_size))


def _density(case: Case, rounds: int, probes: int, steps: int, device: torch.device) -> dict[str, Any]:
    """Seconds of the whole spectral density from a model and its images, ours and PyHessian's, and their ratio.

    Tracing is left out of ours, as it is done once for all networks of a shape; the passes are not. Ours keeps as many
    of them as a job does.
    """
    import pyhessian

    model, batches = _network(case.arch, case.norm, device), _minibatches(case, MINIBATCHES, device)

    def ours() -> None:
        objective = Objective(model, batches, "eval")
        generator = torch.Generator().manual_seed(0)
        list(lanczos.quadrature(objective.hvp, objective.size, probes, steps, generator, str(device)))

    def theirs() -> None:
        with _torch_eig():
            subject = pyhessian.hessian(model, nn.CrossEntropyLoss(), dataloader=batches, cuda=device.type == "cuda")
            subject.density(iter=steps, n_v=probes)
        for parameter in model.parameters():  # PyHessian leaves gradients that hold their whole graphs
            parameter.grad = None
        del subject
        gc.collect()

    raw = _interleaved({"ours": ours, "pyhessian": theirs}, rounds, device)
    ratios = [each["pyhessian"] / each["ours"] for each in raw]
    return {"ratio": measure.spread(ratios), "seconds": {side: [each[side] for each in raw] for side in raw[0]}}


@contextlib.contextmanager
def _torch_eig() -> Iterator[None]:
    """torch.eig as PyHessian 0.1 calls it, on a symmetric matrix; torch's own has only raised for years."""

    def eig(matrix: Tensor, eigenvectors: bool) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(matrix)
        return torch.stack([values, torch.zeros_like(values)], 1), vectors

    before = torch.__dict__.get("eig")
    setattr(torch, "eig", eig)  # noqa: B010  (what torch itself has there is of another type)
    try:
        yield
    finally:
        if before is None:
            del torch.eig
        else:
            torch.eig = before


def _interleaved(sides: dict[str, Callable[[], Any]], rounds: int, device: torch.device) -> list[dict[str, float]]:
    """Seconds of one call of each side in every round."""

    def timed(call: Callable[[], Any]) -> Callable[[int], float]:
        def seconds(number: int) -> float:
            hardware.synchronise(device)
            start, count, passed = time.perf_counter(), 0, 0.0
            while passed < LEAST_SECONDS:
                call()
                hardware.synchronise(device)
                count += 1
                passed = time.perf_counter() - start
            return passed / count

        return seconds

    for call in sides.values():
        call()  # not counted: traces, allocates, chooses kernels
    return list(measure.interleave({name: timed(call) for name, call in sides.items()}, rounds))


def _gradient(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Autograd's, in the ordinary way."""
    return torch.autograd.grad(F.cross_entropy(model(batch[0]), batch[1]), list(model.parameters()))


def _double_backward(model: nn.Module, batch: tuple[Tensor, Tensor], vector: Tensor) -> Tensor:
    """Hv as the gradient of g·v, (n,) float64."""
    parameters = list(model.parameters())
    gradient = torch.autograd.grad(F.cross_entropy(model(batch[0]), batch[1]), parameters, create_graph=True)
    product = torch.autograd.grad(gradient, parameters, _split(vector, [*parameters]))
    return flat(product)


def _jvp_of_grad(model: nn.Module, batch: tuple[Tensor, Tensor], vector: Tensor) -> Tensor:
    """Hv as the derivative of g along v, (n,) float64; for a network that keeps no running moments."""
    parameters = dict(model.named_parameters())

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(functional_call(model, parameters, (batch[0],)), batch[1])

    along = dict(zip(parameters, _split(vector, list(parameters.values())), strict=True))
    product = jvp(grad(loss), (parameters,), (along,))[1]
    return flat(product.values())


def _split(vector: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    """A flat vector as tensors like the parameters."""
    parts = vector.split([parameter.numel() for parameter in parameters])
    return [part.view(p.shape).to(p.dtype) for part, p in zip(parts, parameters, strict=True)]


def _row(case: dict[str, Any]) -> list[str]:
    """A case's line of the table."""
    milliseconds = measure.spread([1000 * seconds for seconds in case["seconds"][GRADIENT]])
    return [
        f"{case['arch']} {case['image_size']}×{case['image_size']} {case['norm']}, {case['bn_mode']}",
        measure.shown(milliseconds, 1),
        *(measure.shown(case[side], 2) for side in SIDES),
        f"{case['kept_bytes'] / 2**20:.0f}",
    ]


def _densities(cases: list[dict[str, Any]]) -> str:
    """The densities' ratios as lines of text."""
    rows = [
        [f"{c['arch']} {c['image_size']}×{c['image_size']} {c['norm']}", measure.shown(c["density"]["ratio"], 2)]
        for c in cases
        if "density" in c
    ]
    if not rows:
        return "PyHessian: not installed"
    return columns(["network", "time of PyHessian : ours"], rows)
