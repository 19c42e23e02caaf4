"""Images per second of our training step against a plain script's, as each would be run to fill the machine.

On a CPU that is one process per core with one thread each for ours, because Snakemake fills the cores with jobs, and
one process with all cores for the baseline. On a GPU it is one process each.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from understanding_bn import device as devices
from understanding_bn import files, flops, plugins, provenance
from understanding_bn.benchmark import hardware, measure, synthetic, workers
from understanding_bn.cell import Cell
from understanding_bn.data.batches import Split
from understanding_bn.errors import UserError
from understanding_bn.messages import columns
from understanding_bn.progress import Progress
from understanding_bn.settings import Augmentation, Optimiser, Precision
from understanding_bn.training import loop
from understanding_bn.training.state import start

MODULE = "benchmark.train"
SIDES = ("ours", "baseline")
BESIDE = "beside neighbours, "  # before a side's name, where busy processes run at the same time
RATIOS = {"images_per_second": 0, "ratio to baseline": 2, "ratio to ours": 2}  # of another precision, with decimals
WARM_UP = 2  # mini-batches that are not counted: libraries choose kernels and allocate in the first ones
ALPHA = 0.0001
OPTIMISER = Optimiser(momentum=0.9, weight_decay=5e-4)


@dataclass(frozen=True)
class Case:
    """What is trained, and how many mini-batches make a round."""

    arch: str
    image_size: int
    norm: str
    batch_size: int
    steps: int

    @property
    def images(self) -> int:
        """Images in a round of one process, which is one epoch of its noise data set."""
        return self.steps * self.batch_size


def run(
    archs: list[str],
    sizes: list[int],
    norms: list[str],
    batch_sizes: list[int],
    rounds: int,
    steps: int,
    out: Path,
    jobs: int | None = None,
    threads: int = 1,
    wanted_device: str = "auto",
    neighbours: int = 0,
    precisions: Sequence[Precision] = (),
) -> None:
    """Measure both sides for every arch × size × norm × B, print a table, and write the rounds to `out` (JSON).

    Our side is `jobs` processes of `threads` threads each, all at work at once; by default as many as fill the cores,
    one on a GPU. The baseline is one process with torch's own default of threads. The sides take turns, `rounds`
    times; in a round every process trains on `steps` mini-batches. With `neighbours`, each side also has rounds while
    that many other processes are busy. With `precisions`, our side also takes turns in each of these: in float32 it
    does always.

    Raises:
        UserError: an unknown name, an argument that is too small, a missing device, or a process that was ended.
    """
    stopwatch = provenance.Stopwatch()
    load = hardware.load_before()
    for name, value in (("batch-sizes", min(batch_sizes)), ("rounds", rounds), ("steps", steps), ("threads", threads)):
        measure.at_least(name, value, 1)
    measure.at_least("neighbours", neighbours, 0)
    device = hardware.device(threads, wanted_device)
    if jobs is None:
        jobs = 1 if device.type == "cuda" else max(1, hardware.cores() // threads)
    measure.at_least("jobs", jobs, 1)
    planned = [Case(*each, steps) for each in itertools.product(archs, sizes, norms, batch_sizes)]
    for case in planned:
        _check(case)

    progress = Progress("benchmark", len(planned) * rounds, "rounds")
    progress.show(0)
    cases = []
    for position, case in enumerate(planned):
        others = (neighbours, tuple(precisions))
        raw = _rounds(case, rounds, jobs, threads, *others, device.type, progress, position * rounds)
        cases.append(_summary(case, raw, tuple(precisions)))

    device_name = devices.name(device)
    print(f"Training step: ours against a plain script; {device_name}, processes × threads: {_shape(cases)},")
    print(f"{steps} mini-batches a round, rounds: {rounds}; median (min–max)\n")
    header = ["network", "ours, images/s", "script, images/s", "ours : script", "MiB", "of matmul limit"]
    print(columns(header, [_row(case) for case in cases]))
    if neighbours:
        print(f"\nWith {neighbours} busy neighbours; the rate without them : the rate with them\n")
        costs = [[_name(c), *(measure.shown(c[side]["beside"]["cost"], 2) for side in SIDES)] for c in cases]
        print(columns(["network", "ours", "script"], costs))
    settings = {"archs": archs, "sizes": sizes, "norms": norms, "batch_sizes": batch_sizes, "rounds": rounds}
    settings |= {"steps": steps, "jobs": jobs, "threads_per_job": threads, "neighbours": neighbours}
    for precision in precisions:
        print(f"\nOurs in {precision}\n")
        names = ["network", "images/s", "times the script", "times ours in float32"]
        rows = [[_name(c), *(measure.shown(c[precision][key], n) for key, n in RATIOS.items())] for c in cases]
        print(columns(names, rows))
    settings |= {"device": device.type, "precisions": list(precisions)}
    record = measure.facts(stopwatch, MODULE, device_name, threads)
    files.write_json(
        out,
        {"stage": "benchmark train", "settings": settings, "host_cores": hardware.cores(), "load_before": load}
        | {"flop_convention": "3 × forward; convolutions and linear layer in closed form, 2 FLOP a multiply-add"}
        | {"baseline_flags": "torch's defaults: on a GPU, TF32 in convolutions; on a CPU, denormals kept"}
        | {"cases": cases, "rates": [_rate(c, device.type, device_name, record["processor"], jobs) for c in cases]}
        | record,
    )


def _check(case: Case) -> None:
    """Refuse names that do not exist, before any process is started."""
    flops.forward(case.arch, case.image_size, synthetic.CHANNELS, synthetic.CLASSES)
    known = plugins.names("norm")
    if not plugins.is_among(case.norm, known):
        raise UserError(f"--norms: {case.norm!r} is unknown; expected one of {', '.join(known)}")
    measure.at_least("sizes", case.image_size, 8)


def _rounds(
    case: Case,
    rounds: int,
    jobs: int,
    threads: int,
    neighbours: int,
    precisions: tuple[Precision, ...],
    kind: str,
    progress: Progress,
    before: int,
) -> list[dict[str, Any]]:
    """Raw results of every round: {"ours": …, "baseline": …}, see `_round`; with neighbours too, if there are any."""
    with ExitStack() as groups:
        asks = {
            "ours": groups.enter_context(workers.group(_ours, (case, threads, kind), jobs, threads)),
            "baseline": groups.enter_context(workers.group(_baseline, (case, kind), 1, None)),
        }
        for precision in precisions:
            started = workers.group(_ours, (case, threads, kind, precision), jobs, threads)
            asks[precision] = groups.enter_context(started)
        for ask in asks.values():  # all are built at once, and none works while another is measured
            ask(workers.READY, 0)
        sides: dict[str, Callable[[int], Any]] = {side: partial(_round, ask, case, 0) for side, ask in asks.items()}
        if neighbours:
            sides |= {BESIDE + side: partial(_round, asks[side], case, neighbours) for side in SIDES}
        results = []
        for result in measure.interleave(sides, rounds):
            results.append(result)
            progress.show(before + len(results), _name(asdict(case)))
        return results


def _round(ask: workers.Ask, case: Case, neighbours: int, number: int) -> dict[str, Any]:
    """One side's round: training, next to neighbours if any, then matrix products, with all its processes at once."""
    with hardware.busy(neighbours):
        seconds, answers = ask("train", number)
    product_seconds, products = ask("products", number)
    return {
        "seconds": seconds,
        "images_per_second": len(answers) * case.images / seconds,
        "job_images_per_second": [case.images / answer["seconds"] for answer in answers],
        "peak_memory_mib": [answer["peak_memory_mib"] for answer in answers],
        "threads": answers[0]["threads"],
        "matmul_gflops": sum(answer["gflop"] for answer in products) / product_seconds,
    }


