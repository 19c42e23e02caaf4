"""One measurement at initialisation or in the first steps: a norm and all seeds, from the data store to files."""

import importlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from understanding_bn import device as devices
from understanding_bn import provenance, runs, tables
from understanding_bn.analysis.context import Context
from understanding_bn.data import store as stores
from understanding_bn.data.batches import Augmentation, Split
from understanding_bn.progress import Progress
from understanding_bn.training.loop import Optimiser


def run(
    probe: str,
    store_path: Path,
    arch: str,
    init: str,
    norm: str,
    batch_size: int,
    optimiser: Optimiser,
    augmentation: Augmentation,
    options: dict[str, Any],
    seeds: list[int],
    out: Path,
    threads: int,
    wanted_device: str,
) -> None:
    """Measure `probe` for each seed and write values.parquet (its columns after dataset, arch, …) and run.json.

    A probe is a module beside this one with a function `measure(context, norm, seed, **options) -> DataFrame`.
    """
    stopwatch = provenance.Stopwatch()
    device = devices.prepare(threads, wanted_device)
    store = stores.load(store_path)
    split = Split(store, False, augmentation.pad, device)
    context = Context(split, store.classes, arch, init, batch_size, augmentation, optimiser)
    measure = importlib.import_module(f"understanding_bn.analysis.{probe}").measure
    progress = Progress(f"{probe} {norm}", len(seeds), "seeds")
    parts = []
    for done, seed in enumerate(seeds):
        progress.show(done)
        table = measure(context, norm, seed, **options)
        keys = {
            "dataset": store.info["tag"],
            "arch": arch,
            "init": init,
            "norm": norm,
            "batch_size": batch_size,
            "seed": seed,
        }
        # A measurement that varies one of these itself, such as batch_size, has a column of its own.
        keys = {key: value for key, value in keys.items() if key not in table}
        parts.append(pd.DataFrame(keys, index=table.index).join(table))
    progress.show(len(seeds))
    settings = {"probe": probe, "arch": arch, "init": init, "norm": norm, "batch_size": batch_size}
    settings |= {"options": options, "optimiser": asdict(optimiser), "augmentation": asdict(augmentation)}
    tables.write(out / "values.parquet", pd.concat(parts, ignore_index=True))
    runs.finish(
        out,
        f"initialization/{arch}/{init}/{probe}/norm-{norm}",
        ["values.parquet"],
        {
            "stage": "initialization",
            "settings": settings,
            "seeds": seeds,
            "bn_mode": "train",
            "data": store.info,
        }
        | stopwatch.record(f"analysis.{probe}", devices.name(device), threads),
    )
