"""The blocks of docs/speed.md: what the kept records of `python -m understanding_bn benchmark` say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from understanding_bn import files
from understanding_bn.benchmark.measure import shown
from understanding_bn.report.open_questions import markdown

Record = dict[str, Any]


def block(name: str, table: Callable[[Record], str]) -> Callable[[Path], str]:
    """What `table` makes of a kept record; that it was not run, where there is none."""

    def text(reference: Path) -> str:
        path = reference / "benchmark" / f"{name}.json"
        return table(files.read_json(path)) if path.is_file() else "\n*Not run: no record is kept.*\n"

    return text


def steps(record: Record) -> str:
    """Training steps: images per second of ours and of a plain script, their ratio, and the share of the limit."""
    rows = [
        [
            _network(case),
            shown(case["ours"]["images_per_second"]),
            shown(case["baseline"]["images_per_second"]),
            shown(case["ratio"], 2),
            *(f"{case[side]['share_of_matmul']['median']:.0%}" for side in ("ours", "baseline")),
        ]
        for case in record["cases"]
    ]
    head = ["network", "ours, images/s", "script, images/s", "ours : script", "of the limit, ours", "script"]
    return markdown(head, rows, _origin(record, f"{_rounds(record)}; B = {_batch_sizes(record)}, {_sides(record)}"))


def neighbour(record: Record) -> str:
    """What a busy neighbour costs each side."""
    rows = [
        [
            _network(case),
            *(shown(case[side]["beside"]["images_per_second"]) for side in ("ours", "baseline")),
            *(shown(case[side]["beside"]["cost"], 2) for side in ("ours", "baseline")),
        ]
        for case in record["cases"]
    ]
    head = ["network", "ours, images/s", "script, images/s", "alone : beside, ours", "alone : beside, script"]
    count = record["settings"]["neighbours"]
    return markdown(
        head, rows, _origin(record, f"{_rounds(record)}; B = {_batch_sizes(record)}, busy neighbours: {count}")
    )


def memory(record: Record) -> str:
    """The most memory of a training process for each mini-batch size."""
    sizes = sorted({case["batch_size"] for case in record["cases"]})
    networks = dict.fromkeys(_network(case) for case in record["cases"])
    found = {(_network(case), case["batch_size"]): case["ours"] for case in record["cases"]}
    rows = []
    for network in networks:
        peaks = [found[network, size]["peak_memory_mib"] for size in sizes]
        growth = (peaks[-1] - peaks[0]) / (sizes[-1] - sizes[0])
        rows.append([network, *(f"{peak:,.0f}" for peak in peaks), f"{growth:.1f}"])
    head = ["network, MiB a process", *(f"B = {size}" for size in sizes), "MiB an image of B"]
    return markdown(
        head, rows, _origin(record, "The most of one process, interpreter and torch included, its data set not")
    )


def images(reference: Path) -> str:
    """Augmentation alone, and its share of the fastest measured training step on images of that size."""
    folder = reference / "benchmark"
    record, training = (files.read_json(folder / f"{name}.json") for name in ("data-cpu", "train-cpu"))
    rows = []
    for case in record["cases"]:
        size, rate = case["image_size"], case["ours"]["images_per_second"]
        fastest = max(
            (each for each in training["cases"] if each["image_size"] == size),
            key=lambda each: each["ours"]["job_images_per_second"]["median"],
        )
        share = fastest["ours"]["job_images_per_second"]["median"] / rate["median"]
        row = [f"{size}×{size}", shown(rate), shown(case["baseline"]["images_per_second"]), shown(case["ratio"], 1)]
        rows.append([*row, f"{share:.1%} ({fastest['arch']} {fastest['norm']})"])
    head = ["images", "ours, images/s", "torchvision, images/s", "ours : torchvision", "of a training step, at most"]
    settings = record["settings"]
    what = f"{settings['images']:,} images, B = {settings['batch_size']}, one thread a side"
    return markdown(head, rows, _origin(record, f"{_rounds(record)}; {what}"))


def products(record: Record) -> str:
    """Hessian-vector products in gradients, and the whole spectral density beside PyHessian's."""
    head = ["network", "BN mode", "ours, pass kept", "ours, pass anew", "double backward", "jvp of grad"]
    head += ["density, PyHessian : ours"]
    rows = [
        [
            f"{case['arch']} {case['image_size']}×{case['image_size']} {case['norm']}",
            case["bn_mode"],
            *(shown(case[side], 2) for side in ("kept", "anew", "double_backward", "jvp_of_grad")),
            shown(case["density"]["ratio"], 2) if "density" in case else "–",
        ]
        for case in record["cases"]
    ]
    settings = record["settings"]
    what = f"B = {settings['batch_size']}, Lanczos: {settings['probes']} × {settings['steps']} steps, one thread"
    return markdown(head, rows, _origin(record, f"{_rounds(record)}; {what}"))


def _network(case: Record) -> str:
    return f"{case['arch']} {case['image_size']}×{case['image_size']} {case['norm']}"


def _batch_sizes(record: Record) -> str:
    return ", ".join(str(size) for size in sorted({case["batch_size"] for case in record["cases"]}))


def _rounds(record: Record) -> str:
    return f"Median (smallest–largest) of {record['settings']['rounds']} rounds in turns"


def _sides(record: Record) -> str:
    """Processes × threads of both sides."""
    sides = [record["cases"][0][side] for side in ("ours", "baseline")]
    ours, theirs = (f"{side['processes']}×{side['threads']}" for side in sides)
    return f"processes × threads: {ours} ours, {theirs} the script's"


def _origin(record: Record, what: str) -> str:
    """A table's conditions and provenance."""
    where = record["processor"] if record["device"] == "cpu" else record["device"]
    load = "unknown" if record["load_before"] is None else f"{record['load_before']:.1f}"
    commit = record["commit"][:12] + " with changes" * ("+" in record["commit"])
    return (
        f"{what}; {where}, "
        f"{record['host_cores']} cores, load before: {load}, float32, torch {record['versions']['torch']}, "
        f"commit {commit}, {record['started'][:10]}."
    )
