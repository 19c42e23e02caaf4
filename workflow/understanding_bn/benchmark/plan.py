"""What a preset's training will cost: images, floating-point operations, and hours at measured rates.

Imports no torch, because it is used before anything is run. Rates come from the records of `benchmark train`; none is
ever guessed for a device without a record.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from understanding_bn import files, flops, provenance
from understanding_bn.benchmark import measure
from understanding_bn.cell import Cell
from understanding_bn.errors import UserError
from understanding_bn.experiment.config import Config
from understanding_bn.experiment.plan import cells, seed_blocks
from understanding_bn.messages import columns
from understanding_bn.settings import canonical

MODULE = "benchmark.plan"
RATE = {"arch", "image_size", "batch_size", "norm", "flop_per_image", "device", "device_name", "jobs"}
RATE |= {"images_per_second"}


@dataclass(frozen=True)
class Images:
    """A data set's numbers of images, their side in pixels, their channels and classes."""

    train_images: int
    test_images: int
    image_size: int
    channels: int
    classes: int


KNOWN = {"digits": (8, 1, 10), "cifar10": (32, 3, 10)}  # side, channels, classes


def run(config: Config, records: list[Path], out: Path, store: Path | None = None) -> None:
    """Print the cost of a resolved config's training on stdout, and write it to `out` (JSON).

    `records` are files that `benchmark train` wrote, of any number of devices. `store` is the prepared data set; it
    is needed for a `parquet` data set only, whose number of images is not known beforehand.

    Raises:
        UserError: a record or the store is missing or not what it should be, or a batch exceeds the data set.
    """
    stopwatch = provenance.Stopwatch()
    images = images_of(config, store)
    rates = [rate for path in records for rate in read_rates(path)]
    plan = {"stage": "benchmark plan", "preset": config.preset, "dataset": config.dataset} | asdict(images)
    plan |= estimate(cells(config), len(config.seeds), len(seed_blocks(config)), images, rates)
    print(text(plan))
    files.write_json(
        out,
        plan
        | {"records": [path.name for path in records]}
        | measure.facts(stopwatch, MODULE, "none: arithmetic only", 1),
    )


def images_of(config: Config, store: Path | None) -> Images:
    """The size of a data set: from its store if one is given, else known by name.

    Raises:
        UserError: the data set's size is not known by name and no store is given, or the store is damaged.
    """
    if store is not None:
        from understanding_bn.data import store as stores

        info = stores.load(store).info
        side, _, channels = info["size"]
        return Images(info["train_images"], info["test_images"], side, channels, info["classes"])
    dataset = config.dataset
    if dataset not in KNOWN:
        raise UserError(f"dataset {dataset!r} has no size known beforehand; prepare its store and name it with --store")
    side, channels, classes = KNOWN[dataset]
    side = config.image_size or side
    return Images(int(config.images("train")), int(config.images("test")), side, channels, classes)


def read_rates(path: Path) -> list[dict[str, Any]]:
    """The measured rates in a record of `benchmark train`.

    Raises:
        UserError: the file is missing or is no such record.
    """
    record = files.read_json(path)
    rates = record.get("rates") if isinstance(record, dict) else None
    if not isinstance(rates, list) or not all(isinstance(rate, dict) and rate.keys() >= RATE for rate in rates):
        raise UserError(f"{path}: not a record of `benchmark train` (no list of rates in it); name another file")
    return rates


