"""What a preset lacks: the files that neither its results nor its kept record has, as targets for Snakemake."""

import sys
from pathlib import Path

from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Measure, Measured
from understanding_bn.experiment.load import named
from understanding_bn.experiment.plan import Plan, plan
from understanding_bn.report.parts import kept_parts, ran


def run(preset: str, results: Path, reference: Path, first: int | None) -> None:
    """Print the files that a preset lacks, those of the `first` runs alone if that is given.

    Args:
        preset: its name, or its file.
        results: the folder of results/PRESET.
        reference: the folder of the records.
        first: how many runs; a run is a training job with all that is measured on its networks, or another job.

    Raises:
        UserError: there is no such preset, it has a mistake, or `first` is no number of runs.
    """
    if first is not None and first < 1:
        raise UserError(f"--first is {first}; expected 1 or more")
    config = named(preset)
    folder, planned = results / config.preset, plan(config)
    runs = missing(planned, folder, reference / config.preset)
    shown = runs[:first]
    said = f"{len(runs)} of {len(grouped(planned))} runs are missing"
    said += f"; these are the next {len(shown)}" if len(shown) < len(runs) else ""
    print(f"{config.preset}: {said if runs else 'nothing is missing'}", file=sys.stderr)
    for job in (job for jobs in shown for job in jobs):
        print((folder / job.values).as_posix())


def missing(planned: Plan, results: Path, kept: Path) -> list[list[Measured]]:
    """The runs of which neither results/PRESET nor its record has every job: of each, the jobs without results.

    The record has no weights. So of a run that it lacks a job of, all others are listed, too: its network is trained
    again, and perhaps to other weights, as on another kind of processor.
    """
    done, recorded = ran(planned, results), kept_parts(planned, kept)
    lacking = [jobs for jobs in grouped(planned) if any(job.folder not in done | recorded for job in jobs)]
    return [[job for job in jobs if job.folder not in done] for jobs in lacking]


def grouped(planned: Plan) -> list[list[Measured]]:
    """The jobs by run. Training comes first, breadth-first: every cell gets its first seeds before any gets more."""
    groups: dict[str, list[Measured]] = {job.folder: [] for job in sorted(planned.train, key=lambda job: job.seeds)}
    for job in planned.measured:
        trained_by = job.trained_by if isinstance(job, Measure) else None
        groups.setdefault(trained_by or job.folder, []).append(job)
    return list(groups.values())
