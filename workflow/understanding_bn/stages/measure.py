"""Measuring: one measurement on the networks of some seeds, from the data store and trained weights to files.

A measurement is a module in measurements/ with a function `measure(context, norm, seed, options) -> DataFrame`, with
the dtypes of its columns in COLUMNS, and with DTYPE if it does not measure in float32. Batch norm is in train mode
unless a column `bn_mode` says otherwise. A network at initialisation and a trained one are the same to it: its context
provides the network.
"""

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import torch

from understanding_bn import device as devices
from understanding_bn import files, finished, plugin_files, plugins, provenance, record, runs, tables
from understanding_bn.analysis.context import Context
from understanding_bn.cell import Cell
from understanding_bn.data import store as stores
from understanding_bn.data.batches import Split
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Measure
from understanding_bn.messages import place
from understanding_bn.models.guards import try_norm
from understanding_bn.models.resnet import WIDTHS
from understanding_bn.progress import Progress, heartbeat
from understanding_bn.settings import Setting, Trained

# The columns in front of a measurement's own, with their dtypes.
NETWORK = {"dataset": "str", "arch": "str", "init": "str", "norm": "str"}
AT_INITIALISATION = NETWORK | {"batch_size": "int64", "seed": "int64"}
OF_TRAINED = NETWORK | {"alpha": "float64", "batch_size": "int64", "epochs": "int64", "seed": "int64"}
OF_TRAINED |= {"epoch": "int64", "fraction": "float64"}


@dataclass(frozen=True)
class Point:
    """One network to measure: where it comes from, its seed, and the columns in front of its values."""

    context: Context
    seed: int
    factors: dict[str, Any]


def run(
    job: Measure, store_path: Path, weights: Path | None, out: Path, threads: int, wanted_device: str = "auto"
) -> None:
    """Measure every network of the job and write values.parquet and run.json to `out`.

    At initialisation the measurement's columns come after dataset, arch, init, norm, batch_size and seed; for
    trained networks, after dataset, the cell's factors, seed, epoch and fraction, the share of training. If it
    is also measured at losses, at_loss comes next, and one of these two is NaN in each row.

    Args:
        weights: weights.pt of the training job, next to its history.parquet and run.json; only for trained networks.

    Raises:
        UserError: the weights are missing or damaged, or were not kept at one of the moments asked for; or the data set
            turns out to have too few images for the options.
    """
    stopwatch = provenance.Stopwatch()
    device = devices.prepare(threads, wanted_device)
    store = stores.load(store_path)
    network = job.network
    context = Context(
        Split(store, "train", job.augmentation.pad, device),
        store.classes,
        network.arch,
        network.init,
        network.batch_size,
        job.augmentation,
        job.optimiser,
        alpha=getattr(network, "alpha", None),
        plugged=tuple(plugin_files.paths(job.plugins)),
    )
    _check_options(job, context)
    dtype = getattr(torch, _dtype(job))
    try_norm(network.norm, context.plugged, WIDTHS, network.batch_size, context.split.height, dtype)
    facts: dict[str, Any] = {}
    made_with = {"data": store.info["sha256"], "device": device.type, "threads": threads}
    if isinstance(network, Cell):
        if weights is None:
            raise UserError("--weights: missing; a measurement on trained networks needs its training job's weights.pt")
        points = _trained(job, network, context, weights, store.info["tag"])
        facts["weights_sha256"] = files.sha256(weights)
    else:
        points = _initial(job, context, store.info["tag"])
    with finished.once(out, job, made_with | facts) as done, heartbeat(out):
        if done:
            return
        facts |= _measured(job, points, out)
        if weights is not None:
            facts["trained_in"] = record.read(weights.with_name("run.json")).dtype
        record.finish(out, job, stopwatch.facts(devices.name(device), threads), data=store.info, **facts)


def _check_options(job: Measure, context: Context) -> None:
    """The options once more, now that the number of images is known: a measurement never shrinks with its data.

    Raises:
        UserError: one of them does not suit it.
    """
    known = tuple(plugins.names("norm", context.plugged))
    setting = Setting(context.split.count, (job.network.arch,), known, (job.network.norm,))
    for mistake in job.options.check(setting):
        key = place((job.rule, "measurements", job.measurement, *mistake.place))
        raise UserError(f"config key {key}: {mistake.text}")


def _initial(job: Measure, context: Context, tag: str) -> list[Point]:
    """The networks of every seed before their first step."""
    names = ("arch", "init", "norm", "batch_size")
    factors = {"dataset": tag} | {name: getattr(job.network, name) for name in names}
    return [Point(context, seed, factors | {"seed": seed}) for seed in job.seeds]


