"""Training on one GPU in every way there is: step by step and as graphs, in each precision, compiled, side by side.

All ways take turns in one process. A way's rate is set against two limits of the card, measured in the same run: matrix
products of its precision, and copies of memory.
"""

import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from understanding_bn import device as devices
from understanding_bn import files, flops, provenance
from understanding_bn.benchmark import hardware, measure, synthetic
from understanding_bn.cell import Cell
from understanding_bn.data.batches import Split
from understanding_bn.messages import columns
from understanding_bn.settings import Augmentation, Optimiser, Precision
from understanding_bn.training import loop
from understanding_bn.training.compiled import compile_blocks
from understanding_bn.training.graphs import CudaGraphs
from understanding_bn.training.state import start

MODULE = "benchmark.engine"
ALPHA = 0.0001
OPTIMISER = Optimiser(momentum=0.9, weight_decay=5e-4)
SCRIPT = "the plain script"
ROUNDS = 3
WARM_UP = 3
COPIED = {"cpu": 2**24, "cuda": 2**30}  # bytes
DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Way:
    """One way to train: in which precision, recorded as graphs or not, compiled or not, so many runs side by side."""

    precision: Precision = "float32"
    graph: bool = True
    compiled: bool = False
    lanes: int = 1

    @property
    def name(self) -> str:
        """It in words."""
        parts = ["graph" if self.graph else "step by step", self.precision]
        parts += ["compiled"] * self.compiled + [f"{self.lanes} runs"] * (self.lanes > 1)
        return ", ".join(parts)


WAYS = (
    Way(graph=False),
    Way("bfloat16", graph=False),
    Way(),
    Way("tf32"),
    Way("bfloat16"),
    *(Way("bfloat16", lanes=lanes) for lanes in (2, 3, 4, 6)),
    Way(lanes=3),
    Way("tf32", lanes=3),
    Way("tf32", compiled=True),
    Way("bfloat16", compiled=True),
    *(Way("bfloat16", compiled=True, lanes=lanes) for lanes in (3, 6)),
)


