"""What runs take, and where records come from: the tables of README and of docs/cluster.md."""

from pathlib import Path

import pandas as pd

from understanding_bn import files
from understanding_bn.docs_pages import markdown, records


def origin(folder: Path) -> str:
    """One line of provenance."""
    record = records.read(folder)
    _, data = record.with_data[0]
    seeds = sorted({seed for job in record.jobs for seed in job.seeds})
    devices = sorted({job.device for job in record.jobs})
    processors = sorted({job.processor for job in record.jobs})
    commits = sorted({job.commit or "unknown" for job in record.jobs})
    versions = sorted({job.versions["torch"] for job in record.jobs if "torch" in job.versions})
    part = f"{record.share}, the others were not run; " if record.share else ""
    commits = [commit[:12] + " with changes" * ("+" in commit) for commit in commits]
    return (
        f"\n*From `results/reference/{folder.name}`: {part}{data.source}, seeds {', '.join(map(str, seeds))}, "
        f"{' and '.join(devices)} ({' and '.join(processors)}), torch {' and '.join(versions)}, "
        f"commit {' and '.join(commits)}, "
        f"{record.job_minutes:g} minutes of job time on one thread each, at most {record.peak_memory_mib} MiB a job.*\n"
    )


def costs(reference: Path) -> str:
    """What the presets that ran took."""
    rows = []
    for preset in reversed(records.kept(reference)):
        record = records.read(reference / preset)
        rows.append(
            {
                "preset": records.named(reference, preset),
                "jobs": str(len(record.jobs)),
                "job time, one thread each": f"{record.job_minutes:.0f} min",
                "first start to last end": f"{record.elapsed_minutes:.0f} min",
                "at most in one job": f"{record.peak_memory_mib} MiB",
            }
        )
    return markdown.table(pd.DataFrame(rows))


def plans(reference: Path) -> str:
    """What the presets that did not run would take for training, at the rates that were measured."""
    rows = []
    for preset in ("paper-short", "paper"):
        plan = files.read_json(reference / "benchmark" / f"plan-{preset}.json")
        totals, labels = plan["totals"], [device["label"] for device in plan["devices"]]
        hours = [f"{totals['hours'][name]:,.0f} on {name} {totals['marks'][name]}".rstrip() for name in labels]
        kinds = {device["device"] for device in plan["devices"]}
        hours += [f"{name}: not measured" for kind, name in (("cpu", "CPU"), ("cuda", "GPU")) if kind not in kinds]
        amounts = str(totals["runs"]), f"{totals['epochs']:,}", f"{totals['pflop']:,.0f}"
        rows.append((f"`{preset}`", *amounts, "; ".join(hours)))
    note = "Hours are from `results/reference/benchmark`, an upper bound: runs that diverge end early."
    head = ["preset, training alone", "runs", "epochs", "PFLOP", "hours"]
    return markdown.table(pd.DataFrame(rows, columns=head), note)


def scale(reference: Path) -> str:
    """What planning a large grid takes."""
    path = reference / "benchmark" / "scale.json"
    if not path.is_file():
        return "\n*Not measured yet.*\n"
    record = files.read_json(path)
    rows = [
        (what, *(f"{cost[name]:,.0f}" for name in ("wall_seconds", "cpu_seconds", "peak_memory_mib")))
        for what, cost in record["costs"].items()
    ]
    where = f"{record['processor']}, Snakemake {record['versions'].get('snakemake', 'unknown')}"
    note = f"A grid of {record['settings']['cells']:,} cells, one job each, on one core of {where}."
    return markdown.table(pd.DataFrame(rows, columns=["", "seconds", "processor seconds", "MiB"]), note)
