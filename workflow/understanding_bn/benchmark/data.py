"""Images per second of our augmentation against torchvision's transforms in a DataLoader."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from understanding_bn import device as devices
from understanding_bn import files, provenance
from understanding_bn.benchmark import baseline, hardware, measure, synthetic
from understanding_bn.data.batches import Split
from understanding_bn.messages import columns
from understanding_bn.settings import Augmentation

MODULE = "benchmark.data"
LEAST_SECONDS = 0.2  # of a side's round: the fast side does several epochs, so that starting one weighs little


def run(
    sizes: list[int], images: int, batch_size: int, rounds: int, out: Path, threads: int = 1, wanted_device: str = "cpu"
) -> None:
    """Measure both sides at every image size, print a table on stdout and write the rounds to `out` (JSON).

    In a round each side passes over the same `images` noise images once, or as often as fits into 0.2 s: the same
    size of crops, padding and mirroring, mini-batches of `batch_size`, ready on the device. Both sides have `threads`
    threads. A few hundred images stay in the processor's cache and flatter ours; give as many as a data set has.

    Raises:
        UserError: an argument is too small, or the device is missing.
    """
    stopwatch = provenance.Stopwatch()
    load = hardware.load_before()
    for name, value in (("sizes", min(sizes)), ("batch-size", batch_size), ("rounds", rounds), ("threads", threads)):
        measure.at_least(name, value, 1)
    measure.at_least("images", images, batch_size)
    device = hardware.device(threads, wanted_device)
    cases = [_case(size, images, batch_size, rounds, device) for size in sizes]

    print(f"Augmentation: ours against torchvision in a DataLoader; {devices.name(device)}, threads: {threads},")
    print(f"{images:,} images, B = {batch_size}, rounds: {rounds}; median (min–max)\n")
    rows = [
        [f"{case['image_size']}×{case['image_size']}"]
        + [measure.shown(case[side]["images_per_second"]) for side in ("ours", "baseline")]
        + [measure.shown(case["ratio"], 1)]
        for case in cases
    ]
    print(columns(["images", "ours, images/s", "torchvision, images/s", "ratio"], rows))
    settings = {"sizes": sizes, "images": images, "batch_size": batch_size, "rounds": rounds}
    files.write_json(
        out,
        {
            "stage": "benchmark data",
            "settings": settings,
            "host_cores": hardware.cores(),
            "load_before": load,
            "cases": cases,
        }
        | measure.facts(stopwatch, MODULE, devices.name(device), threads),
    )


def _case(size: int, images: int, batch_size: int, rounds: int, device: torch.device) -> dict[str, Any]:
    """One image size: raw images per second of every round, and their spreads."""
    store, pad = synthetic.store(images, size), synthetic.padding(size)
    split = Split(store, "train", pad, device)
    augmentation = Augmentation(pad=pad, flip=True)
    theirs = baseline.loader(store, batch_size, pad)
    sides = {
        "ours": _timed(lambda number: split.epoch(0, number, batch_size, augmentation), device),
        "baseline": _timed(lambda number: theirs, device),
    }
    for side in sides.values():
        side(0)  # not counted: the first epoch fills caches and allocates
    raw = list(measure.interleave(sides, rounds))
    rates = {side: [each[side] for each in raw] for side in sides}
    ratios = [each["ours"] / each["baseline"] for each in raw]
    return {
        "image_size": size,
        "channels": store.channels,
        "pad": pad,
        "ratio": measure.spread(ratios),
        "ratios": ratios,
        **{side: {"images_per_second": measure.spread(rates[side]), "rounds": rates[side]} for side in sides},
    }


def _timed(epoch: Callable[[int], Iterable[tuple[Tensor, Tensor]]], device: torch.device) -> Callable[[int], float]:
    """Images per second over whole epochs of mini-batches, each brought to the device."""

    def rate(number: int) -> float:
        hardware.synchronise(device)
        start, count, seconds = time.perf_counter(), 0, 0.0
        while seconds < LEAST_SECONDS:
            for images, labels in epoch(number):
                images.to(device), labels.to(device)
                count += len(labels)
            hardware.synchronise(device)
            seconds = time.perf_counter() - start
        return count / seconds

    return rate