def _ours(case: Case, threads: int, kind: str, precision: Precision = "float32") -> dict[str, workers.Action]:
    """Our side's process: the step of `training.update` on mini-batches of `data.batches`."""
    device = hardware.device(threads, kind)
    pad = synthetic.padding(case.image_size)
    split = Split(synthetic.store(case.images, case.image_size), "train", pad, device)
    augmentation = Augmentation(pad=pad, flip=True)
    cell = Cell(
        arch=case.arch, init="xavier_uniform", norm=case.norm, alpha=ALPHA, batch_size=case.batch_size, epochs=1
    )
    run = start(cell, OPTIMISER, 0, synthetic.CHANNELS, synthetic.CLASSES, device)
    lane = loop.Lane(run, cell, 0, split, {"test": split}, augmentation, (), (), precision)

    def train(number: int, steps: int = case.steps) -> tuple[list[float], int]:
        lane.begin()
        for _ in range(steps):
            lane.advance()
        done = run.losses.tolist(), int(run.correct.sum())
        lane.rewind()
        return done

    train(0, WARM_UP)
    return _actions(train, device)


def _baseline(case: Case, kind: str) -> dict[str, workers.Action]:
    """The baseline's process: torch as it comes, without our settings."""
    from understanding_bn.benchmark import baseline  # here: our own processes must not carry torchvision's memory

    device = torch.device(kind)
    store = synthetic.store(case.images, case.image_size)
    batches = baseline.loader(store, case.batch_size, synthetic.padding(case.image_size))
    model = baseline.network(case.arch, case.norm, store.channels, store.classes, device)
    sgd = baseline.optimiser(model, float(ALPHA), OPTIMISER.momentum, OPTIMISER.weight_decay)
    baseline.train(model, sgd, itertools.islice(batches, WARM_UP), device)
    return _actions(lambda number: baseline.train(model, sgd, batches, device), device)


