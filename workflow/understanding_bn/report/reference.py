"""Small records of finished runs, kept in results/reference."""

import shutil
from pathlib import Path
from typing import Any

from understanding_bn import files
from understanding_bn.errors import UserError
from understanding_bn.report import rebuild

# Records are for reading and redrawing: no weights, no images of a data set, nothing large.
KEPT = ("claims.json", "later.json", "figures/*.csv", "figures/*.png", "tables/*")
KEPT_ONLY = {"quick": ("claims.json", "later.json", "figures/fig1_accuracy*.csv", "figures/fig1_accuracy.png")}


def record(results: Path, out: Path, presets: list[str]) -> None:
    """Copy the small results of finished presets from results/PRESET to results/reference/PRESET.

    Claims, figures (CSV and PNG), tables and the raw values that all are made from are kept, of the quick preset,
    which anyone can run, just the first two that the README shows; provenance.json beside them holds the run.json of
    every job.

    Raises:
        UserError: a preset has no finished claims.
    """
    for preset in presets:
        source, target = results / preset, out / preset
        if not (source / "claims.json").is_file():
            raise UserError(f"{source}: holds no finished claims.json; run that preset first")
        shutil.rmtree(target, ignore_errors=True)  # what is no longer made must not stay
        names = KEPT_ONLY.get(preset, KEPT)
        for path in (path for pattern in names for path in sorted(source.glob(pattern))):
            if path.stat().st_size <= rebuild.LARGEST:
                files.copy(path, target / path.relative_to(source))
        if preset not in KEPT_ONLY:
            rebuild.keep(source, target)
        runs = {
            str(path.parent.relative_to(source)): files.read_json(path) for path in sorted(source.rglob("run.json"))
        }
        files.write_json(target / "provenance.json", {"jobs": len(runs), "runs": runs} | _cost(runs))


def _cost(runs: dict[str, Any]) -> dict[str, Any]:
    """Time and memory of all jobs that left a record."""
    minutes = sum(run["wall_seconds"] for run in runs.values()) / 60
    peak = max(run["peak_memory_mib"] for run in runs.values())
    return {"job_minutes": round(minutes, 1), "peak_memory_mib": peak}