def estimate(
    cells: Iterable[Cell], seeds: int, blocks: int, images: Images, rates: list[dict[str, Any]]
) -> dict[str, Any]:
    """The cost of every cell and of all: {"cells": […], "totals": {…}, "devices": […]}.

    A cell trains on epochs × ⌊N/B⌋·B × seeds images. Its PFLOP and hours also cover the pass over the test images
    after every epoch, an image of which costs a third of a training image's three passes. Hours are those of a
    device kept full, with as many jobs side by side as in its record.
    """
    devices = {_label(rate): rate["device"] for rate in rates}
    rows = []
    for cell in cells:
        if cell.batch_size > images.train_images:
            raise UserError(f"batch_size: {cell.batch_size} is more than the {images.train_images} training images")
        trained = cell.epochs * (images.train_images // cell.batch_size * cell.batch_size) * seeds
        tested = cell.epochs * images.test_images * seeds
        flop = flops.step(cell.arch, images.image_size, images.channels, images.classes)
        row: dict[str, Any] = (
            cell.factors
            | {"alpha": canonical(cell.alpha)}
            | {"seeds": seeds, "jobs": blocks, "images": trained, "test_images_seen": tested}
        )
        row |= {"flop_per_image": flop, "pflop": flop * (trained + tested / 3) / 1e15, "hours": {}}
        for label in devices:
            rate = nearest(cell, images.image_size, flop, [r for r in rates if _label(r) == label])
            rate["hours"] = (trained + tested / 3) / rate["images_per_second"] / 3600
            row["hours"][label] = rate
        rows.append(row)
    totals = {
        "jobs": sum(row["jobs"] for row in rows),
        "runs": sum(row["seeds"] for row in rows),
        "epochs": sum(row["epochs"] * row["seeds"] for row in rows),
        "images": sum(row["images"] for row in rows),
        "pflop": math.fsum(row["pflop"] for row in rows),
        "hours": {label: math.fsum(row["hours"][label]["hours"] for row in rows) for label in devices},
        "marks": {label: _worst(row["hours"][label]["mark"] for row in rows) for label in devices},
    }
    return {"cells": rows, "totals": totals, "devices": [{"label": k, "device": v} for k, v in devices.items()]}


def nearest(cell: Cell, size: int, flop: int, rates: list[dict[str, Any]]) -> dict[str, Any]:
    """The rate for a cell, from the measured rate that is nearest to it: images per second, a mark, and its source.

    Nearest means the same image size first, then the same norm, then the same network or else the one with the most
    similar FLOP per image, then the most similar batch size. The mark is empty if network, size, norm and batch size
    are those measured, "≈ other B" if only the batch size differs, and "≈ scaled" if the rate was scaled by the ratio
    of FLOP per image.
    """

    def distance(rate: dict[str, Any]) -> tuple:
        return (
            rate["image_size"] != size,
            rate["norm"] != cell.norm,
            rate["arch"] != cell.arch,
            abs(math.log(rate["flop_per_image"] / flop)),
            abs(math.log(rate["batch_size"] / cell.batch_size)),
        )

    best = min(rates, key=distance)
    measured = best["images_per_second"]["aggregate"]
    source = {key: best[key] for key in ("arch", "image_size", "norm", "batch_size")}
    if (best["arch"], best["image_size"], best["norm"]) != (cell.arch, size, cell.norm):
        return {"images_per_second": measured * best["flop_per_image"] / flop, "mark": "≈ scaled", "from": source}
    mark = "" if best["batch_size"] == cell.batch_size else "≈ other B"
    return {"images_per_second": measured, "mark": mark, "from": source}


def text(plan: dict[str, Any]) -> str:
    """The plan as it is printed: a line per cell, totals, and what the numbers leave out."""
    labels = [device["label"] for device in plan["devices"]]
    side, totals = plan["image_size"], plan["totals"]
    lines = [
        f"Training of preset {plan['preset']}: {plan['dataset']}, {plan['train_images']:,} images of {side}×{side}",
        "",
    ]
    if plan["cells"]:
        inits_vary = len({row["init"] for row in plan["cells"]}) > 1
        header = ["network", *(["init"] if inits_vary else []), "norm", "α", "B", "epochs", "seeds", "images", "PFLOP"]
        header += [f"hours [{number}]" for number in range(1, len(labels) + 1)]
        rows = []
        for row in plan["cells"]:
            line = [row["arch"], *([row["init"]] if inits_vary else []), row["norm"], row["alpha"]]
            line += [f"{row[key]:,}" for key in ("batch_size", "epochs", "seeds", "images")]
            line += [_number(row["pflop"])]
            line += [_hours(row["hours"][label]["hours"], row["hours"][label]["mark"]) for label in labels]
            rows.append(line)
        lines += [columns(header, rows), ""]
    else:
        lines += ["The grid is empty: this preset trains nothing.", ""]
    lines += [
        f"Total: {totals['jobs']:,} jobs, {totals['runs']:,} runs, {totals['epochs']:,} epochs, "
        f"{totals['images']:,} images, {_number(totals['pflop'])} PFLOP"
    ]
    lines += [
        f"[{number}] {label}: {_number(totals['hours'][label])} hours {totals['marks'][label]}".rstrip()
        for number, label in enumerate(labels, 1)
    ]
    measured = {device["device"] for device in plan["devices"]}
    lines += [
        f"{name}: not measured (run `python -m understanding_bn benchmark train --device {kind}`)"
        for kind, name in (("cpu", "CPU"), ("cuda", "GPU"))
        if kind not in measured
    ]
    lines += [
        "",
        "An upper bound: runs that diverge, as those without normalisation do at large α, end early.",
        "PFLOP and hours cover training and the test after each epoch, not the measurements at initialisation.",
        "Hours are those of the device kept full, with as many jobs side by side as were measured.",
    ]
    marks = {row["hours"][label]["mark"] for row in plan["cells"] for label in labels}
    if "≈ scaled" in marks:
        lines += ["≈ scaled: not measured for this network, image size and norm; from the nearest, by FLOP per image."]
    if "≈ other B" in marks:
        lines += ["≈ other B: measured at another batch size."]
    return "\n".join(lines)


def _label(rate: dict[str, Any]) -> str:
    """What sets one device apart from another: its name, and how many jobs shared it."""
    shared = f"{rate['jobs']} jobs side by side" if rate["jobs"] > 1 else "one job at a time"
    return f"{rate['device_name']}, {shared}"


def _worst(marks: Iterable[str]) -> str:
    """The mark of a sum: "≈ scaled" before "≈ other B" before none."""
    distinct = set(marks)
    return next((mark for mark in ("≈ scaled", "≈ other B") if mark in distinct), "")


def _hours(hours: float, mark: str) -> str:
    return f"{_number(hours)} {mark}".rstrip()


def _number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"