def run(
    arch: str,
    size: int,
    norm: str,
    batch_size: int,
    steps: int,
    seconds: int,
    out: Path,
    wanted_device: str = "cuda",
    ways: tuple[Way, ...] = WAYS,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Measure a plain script and every way, print a table, and write the rounds to `out` (JSON).

    Args:
        steps: mini-batches of each run in a round; there are three rounds.
        seconds: after which no other way is begun; those left out are named.

    Raises:
        UserError: an argument is too small, or there is no such device.
    """
    stopwatch = provenance.Stopwatch()
    for name, value in (("steps", steps), ("seconds", seconds), ("batch-sizes", batch_size)):
        measure.at_least(name, value, 1)
    device = hardware.device(1, wanted_device)
    begun = now()
    cell = Cell(arch=arch, init="xavier_uniform", norm=norm, alpha=ALPHA, batch_size=batch_size, epochs=1)
    store = synthetic.store((steps + WARM_UP) * batch_size, size)
    pad = synthetic.padding(size)
    split = Split(store, "train", pad, device)
    flop = flops.step(arch, size, synthetic.CHANNELS, synthetic.CLASSES)
    limits = {precision: products(precision, device) for precision in DTYPES}
    copy = copies(device)
    moved = traffic(_lanes(Way(graph=False), cell, split, pad, device)[0]) / batch_size

    rows = [_measured(SCRIPT, _script(cell, size, steps, device), batch_size * steps, device)]
    left_out = []
    for way in ways:
        if now() - begun > seconds:
            left_out.append(way.name)
            continue
        try:
            lanes = _lanes(way, cell, split, pad, device)
            found = _measured(way.name, _train(lanes, steps), way.lanes * batch_size * steps, device)
        except RuntimeError as error:  # out of memory, no compiler
            found = {"way": way.name, "error": files.first_line(error)}
        lanes = []
        rows.append(found | asdict(way))
        print(json.dumps({key: value for key, value in rows[-1].items() if key != "rounds"}), flush=True)
    by_default = "tf32" if device.type == "cuda" else "float32"  # what torch's convolutions compute in
    for row in filter(lambda row: "images_per_second" in row, rows):
        rate = row["images_per_second"]["median"]
        row["ratio"] = rate / rows[0]["images_per_second"]["median"]
        row["share_of_matmul"] = flop * rate / 1e9 / limits[row.get("precision", by_default)]
        row["share_of_copy"] = moved * rate / 1e9 / copy
    device_name = devices.name(device)
    print(
        f"\n{arch} {size}×{size} {norm}, B = {batch_size}, on {device_name}; {ROUNDS} rounds of {steps} mini-batches\n"
    )
    print(table(rows))
    print(f"\nCopies: {copy:,.0f} GB/s. Products, GFLOP/s: {', '.join(f'{k} {v:,.0f}' for k, v in limits.items())}.")
    print("of copies: if every kernel of a float32 step by itself read its inputs and wrote its outputs once")
    if left_out:
        print(f"Not run, for want of time: {'; '.join(left_out)}")
    record = measure.facts(stopwatch, MODULE, device_name, 1)
    case = {"arch": arch, "image_size": size, "norm": norm, "batch_size": batch_size, "flop_per_image": flop}
    files.write_json(
        out,
        {"stage": "benchmark engine", "settings": case | {"steps": steps, "seconds": seconds, "device": device.type}}
        | {"limits": {"products_gflops": limits, "copies_gb_per_second": copy}, "bytes_per_image": moved}
        | {"ways": rows, "not_run": left_out, "rates": _rates(rows, case, device.type, device_name)}
        | record,
    )


def table(rows: list[dict[str, Any]]) -> str:
    """The ways as lines of text."""
    lines = []
    for row in rows:
        if "error" in row:
            lines.append([row["way"], row["error"][:60], "", "", "", ""])
            continue
        shares = (f"{row[key]:.0%}" for key in ("share_of_matmul", "share_of_copy"))
        lines.append([row["way"], measure.shown(row["images_per_second"]), f"{row['ratio']:.2f}", *shares])
        lines[-1].append(f"{row['peak_memory_mib']:,.0f}")
    return columns(["way", "images/s", "times the script", "of products", "of copies", "MiB"], lines)


def _lanes(way: Way, cell: Cell, split: Split, pad: int, device: torch.device) -> list[loop.Lane]:
    """The runs of a way, ready to train."""
    devices.prepare(1, device.type, way.precision == "tf32")
    lanes = []
    for seed in range(way.lanes):
        run = start(cell, OPTIMISER, seed, synthetic.CHANNELS, synthetic.CLASSES, device)
        if way.compiled:
            compile_blocks(run.model)
        recorder = CudaGraphs(device) if way.graph and device.type == "cuda" else None
        settings = (Augmentation(pad=pad, flip=True), (), (), way.precision, recorder)
        lanes.append(loop.Lane(run, cell, seed, split, {"test": split}, *settings))
    return lanes


def _train(lanes: list[loop.Lane], steps: int) -> Callable[[int], None]:
    """A round: so many mini-batches of each lane in turn."""

    def train(count: int) -> None:
        for lane in lanes:
            with lane.place():
                lane.rewind()
                lane.begin()
        for _, lane in itertools.product(range(count or steps), lanes):
            with lane.place():
                lane.advance()

    return train


def _script(cell: Cell, size: int, steps: int, device: torch.device) -> Callable[[int], None]:
    """The same with the script that one would write without this package, on the same number of mini-batches."""
    from understanding_bn.benchmark import baseline

    # What torch does by default.
    torch.backends.cudnn.allow_tf32 = True
    store = synthetic.store(steps * cell.batch_size, size)
    batches = baseline.loader(store, cell.batch_size, synthetic.padding(size))
    model = baseline.network(cell.arch, cell.norm, store.channels, store.classes, device)
    sgd = baseline.optimiser(model, ALPHA, OPTIMISER.momentum, OPTIMISER.weight_decay)

    def train(count: int) -> None:
        baseline.train(model, sgd, itertools.islice(batches, count or steps), device)

    return train


def _measured(name: str, train: Callable[[int], None], images: int, device: torch.device) -> dict[str, Any]:
    """A way's rates over rounds, after some mini-batches that are not counted, and its memory."""
    hardware.reset_peak_memory(device)
    train(WARM_UP)
    hardware.synchronise(device)
    rates = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        train(0)
        hardware.synchronise(device)
        rates.append(images / (time.perf_counter() - begun))
    peak = hardware.peak_memory_mib(device)
    return {"way": name, "images_per_second": measure.spread(rates), "rounds": rates, "peak_memory_mib": peak}


def products(precision: Precision, device: torch.device) -> float:
    """GFLOP/s of matrix products in a precision, at best of three rounds."""
    devices.prepare(1, device.type, precision == "tf32")
    rates = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        gflop = hardware.matrix_products(device, DTYPES[precision])
        rates.append(gflop / (time.perf_counter() - begun))
    return max(rates[1:])


def copies(device: torch.device) -> float:
    """GB/s that pass when memory is copied, read and written bytes together."""
    source = torch.ones(COPIED[device.type] // 4, device=device)
    target = torch.empty_like(source)
    rates = []
    for _ in range(ROUNDS + 1):
        hardware.synchronise(device)
        begun = time.perf_counter()
        target.copy_(source)
        hardware.synchronise(device)
        rates.append(2 * source.nbytes / 1e9 / (time.perf_counter() - begun))
    return statistics.median(rates[1:])


class _Bytes(TorchDispatchMode):
    """Counts what kernels would read and write if each tensor passed once: views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, kernel: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = kernel(*args, **(kwargs or {}))
        if not kernel.is_view:
            self.total += sum(leaf.nbytes for leaf in _tensors(args, kwargs, out))
        return out


def _tensors(*trees: Any) -> Iterator[torch.Tensor]:
    yield from (leaf for leaf in tree_leaves(trees) if isinstance(leaf, torch.Tensor))


def traffic(lane: loop.Lane) -> int:
    """Bytes of a training step of a lane, if every kernel read its inputs and wrote its outputs once."""
    lane.begin()
    counter = _Bytes()
    with counter:
        lane.advance()
    lane.rewind()
    return counter.total


def _rates(rows: list[dict[str, Any]], case: dict[str, Any], kind: str, device: str) -> list[dict[str, Any]]:
    """What `benchmark plan` needs: the best rate of each precision, and how many runs went side by side in it."""
    best: dict[str, dict[str, Any]] = {}
    for row in rows[1:]:
        if "error" not in row:
            best[row["precision"]] = max(
                best.get(row["precision"], row), row, key=lambda each: each["images_per_second"]["median"]
            )
    return [
        case
        | {"device": kind, "device_name": f"{device}, {row['way']}", "jobs": 1}
        | {
            "images_per_second": {
                "aggregate": row["images_per_second"]["median"],
                "per_job": row["images_per_second"]["median"],
            }
        }
        for row in best.values()
    ]
