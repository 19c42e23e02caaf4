"""Small records of finished runs, kept in results/reference."""

import shutil
from pathlib import Path
from typing import Any

from understanding_bn import files, record
from understanding_bn.errors import UserError
from understanding_bn.experiment.plan import plan
from understanding_bn.record import Record
from understanding_bn.status import read_config

# Records are for reading and redrawing: no weights, no images of a data set, nothing large.
LARGEST = 1_500_000  # bytes of a file that is kept
RAW = "raw"
KEPT = ("config.json", "claims.json", "followups.json", "figures/*.csv", "figures/*.png", "tables/*")
# Of the quick preset, which takes only minutes to run, what `verify` compares and the picture that the README shows.
QUICK = ("config.json", "claims.json", "followups.json", "figures/*.csv", "tables/*", "figures/fig1_accuracy.png")


def keep(results: Path, out: Path, presets: list[str]) -> None:
    """Copy the small results of finished presets from results/PRESET to results/reference/PRESET.

    Claims, figures (CSV and PNG), tables, the config and the raw values behind them are kept; provenance.json holds the
    run.json of every job. A file of raw values that is too large is left out.

    Raises:
        UserError: a preset has no finished claims, or was run by an older version.
    """
    for preset in presets:
        source, target = results / preset, out / preset
        if not (source / "claims.json").is_file():
            raise UserError(f"{source}: holds no finished claims.json; run that preset first")
        jobs = plan(read_config(source / "config.json")).measured
        runs = {job.folder: record.read(source / job.folder / "run.json") for job in jobs}
        shutil.rmtree(target, ignore_errors=True)  # a file that is no longer made must not stay
        for pattern in QUICK if preset == "quick" else KEPT:
            for path in sorted(source.glob(pattern)):
                _copy_small(path, target / path.relative_to(source))
        for job in jobs if preset != "quick" else ():
            _copy_small(source / job.values, target / RAW / job.values)
        write_provenance(target, runs)


def write_provenance(folder: Path, runs: dict[str, Record]) -> None:
    """Write provenance.json: the record of every job, by its place, and the total cost."""
    content: dict[str, Any] = {
        "jobs": len(runs),
        "runs": {place: run.model_dump(mode="json") for place, run in runs.items()},
        "job_minutes": round(sum(run.wall_seconds for run in runs.values()) / 60, 1),
        "peak_memory_mib": round(max(run.peak_memory_mib for run in runs.values())),
    }
    files.write_json(folder / "provenance.json", content)


def read_provenance(folder: Path) -> dict[str, Record]:
    """The record of every job of a kept preset, by its place.

    Raises:
        UserError: there is no such file, or it is of another version.
    """
    path = folder / "provenance.json"
    return {place: record.parse(run, f"{path}: {place}") for place, run in files.read_json(path)["runs"].items()}


def _copy_small(source: Path, target: Path) -> None:
    if source.stat().st_size <= LARGEST:
        files.copy(source, target)