def _trained(job: Measure, cell: Cell, context: Context, weights: Path, tag: str) -> list[Point]:
    """The networks of every seed after each share of training asked for, and where it first reached each loss.

    At initialisation (epoch 0) a network does not depend on α, which is NaN there. A network that has diverged by then,
    or never reached a loss, is not measured and has no rows.
    """
    assert isinstance(job.options, Trained)
    snapshots = read_weights(weights)
    training = record.read(weights.with_name("run.json"))
    if getattr(training.job, "cell", None) != cell:
        raise UserError(f"{weights}: trained as {training.place}, not as {cell.path}, as its run.json says")
    if other := sorted(set(job.seeds) - set(training.seeds)):
        raise UserError(
            f"{weights}: holds no seed {other[0]}, as its run.json says; name the weights of that seed's job"
        )
    history = tables.read([weights.with_name("history.parquet")])
    points = []
    for seed in job.seeds:
        epochs = dict.fromkeys(cell.epoch_at(share) for share in sorted(job.options.at))
        moments = [(epoch, math.nan) for epoch in epochs if epoch <= last_sound_epoch(history, seed)]
        moments += first_epochs(history, seed, job.options.at_losses)
        for epoch, loss in moments:
            if epoch and epoch not in snapshots.get(seed, {}):
                raise UserError(
                    f"{weights}: holds no weights of seed {seed} after {epoch} epochs; train that cell again"
                )
            alpha = cell.alpha if epoch else float("nan")
            factors = {"dataset": tag, **cell.factors, "alpha": alpha}
            factors |= {"seed": seed, "epoch": epoch, "fraction": epoch / cell.epochs}
            if job.options.at_losses:  # otherwise the table is what it was before there were any
                factors |= {"fraction": factors["fraction"] if math.isnan(loss) else math.nan, "at_loss": loss}
            after = context.of(snapshots[seed][epoch], epoch, next_rate(history, seed, epoch)) if epoch else context
            points.append(Point(after, seed, factors))
    return points


def read_weights(path: Path) -> dict[int, dict[int, dict[str, torch.Tensor]]]:
    """The weights that a training job left, {seed: {epochs done: state dict}}.

    Raises:
        UserError: the file is missing or damaged, or is not what run.json next to it says.
    """
    try:
        runs.verify(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train that cell first") from None
    except UserError:
        raise
    except Exception as error:  # pickle, zip and torch each raise their own
        raise UserError(
            f"{path}: not readable weights ({files.first_line(error)}); delete it and train that cell again"
        ) from None


def last_sound_epoch(history: pd.DataFrame, seed: int) -> int:
    """The last epoch that a seed finished without diverging; 0 if it diverged in its first."""
    rows = history[history["seed"] == seed]
    sound = rows[rows["train_loss"].notna()]
    return int(sound["epoch"].max()) if len(sound) else 0


def next_rate(history: pd.DataFrame, seed: int, epoch: int) -> float:
    """The learning rate of a seed's training after this epoch; after its last, the one that it ended with."""
    rows = history[(history["seed"] == seed) & (history["epoch"] <= epoch + 1)]
    return float(rows.sort_values("epoch")["learning_rate"].iloc[-1])


def first_epochs(history: pd.DataFrame, seed: int, losses: Sequence[float]) -> list[tuple[int, float]]:
    """The first epoch of a seed whose training loss is at or below each of these, with it; none where none is."""
    rows = history[history["seed"] == seed]
    reached = {loss: rows.loc[rows["train_loss"] <= loss, "epoch"] for loss in sorted(losses, reverse=True)}
    return [(int(epochs.min()), loss) for loss, epochs in reached.items() if len(epochs)]


def no_rows(measurement: str, trained: bool) -> pd.DataFrame:
    """The table that a measurement leaves where it measured no network: every column, with its dtype."""
    own = importlib.import_module(f"understanding_bn.measurements.{measurement}").COLUMNS
    factors = OF_TRAINED if trained else AT_INITIALISATION
    columns = {name: dtype for name, dtype in factors.items() if name not in own} | own
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in columns.items()})


def _measured(job: Measure, points: list[Point], out: Path) -> dict[str, str]:
    """Write the rows of all points to values.parquet. Returns bn_mode and dtype for run.json."""
    module = _module(job)
    progress = Progress(f"{job.measurement} {job.network.norm}", len(points), "networks")
    parts = []
    for done, point in enumerate(points):
        progress.show(done)
        table = module.measure(point.context, job.network.norm, point.seed, job.options)
        # A measurement that varies one of these itself, such as batch_size, has a column of its own.
        keys = {key: value for key, value in point.factors.items() if key not in table}
        parts.append(pd.DataFrame(keys, index=table.index).join(table))
    progress.show(len(points))
    parts = [part for part in parts if len(part)] or [no_rows(job.measurement, isinstance(job.network, Cell))]
    values = pd.concat(parts, ignore_index=True)
    tables.write(out / "values.parquet", values)
    bn_mode = ", ".join(values["bn_mode"].unique()) if "bn_mode" in values else "train"
    return {"bn_mode": bn_mode, "dtype": _dtype(job)}


def _module(job: Measure) -> ModuleType:
    """The measurement's own module."""
    return importlib.import_module(f"understanding_bn.measurements.{job.measurement}")


def _dtype(job: Measure) -> str:
    """What it computes networks in."""
    return getattr(_module(job), "DTYPE", "float32")
