"""What jobs have left: in a run's results, or in a kept record of earlier runs."""

from dataclasses import dataclass
from pathlib import Path

from understanding_bn import files, finished, record
from understanding_bn.experiment.jobs import Measured
from understanding_bn.experiment.plan import Plan
from understanding_bn.record import Record

RAW = "raw"  # the folder of a record's raw values


@dataclass(frozen=True)
class Part:
    """What one job left.

    Attributes:
        run: its record.
        values: its file of raw values; None where that was too large to keep.
    """

    run: Record
    values: Path | None


def ran(planned: Plan, results: Path) -> dict[str, Part]:
    """What planned jobs have left in results/PRESET, recorded by Snakemake or left aside, by their folders.

    Raises:
        UserError: results are of an older version.
    """
    parts: dict[str, Part] = {}
    for job in planned.measured:
        for folder in (finished.aside(results / job.folder), results / job.folder):
            if (folder / "run.json").is_file() and _is(run := record.read(folder / "run.json"), job):
                parts[job.folder] = Part(run, folder / Path(job.values).name)
    return parts


def kept_parts(planned: Plan, kept: Path) -> dict[str, Part]:
    """What a record has of the planned jobs, by their folders; nothing of those that were run in another way."""
    if not (kept / "provenance.json").is_file():
        return {}
    runs = read_provenance(kept)
    same = [job for job in planned.measured if job.folder in runs and _is(runs[job.folder], job)]
    values = {job.folder: kept / RAW / job.values for job in same}
    return {place: Part(runs[place], path if path.is_file() else None) for place, path in values.items()}


def read_provenance(folder: Path) -> dict[str, Record]:
    """The record of every job of a kept preset, by its place.

    Raises:
        UserError: there is no such file, or it is of another version.
    """
    path = folder / "provenance.json"
    return {place: record.parse(run, f"{path}: {place}") for place, run in files.read_json(path)["runs"].items()}


def _is(run: Record, job: Measured) -> bool:
    """Whether this is that job's run. A config that was kept does not name its plug-ins."""
    plugins = {"plugins"}
    return type(run.job) is type(job) and run.job.model_dump(exclude=plugins) == job.model_dump(exclude=plugins)