def _actions(train: Callable[[int], Any], device: torch.device) -> dict[str, workers.Action]:
    """What a process does in a round: `train`, one epoch; `products`, the machine's limit."""

    def timed(number: int) -> dict[str, Any]:
        hardware.reset_peak_memory(device)
        start = time.perf_counter()
        train(number)
        hardware.synchronise(device)
        seconds = time.perf_counter() - start
        return {
            "seconds": seconds,
            "peak_memory_mib": hardware.peak_memory_mib(device),
            "threads": torch.get_num_threads(),
        }

    def products(number: int) -> dict[str, Any]:
        return {"gflop": hardware.matrix_products(device)}

    products(0)  # not counted: sets the library up
    return {"train": timed, "products": products}


def _summary(case: Case, rounds: list[dict[str, Any]], precisions: tuple[Precision, ...]) -> dict[str, Any]:
    """A case's settings, spreads over rounds and raw rounds."""
    flop = flops.step(case.arch, case.image_size, synthetic.CHANNELS, synthetic.CLASSES)
    ratios = [each["ours"]["images_per_second"] / each["baseline"]["images_per_second"] for each in rounds]
    summary = asdict(case) | {"channels": synthetic.CHANNELS, "classes": synthetic.CLASSES, "flop_per_image": flop}
    summary |= {"ratio": measure.spread(ratios), "ratios": ratios}
    for side in SIDES:
        results = [each[side] for each in rounds]
        shares = [flop / 1e9 * each["images_per_second"] / each["matmul_gflops"] for each in results]
        summary[side] = {
            "processes": len(results[0]["job_images_per_second"]),
            "threads": results[0]["threads"],
            "images_per_second": measure.spread([each["images_per_second"] for each in results]),
            "job_images_per_second": measure.spread([r for each in results for r in each["job_images_per_second"]]),
            "peak_memory_mib": max(m for each in results for m in each["peak_memory_mib"]),
            "matmul_gflops": measure.spread([each["matmul_gflops"] for each in results]),
            "share_of_matmul": measure.spread(shares),
            "rounds": results,
        }
        if BESIDE + side in rounds[0]:
            rates = [each[BESIDE + side]["images_per_second"] for each in rounds]
            costs = [each["images_per_second"] / rate for each, rate in zip(results, rates, strict=True)]
            loaded = {"images_per_second": measure.spread(rates), "cost": measure.spread(costs)}
            summary[side]["beside"] = loaded | {"rounds": [each[BESIDE + side] for each in rounds]}
    for precision in precisions:
        rates = [each[precision]["images_per_second"] for each in rounds]
        pairs = {side: [each[side]["images_per_second"] for each in rounds] for side in SIDES}
        summary[precision] = {"images_per_second": measure.spread(rates), "rounds": [r[precision] for r in rounds]} | {
            f"ratio to {side}": measure.spread([rate / other for rate, other in zip(rates, pairs[side], strict=True)])
            for side in SIDES
        }
    return summary


def _rate(case: dict[str, Any], kind: str, device: str, processor: str, jobs: int) -> dict[str, Any]:
    """What `benchmark plan` needs of a case: our rate, and what it was measured for and on."""
    names = ("arch", "image_size", "batch_size", "norm", "flop_per_image")
    return {name: case[name] for name in names} | {
        "device": kind,
        "device_name": processor if kind == "cpu" else device,
        "jobs": jobs,
        "images_per_second": {
            "aggregate": case["ours"]["images_per_second"]["median"],
            "per_job": case["ours"]["job_images_per_second"]["median"],
        },
    }


def _shape(cases: list[dict[str, Any]]) -> str:
    """How many processes of how many threads each side had."""
    sides = (cases[0][side] for side in SIDES)
    return " : ".join(f"{side['processes']}×{side['threads']}" for side in sides)


def _name(case: dict[str, Any]) -> str:
    """What is trained, in words."""
    return f"{case['arch']} {case['image_size']}×{case['image_size']} {case['norm']}, B = {case['batch_size']}"


def _row(case: dict[str, Any]) -> list[str]:
    """A case's line of the table."""
    ours, theirs = case["ours"], case["baseline"]
    memory = [f"{side['processes']}×{side['peak_memory_mib']:.0f}" for side in (ours, theirs)]
    shares = [f"{side['share_of_matmul']['median']:.0%}" for side in (ours, theirs)]
    return [
        _name(case),
        measure.shown(ours["images_per_second"]),
        measure.shown(theirs["images_per_second"]),
        measure.shown(case["ratio"], 2),
        " : ".join(memory),
        " : ".join(shares),
    ]
