"""The tables of docs/speed.md: what the kept records of `python -m understanding_bn benchmark` say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from understanding_bn import files
from understanding_bn.benchmark.measure import shown
from understanding_bn.docs_pages import markdown
from understanding_bn.docs_pages.markdown import DASH

Record = dict[str, Any]


def block(name: str, table: Callable[[Record], str]) -> Callable[[Path], str]:
    """What `table` makes of a kept benchmark; where there is none, that it was not run."""

    def text(reference: Path) -> str:
        path = reference / "benchmark" / f"{name}.json"
        return table(files.read_json(path)) if path.is_file() else "\n*Not run: no record is kept.*\n"

    return text


def steps(record: Record) -> str:
    """Training steps: images per second of ours and of a plain script, their ratio, and the share of the limit."""
    rows = [
        {
            "network": _network(case),
            "ours, images/s": shown(case["ours"]["images_per_second"]),
            "script, images/s": shown(case["baseline"]["images_per_second"]),
            "ours : script": shown(case["ratio"], 2),
            "ours, share of the limit": f"{case['ours']['share_of_matmul']['median']:.0%}",
            "script, share of the limit": f"{case['baseline']['share_of_matmul']['median']:.0%}",
        }
        for case in record["cases"]
    ]
    return _table(rows, record, f"{_rounds(record)}; B = {_batch_sizes(record)}, {_sides(record)}")


def bfloat16(record: Record) -> str:
    """Training steps in bfloat16 next to ours in float32 and to a plain script, in turns."""
    rows = [
        {
            "network": _network(case),
            "ours in bfloat16, images/s": shown(case["bfloat16"]["images_per_second"]),
            "times ours in float32": shown(case["bfloat16"]["ratio to ours"], 2),
            "times the script": shown(case["bfloat16"]["ratio to baseline"], 2),
        }
        for case in record["cases"]
    ]
    return _table(
        rows, record, f"{_rounds(record)}; B = {_batch_sizes(record)}, {_sides(record)}", "float32 and bfloat16"
    )


def precision(record: Record) -> str:
    """Whether another precision ends where float32 does."""
    settings, data = record["settings"], record["data"]
    rows = []
    for case in record["cases"]:
        low, high = case["interval"] or (float("nan"), float("nan"))
        means = {side: _mean(case[side]) for side in ("other", "float32")}
        rows.append(
            {
                "norm": case["norm"],
                "α": f"{case['alpha']:g}",
                f"test accuracy in {settings['precision']}": means["other"],
                "in float32": means["float32"],
                "difference, points": f"{case['difference']:+.2f}",
                "95 % interval": f"{low:+.2f} to {high:+.2f}",
                f"within ±{settings['bound']:g} points": "yes" if case["agree"] else "not shown",
            }
        )
    what = (
        f"{settings['arch']}, {settings['epochs']} epochs, {settings['seeds']} seeds, Student’s t on the differences; "
        f"{data['source']}"
    )
    return _table(rows, record, what)


def engine(record: Record) -> str:
    """Training on a GPU in every way."""
    rows = [
        {
            "way": row["way"],
            "images/s": shown(row["images_per_second"]),
            "times the script": f"{row['ratio']:.2f}",
            "share of products": f"{row['share_of_matmul']:.0%}",
            "share of copies": f"{row['share_of_copy']:.0%}",
            "MiB": f"{row['peak_memory_mib']:,.0f}",
        }
        if "error" not in row
        else {"way": row["way"], "images/s": row["error"]}
        for row in record["ways"]
    ]
    settings = record["settings"]
    what = f"{_network(settings)}, B = {settings['batch_size']}, {settings['steps']} mini-batches a run and round"
    return _table(pd.DataFrame(rows).fillna(DASH), record, what)


def _mean(accuracies: list[float | None]) -> str:
    """The mean accuracy of the seeds that have one, and how many have none."""
    sound = [value for value in accuracies if value is not None]
    missing = f", {len(accuracies) - len(sound)} diverged" if len(sound) < len(accuracies) else ""
    return f"{sum(sound) / len(sound):.1f} %{missing}" if sound else "all diverged"


def neighbour(record: Record) -> str:
    """What a busy neighbour costs each side."""
    rows = [
        {
            "network": _network(case),
            "ours, images/s": shown(case["ours"]["beside"]["images_per_second"]),
            "script, images/s": shown(case["baseline"]["beside"]["images_per_second"]),
            "slowdown, ours": shown(case["ours"]["beside"]["cost"], 2),
            "slowdown, script": shown(case["baseline"]["beside"]["cost"], 2),
        }
        for case in record["cases"]
    ]
    count = record["settings"]["neighbours"]
    return _table(rows, record, f"{_rounds(record)}; B = {_batch_sizes(record)}, busy neighbours: {count}")


def start(record: Record) -> str:
    """Short jobs from nothing and forked."""
    rows = [
        {
            "job": case["job"],
            "from nothing, s": shown(case["from nothing"]["seconds"], 2),
            "forked, s": shown(case["forked"]["seconds"], 2),
            "ratio": shown(case["ratio"], 1),
        }
        for case in record["cases"]
    ]
    return _table(rows, record, f"{_rounds(record)}; the warm process is ready after {record['ready_seconds']:.1f} s")


def memory(record: Record) -> str:
    """The most memory of a training process for each mini-batch size."""
    cases = pd.DataFrame(
        [(_network(case), case["batch_size"], case["ours"]["peak_memory_mib"]) for case in record["cases"]],
        columns=["network", "batch_size", "peak"],
    )
    peaks = cases.pivot(index="network", columns="batch_size", values="peak").loc[cases["network"].unique()]
    smallest, *_, largest = peaks.columns
    growth = (peaks[largest] - peaks[smallest]) / (largest - smallest)
    frame = peaks.map("{:,.0f}".format).rename(columns="B = {}".format)
    frame["MiB an image of B"] = growth.map("{:.1f}".format)
    frame = frame.rename_axis(columns=None).reset_index(names="network, MiB a process")
    return _table(frame, record, "The peak of one process, including interpreter and torch, excluding its data set")


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
        rows.append(
            {
                "images": f"{size}×{size}",
                "ours, images/s": shown(rate),
                "torchvision, images/s": shown(case["baseline"]["images_per_second"]),
                "ours : torchvision": shown(case["ratio"], 1),
                "share of a training step, at most": f"{share:.1%} ({fastest['arch']} {fastest['norm']})",
            }
        )
    settings = record["settings"]
    what = f"{settings['images']:,} images, B = {settings['batch_size']}, one thread a side"
    return _table(rows, record, f"{_rounds(record)}; {what}")


def products(record: Record) -> str:
    """Hessian-vector products in gradients, and the time of a whole spectral density relative to PyHessian's."""
    sides = {
        "kept": "ours, pass kept",
        "anew": "ours, pass repeated",
        "double_backward": "double backward",
        "jvp_of_grad": "jvp of grad",
    }
    rows = [
        {"network": _network(case), "BN mode": case["bn_mode"]}
        | {head: shown(case[side], 2) for side, head in sides.items()}
        | {"density, PyHessian : ours": shown(case["density"]["ratio"], 2) if "density" in case else DASH}
        for case in record["cases"]
    ]
    settings = record["settings"]
    what = f"B = {settings['batch_size']}, Lanczos: {settings['probes']} × {settings['steps']} steps, one thread"
    return _table(rows, record, f"{_rounds(record)}; {what}")


def _table(rows: list[dict[str, str]] | pd.DataFrame, record: Record, what: str, dtype: str = "float32") -> str:
    """A table with its conditions and provenance below it."""
    where = record["processor"] if record["device"] == "cpu" else record["device"]
    machine = [where]
    if "host_cores" in record:
        load = "unknown" if record["load_before"] is None else f"{record['load_before']:.1f}"
        machine += [f"{record['host_cores']} cores", f"load before: {load}", dtype]
    commit = record["commit"][:12] + " with changes" * ("+" in record["commit"])
    note = (
        f"{what}; {', '.join(machine)}, torch {record['versions']['torch']}, commit {commit}, {record['started'][:10]}."
    )
    return markdown.table(pd.DataFrame(rows), note)


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
