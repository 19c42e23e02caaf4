"""Whether training in another precision ends where training in float32 does: an A/B on two cells, seed by seed."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from understanding_bn import device as devices
from understanding_bn import files, provenance, tables
from understanding_bn.benchmark import hardware, measure
from understanding_bn.cell import Cell
from understanding_bn.data import store as stores
from understanding_bn.experiment.jobs import Train
from understanding_bn.messages import columns
from understanding_bn.settings import Augmentation, Optimiser, Precision
from understanding_bn.stages import train
from understanding_bn.summaries import intervals

MODULE = "benchmark.precision"
CELLS = (("batch", 0.1), ("none", 0.01))  # norm and learning rate α
BATCH_SIZE = 128
MILESTONES = (0.5, 0.75)
AGREEMENT = 2.0  # percentage points; set before anything was run


def run(
    store_path: Path, precision: Precision, arch: str, epochs: int, seeds: int, out: Path, wanted_device: str = "auto"
) -> None:
    """Train two cells in float32 and in `precision`, print how their test accuracies differ, and write them to `out`.

    Both sides share seeds, and so weights at the start, order and augmentation. They agree where the 95 % interval of
    the mean difference (Student's t over seeds) lies within ±2 percentage points.

    Raises:
        UserError: fewer than two seeds or no epoch, or the device has no such precision.
    """
    stopwatch = provenance.Stopwatch()
    measure.at_least("seeds", seeds, 2)
    measure.at_least("epochs", epochs, 1)
    device = hardware.device(1, wanted_device)
    info = stores.load(store_path).info
    with tempfile.TemporaryDirectory() as name:
        work = [
            (_job(arch, norm, alpha, epochs, seeds, each, info), Path(name) / norm / each)
            for norm, alpha in CELLS
            for each in ("float32", precision)
        ]
        for each in ("float32", precision):
            of_it = [(job, folder) for job, folder in work if job.precision == each]
            train.together(of_it, store_path, Path(name) / "state", 1, device.type)
        histories = {(job.cell.norm, job.precision): tables.read([folder / "history.parquet"]) for job, folder in work}
    cases = [_case(norm, alpha, histories[norm, "float32"], histories[norm, precision]) for norm, alpha in CELLS]
    print(f"{arch}, {epochs} epochs, {info['source']}: test accuracy in {precision} and in float32, {seeds} seeds\n")
    header = ["norm", "α", precision, "float32", "difference, points", "95 % interval", f"within ±{AGREEMENT:g}"]
    print(columns(header, [_row(case) for case in cases]))
    settings = {"precision": precision, "arch": arch, "epochs": epochs, "seeds": seeds, "bound": AGREEMENT}
    record = measure.facts(stopwatch, MODULE, devices.name(device), 1)
    files.write_json(out, {"stage": "benchmark precision", "settings": settings, "data": info, "cases": cases} | record)


def _job(
    arch: str, norm: str, alpha: float, epochs: int, seeds: int, precision: Precision, info: dict[str, Any]
) -> Train:
    """The training of a cell in a precision."""
    cell = Cell(arch=arch, init="xavier_uniform", norm=norm, alpha=alpha, batch_size=BATCH_SIZE, epochs=epochs)
    return Train(
        cell=cell,
        seeds=tuple(range(seeds)),
        optimiser=Optimiser(momentum=0.9, weight_decay=5e-4),
        augmentation=Augmentation(pad=max(1, info["size"][0] // 8), flip=info["flip"] is not False),
        milestones=MILESTONES,
        precision=precision,
    )


def _case(norm: str, alpha: float, exact: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    """How one cell's final test accuracies (%) differ. A seed that has diverged on either side has no difference."""
    ends = [table.groupby("seed")["test_accuracy"].last(skipna=False) * 100 for table in (exact, other)]
    differences = (ends[1] - ends[0]).dropna().to_numpy()
    interval = intervals.mean_interval(differences)
    return {
        "norm": norm,
        "alpha": alpha,
        "float32": [None if np.isnan(value) else value for value in ends[0]],
        "other": [None if np.isnan(value) else value for value in ends[1]],
        "difference": float(differences.mean()) if len(differences) else None,
        "interval": interval,
        "agree": interval is not None and max(map(abs, interval)) <= AGREEMENT,
    }


def _row(case: dict[str, Any]) -> list[str]:
    """A cell's line of the table."""
    means = [np.mean([value for value in case[side] if value is not None]) for side in ("other", "float32")]
    low, high = case["interval"] or (np.nan, np.nan)
    shown = [f"{mean:.1f} %" for mean in means]
    agree = "yes" if case["agree"] else "not shown"
    return [
        case["norm"],
        f"{case['alpha']:g}",
        *shown,
        f"{case['difference']:+.2f}",
        f"{low:+.2f} to {high:+.2f}",
        agree,
    ]
