"""Small records of runs, kept in results/reference. A record grows: what a later run lacks is carried over."""

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from understanding_bn import files
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Measure, Measured
from understanding_bn.experiment.plan import Plan, plan
from understanding_bn.record import Record
from understanding_bn.report.parts import RAW, Part, kept_parts, ran, read_provenance
from understanding_bn.report.redraw import redraw
from understanding_bn.status import read_config

# Records are for reading and redrawing: no weights, no images of a data set, nothing large.
LARGEST = 1_500_000  # bytes of a file that is kept
KEPT = ("claims.json", "followups.json", "figures/*.csv", "figures/*.png", "tables/*")
# Of the quick preset, which takes only minutes to run, what `verify` compares and the picture that the README shows.
QUICK = ("claims.json", "followups.json", "figures/*.csv", "tables/*", "figures/fig1_accuracy.png")
MOST_NAMED = 3  # of the kept jobs that are dropped


def keep(results: Path, out: Path, presets: list[str]) -> None:
    """Keep the small results of presets from results/PRESET in results/reference/PRESET.

    A preset need not be finished: of the jobs that its config.json plans, those that have no results there are carried
    over from the record, if it has them. Figures, tables and verdicts are made from the raw values of all. These are
    kept, too, but for files that are too large; provenance.json holds the run.json of every job. Either the whole
    record is written or none of it.

    Raises:
        UserError: there is nothing to keep, results are of an older version, or of other images than the record.
    """
    for preset in presets:
        source, target = results / preset, out / preset
        if not (source / "config.json").is_file():
            raise UserError(f"{source}: holds no results; run that preset first")
        planned = plan(read_config(source / "config.json"))
        with _replacing(target) as fresh:
            parts = ran(planned, source) if preset == "quick" else _parts(planned, source, target)
            lacking = len(planned.measured) - len(parts)
            if not parts or (lacking and preset == "quick"):  # whose raw values are not kept
                raise UserError(f"{source}: {lacking} jobs have no results; run that preset first")
            with tempfile.TemporaryDirectory() as drawn_in:
                drawn = redraw(planned, parts, target, Path(drawn_in))
                _copy_small(Path(drawn_in), fresh, QUICK if preset == "quick" else KEPT)
            config = files.read_json(source / "config.json") | {"data_dir": None}  # a place on one machine
            files.write_json(fresh / "config.json", config)
            in_order = {job: parts[job.folder] for job in planned.measured if job.folder in parts}
            for job, part in in_order.items() if preset != "quick" else ():
                if part.values and part.values.stat().st_size <= LARGEST:
                    files.copy(part.values, fresh / RAW / job.values)
            write_provenance(fresh, {job.folder: part.run for job, part in in_order.items()}, len(planned.measured))
        print(f"{target}: {len(parts)} of {len(planned.measured)} jobs", file=sys.stderr)
        if drawn.failed:
            raise UserError(f"{target}: kept without {', '.join(path.stem for path in drawn.failed)}, see above")


def write_provenance(folder: Path, runs: Mapping[str, Record], planned: int | None = None) -> None:
    """Write provenance.json: the record of every job, by its place, and the total cost.

    `planned`: how many jobs there are, where some of them were not run.
    """
    content: dict[str, Any] = {
        "jobs": len(runs),
        "planned": planned or len(runs),
        "runs": {place: run.model_dump(mode="json") for place, run in runs.items()},
        "job_minutes": round(sum(run.wall_seconds for run in runs.values()) / 60, 1),
        "peak_memory_mib": round(max(run.peak_memory_mib for run in runs.values())),
    }
    files.write_json(folder / "provenance.json", content)


def _parts(planned: Plan, source: Path, target: Path) -> dict[str, Part]:
    """What was run now, and what the record has besides.

    Raises:
        UserError: both are not of the same images.
    """
    new = ran(planned, source)
    of_record = kept_parts(planned, target)
    carried = {place: part for place, part in of_record.items() if place not in new}
    stale = [job.folder for job in planned.measured if job.folder in carried and _is_stale(job, carried, new)]
    carried = {place: part for place, part in carried.items() if place not in stale}
    known = read_provenance(target) if (target / "provenance.json").is_file() else {}
    _tell(target, "no longer planned, or planned otherwise", known.keys() - of_record.keys())
    _tell(target, "measured on weights that another run has replaced", stale)
    _must_share_data(new, carried, source, target)
    return carried | new


def _is_stale(job: Measured, carried: Mapping[str, Part], new: Mapping[str, Part]) -> bool:
    """Whether a kept measurement was made on other weights than those that were trained now."""
    trained_by = job.trained_by if isinstance(job, Measure) else None
    if trained_by is None or trained_by not in new:
        return False
    return new[trained_by].run.outputs["weights.pt"] != carried[job.folder].run.weights_sha256


def _tell(target: Path, why: str, places: Iterable[str]) -> None:
    """Say which kept jobs are dropped."""
    if dropped := sorted(places):
        more = [f"and {len(dropped) - MOST_NAMED} more"] if len(dropped) > MOST_NAMED else []
        named = ", ".join([*dropped[:MOST_NAMED], *more])
        print(f"{target}: drops {len(dropped)} kept jobs, {why}: {named}", file=sys.stderr)


def _must_share_data(new: Mapping[str, Part], carried: Mapping[str, Part], source: Path, target: Path) -> None:
    """Check that what was run now and what the record has are of the same images."""
    named = {f"{source / place}": part.run for place, part in new.items()}
    named |= {f"{target}, {place}": part.run for place, part in carried.items()}
    checksums = {name: run.data.sha256 for name, run in named.items() if run.data}
    first = next(iter(checksums), "")
    for name, checksum in checksums.items():
        if checksum != checksums[first]:
            raise UserError(
                f"{name}: made from other images than {first} (SHA-256 {checksum[:8]}… and {checksums[first][:8]}…); "
                "a record is of one data set: give the preset another name, or remove the record"
            )


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Yield an empty folder, which takes the place of `target` if the block succeeds.

    What a process that was killed has left is mended first.
    """
    fresh, old = (target.with_name(f".{target.name}.{name}") for name in ("new", "old"))
    if old.is_dir() and not target.exists():  # it was killed between the two renames
        old.rename(target)
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        if target.exists():
            target.rename(old)
        fresh.rename(target)
    except BaseException:
        if old.is_dir() and not target.exists():
            old.rename(target)
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _copy_small(source: Path, target: Path, patterns: Iterable[str]) -> None:
    """Copy the files of these patterns, but for those that are too large to keep."""
    for path in (path for pattern in patterns for path in sorted(source.glob(pattern))):
        if path.stat().st_size <= LARGEST:
            files.copy(path, target / path.relative_to(source))
