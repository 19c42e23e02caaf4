"""Figures, tables and verdicts from the raw values of jobs, wherever these lie: one sitting's, or those of several."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understanding_bn import failures, files
from understanding_bn.claims import judging
from understanding_bn.claims.checks import NOT_RUN
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Draw
from understanding_bn.experiment.plan import Inputs, Plan
from understanding_bn.figures import drawing
from understanding_bn.progress import Progress
from understanding_bn.report import items
from understanding_bn.report.parts import Part

OF_FIGURE = "jobs of its figure"  # how a note on a part of them ends


@dataclass(frozen=True)
class Drawn:
    """What was made.

    Attributes:
        shown: the file of each figure and table that a report shows, in its order.
        records: the run.json of every job whose raw values are there.
        failed: why some of `shown` are missing.
    """

    shown: list[Path]
    records: list[Path]
    failed: dict[Path, items.Lost]


def redraw(planned: Plan, parts: Mapping[str, Part], kept: Path, out: Path) -> Drawn:
    """Draw all figures and tables and judge all claims in `out`, laid out like results/PRESET.

    What needs raw values that were too large to keep is copied from the record.

    Args:
        planned: all jobs, those that were not run among them.
        parts: what the jobs left that were run, by their folders.
        kept: the record, results/reference/PRESET, if there is one.
        out: the folder to write to.

    Raises:
        UserError: a file is not the one that its job wrote, or the jobs do not fit together.
    """
    present = planned.part(parts)
    raw: dict[str, Path] = {}
    for job in present.measured:
        part = parts[job.folder]
        if part.values is not None:
            raw[job.values] = out / job.values
            files.copy(part.values, raw[job.values])
            files.write_text(raw[job.values].parent / "run.json", part.run.model_dump_json(indent=2) + "\n")

    def paths(inputs: Inputs) -> dict[str, list[Path]]:
        tables = {table: [raw[job.values] for job in jobs if job.values in raw] for table, jobs in inputs.items()}
        return {table: named for table, named in tables.items() if named}

    drawn = [(item, inputs) for item, inputs in present.items.items() if inputs]
    lost = {
        item.name for item, inputs in drawn if any(job.values not in raw for jobs in inputs.values() for job in jobs)
    }
    failed: dict[Path, items.Lost] = {}
    progress = Progress("redrawn", len(drawn), "figures and tables")
    for done, (item, inputs) in enumerate(drawn):
        progress.show(done, item.name)
        if item.name in lost:
            _copy(item, kept, out)
        elif why := _draw(item, paths(inputs), out):
            failed[out / item.shown] = why
    progress.show(len(drawn))
    judged = out / "claims.json", out / "followups.json"
    judging.run(paths(present.evidence), *judged)
    for path in judged:
        claims = _with_kept_verdicts(files.read_json(path), kept / path.name, lost)
        for claim in claims:
            claim["runs"] = [_named(Path(name), planned, out) for name in claim["runs"]]
        files.write_json(path, _with_notes(claims, planned, parts))
    records = sorted(path.parent / "run.json" for path in raw.values())
    return Drawn([out / item.shown for item, _ in drawn], records, failed)


def _named(path: Path, planned: Plan, out: Path) -> str:
    """A job's file as its preset's results have it, wherever it was drawn from."""
    return f"results/{planned.config.preset}/{path.relative_to(out).as_posix()}"


def _draw(item: Draw, inputs: dict[str, list[Path]], out: Path) -> items.Lost | None:
    """Draw a figure or table. Returns why it failed: all others go on."""
    try:
        drawing.draw(item.name, inputs, out / item.kind)
    except UserError:
        raise
    except Exception as error:
        return items.Lost(failures.tell(item.name, error))
    return None


def _copy(item: Draw, kept: Path, out: Path) -> None:
    print(f"{item.name}: copied as it was drawn, its raw values are too large to keep", file=sys.stderr)
    for path in (kept / item.kind).glob(f"{item.name}*"):
        files.copy(path, out / item.kind / path.name)


def _with_kept_verdicts(claims: list[dict[str, Any]], kept: Path, lost: set[str]) -> list[dict[str, Any]]:
    """Claims; where the raw values of a claim's figure were too large to keep, with the record's verdict."""
    copied = [claim["verdict"] == NOT_RUN and claim["figure"] in lost for claim in claims]
    kept_claims = {claim["id"]: claim for claim in files.read_json(kept)} if any(copied) else {}
    for position, claim in enumerate(claims):
        if copied[position]:
            print(f"claim {claim['id']}: copied as it was judged, {claim['note']}", file=sys.stderr)
            said = {key: claim[key] for key in ("paper", "paper_origin")}  # the record's may be older
            claims[position] = kept_claims[claim["id"]] | {"runs": []} | said
    return claims


def _with_notes(claims: list[dict[str, Any]], planned: Plan, parts: Mapping[str, Part]) -> list[dict[str, Any]]:
    """Claims; the note of one says so where some of the jobs behind its figure were not run."""
    places = {
        item.name: [job.folder for jobs in inputs.values() for job in jobs] for item, inputs in planned.items.items()
    }
    for claim in claims:
        behind = places.get(claim["figure"], [])
        there = sum(place in parts for place in behind)
        # One that was copied has such a note already.
        notes = [note for note in claim["note"].split("; ") if note and not note.endswith(OF_FIGURE)]
        notes += [f"the record has {there} of the {len(behind)} {OF_FIGURE}"] if there < len(behind) else []
        claim["note"] = "; ".join(notes)
    return claims
