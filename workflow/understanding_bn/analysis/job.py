"""One measurement: a norm and all seeds, from the data store, and weights where it is of trained networks, to files.

A measurement is a module beside this one with a function `measure(context, norm, seed, **options) -> DataFrame`, and
with DTYPE if it does not measure in float32. Batch norm is in train mode unless a column `bn_mode` says otherwise. It
sees no difference between a network at initialisation and one that was trained: its context hands it the network.
"""

import importlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from understanding_bn import device as devices
from understanding_bn import files, plugins, provenance, runs, tables
from understanding_bn.analysis.context import Context
from understanding_bn.cell import Cell
from understanding_bn.data import store as stores
from understanding_bn.data.batches import Augmentation, Split
from understanding_bn.errors import UserError
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
    """Measure `probe` at initialisation for each seed and write values.parquet and run.json.

    The columns of the measurement come after dataset, arch, init, norm, batch_size and seed.
    """
    stopwatch = provenance.Stopwatch()
    device = devices.prepare(threads, wanted_device)
    store, split = _data(store_path, augmentation, device)
    context = Context(split, store.classes, arch, init, batch_size, augmentation, optimiser)
    own = plugins.sources(norm, init, *options.get("networks", {}).get("inits", []))
    factors = {"dataset": store.info["tag"], "arch": arch, "init": init, "norm": norm, "batch_size": batch_size}
    points = [(context, seed, factors | {"seed": seed}) for seed in seeds]
    facts = _measured(probe, norm, options, points, out)
    settings = {"probe": probe, "arch": arch, "init": init, "norm": norm, "batch_size": batch_size}
    settings |= {"options": options, "optimiser": asdict(optimiser), "augmentation": asdict(augmentation)}
    record = {"stage": "initialization", "settings": settings, "seeds": seeds, "data": store.info}
    record |= stopwatch.record(f"analysis.{probe}", devices.name(device), threads, own) | facts
    runs.finish(out, f"initialization/{arch}/{init}/{probe}/norm-{norm}", ["values.parquet"], record)


def run_trained(
    probe: str,
    store_path: Path,
    weights: Path,
    cell: Cell,
    optimiser: Optimiser,
    augmentation: Augmentation,
    at: list[float],
    options: dict[str, Any],
    seeds: list[int],
    out: Path,
    threads: int,
    wanted_device: str,
) -> None:
    """Measure `probe` on a cell's networks, after each share of training in `at`, and write the same files.

    The columns of the measurement come after dataset, the cell's factors, seed, epoch and fraction, the share of
    training. At initialisation (epoch 0) a network does not depend on α, which is NaN there. A network that has
    diverged by then is not measured: it has no rows.

    Args:
        weights: weights.pt of the training job, beside its history.parquet and run.json.
        seeds: those of the training job.

    Raises:
        UserError: the weights are missing or damaged, or were not kept at one of these moments.
    """
    stopwatch = provenance.Stopwatch()
    device = devices.prepare(threads, wanted_device)
    store, split = _data(store_path, augmentation, device)
    kept = read_weights(weights)
    theirs = files.read_json(weights.with_name("run.json"))["settings"]
    for name, value in asdict(cell).items():
        if theirs[name] != value:
            raise UserError(f"{weights}: trained with {name} {theirs[name]}, not {value}, as its run.json says")
    history = tables.read([weights.with_name("history.parquet")])
    network = (split, store.classes, cell.arch, cell.init, cell.batch_size, augmentation, optimiser)
    points = []
    for seed in seeds:
        for epoch in dict.fromkeys(cell.epoch_at(share) for share in sorted(at)):
            if epoch > last_sound_epoch(history, seed):
                continue
            if epoch and epoch not in kept.get(seed, {}):
                raise UserError(
                    f"{weights}: holds no weights of seed {seed} after {epoch} epochs; train that cell anew"
                )
            context = Context(*network, weights=kept[seed][epoch] if epoch else None)
            alpha = float(cell.alpha) if epoch else float("nan")
            factors = {"dataset": store.info["tag"], **asdict(cell), "alpha": alpha}
            points.append((context, seed, factors | {"seed": seed, "epoch": epoch, "fraction": epoch / cell.epochs}))
    facts = _measured(probe, cell.norm, options, points, out)
    settings = asdict(cell) | {"probe": probe, "at": at, "options": options}
    settings |= {"optimiser": asdict(optimiser), "augmentation": asdict(augmentation)}
    record = {"stage": "trained", "settings": settings, "seeds": seeds, "data": store.info}
    record |= {"weights_sha256": files.sha256(weights)}
    own = plugins.sources(cell.norm, cell.init)
    record |= stopwatch.record(f"analysis.{probe}", devices.name(device), threads, own) | facts
    runs.finish(out, f"trained/{probe}/{cell.path}", ["values.parquet"], record)


def read_weights(path: Path) -> dict[int, dict[int, dict[str, torch.Tensor]]]:
    """The weights that a training job left, {seed: {epochs done: state dict}}.

    Raises:
        UserError: the file is missing or damaged, or is not what run.json beside it says.
    """
    try:
        runs.verify(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train that cell first") from None
    except UserError:
        raise
    except Exception as error:  # pickle, zip and torch each raise their own
        raise UserError(f"{path}: not readable weights ({files.first_line(error)}); delete it and train anew") from None


def last_sound_epoch(history: pd.DataFrame, seed: int) -> int:
    """The last epoch that a seed finished without diverging; 0 if it diverged in its first."""
    rows = history[history["seed"] == seed]
    sound = rows[rows["train_loss"].notna()]
    return int(sound["epoch"].max()) if len(sound) else 0


def _data(store_path: Path, augmentation: Augmentation, device: torch.device) -> tuple[stores.Store, Split]:
    """The prepared data set, and its training images on the device."""
    store = stores.load(store_path)
    return store, Split(store, False, augmentation.pad, device)


def _measured(
    probe: str, norm: str, options: dict[str, Any], points: list[tuple[Context, int, dict[str, Any]]], out: Path
) -> dict[str, str]:
    """Write the rows of all points, each a context, a seed and what stands in front of its rows, to values.parquet.

    Returns what run.json must say of them: bn_mode and dtype.
    """
    module = importlib.import_module(f"understanding_bn.analysis.{probe}")
    progress = Progress(f"{probe} {norm}", len(points), "networks")
    parts = []
    for done, (context, seed, factors) in enumerate(points):
        progress.show(done)
        table = module.measure(context, norm, seed, **options)
        # A measurement that varies one of these itself, such as batch_size, has a column of its own.
        keys = {key: value for key, value in factors.items() if key not in table}
        parts.append(pd.DataFrame(keys, index=table.index).join(table))
    progress.show(len(points))
    values = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"seed": pd.Series(dtype="int64")})
    tables.write(out / "values.parquet", values)
    bn_mode = ", ".join(values["bn_mode"].unique()) if "bn_mode" in values else "train"
    return {"bn_mode": bn_mode, "dtype": getattr(module, "DTYPE", "float32")}
