"""Figures, claims and report of a finished preset from its kept raw values alone: no data, no training, no GPU."""

import sys
from pathlib import Path

from understanding_bn import failures, files
from understanding_bn.claims import judging
from understanding_bn.claims.checks import NOT_RUN
from understanding_bn.errors import UserError
from understanding_bn.experiment.plan import Inputs, plan
from understanding_bn.figures import drawing
from understanding_bn.progress import Progress
from understanding_bn.report import items, page
from understanding_bn.report.reference import RAW, read_provenance
from understanding_bn.status import read_config


def rebuild(kept: Path, out: Path, captions: Path, scale: Path | None) -> None:
    """Draw every figure and table of a record again, judge its claims, and build its report, all in `out`.

    Args:
        kept: results/reference/PRESET, as `reference.keep` wrote it.
        out: folder to write to, laid out like results/PRESET.
        captions: folder of captions, NAME.rst.
        scale: a kept claims.json of the paper's scale, to compare those of smaller presets with.

    Raises:
        UserError: the record has no raw values, or a file in it is not the one that its job wrote.
    """
    experiment, runs = plan(read_config(kept / "config.json")), read_provenance(kept)
    raw: dict[str, Path] = {}
    for job in experiment.measured:
        if (kept / RAW / job.values).is_file():
            raw[job.values] = out / job.values
            files.copy(kept / RAW / job.values, raw[job.values])
            files.write_text(raw[job.values].parent / "run.json", runs[job.folder].model_dump_json(indent=2) + "\n")
    if not raw:
        raise UserError(f"{kept / RAW}: holds no raw values; run that preset instead")

    def present(inputs: Inputs) -> dict[str, list[Path]]:
        tables = {table: [raw[job.values] for job in jobs if job.values in raw] for table, jobs in inputs.items()}
        return {table: paths for table, paths in tables.items() if paths}

    drawn = [(item, inputs) for item, inputs in experiment.items.items() if inputs]
    lost = {
        item.name for item, inputs in drawn if any(job.values not in raw for jobs in inputs.values() for job in jobs)
    }
    progress = Progress("redrawn", len(drawn), "figures and tables")
    undrawn: dict[Path, items.Lost] = {}
    for done, (item, inputs) in enumerate(drawn):
        progress.show(done, item.name)
        if item.name not in lost:
            try:
                drawing.draw(item.name, present(inputs), out / item.kind)
            except UserError:
                raise
            except Exception as error:  # the page shows the others, and says so
                undrawn[out / item.shown] = items.Lost(failures.tell(item.name, error))
            continue
        print(f"{item.name}: copied as it was drawn, its raw values are too large to keep", file=sys.stderr)
        for path in (kept / item.kind).glob(f"{item.name}*"):
            files.copy(path, out / item.kind / path.name)
    progress.show(len(drawn))
    judged = out / "claims.json", out / "followups.json"
    judging.run(present(experiment.evidence), *judged)
    for path in judged:
        _keep_verdicts(path, kept / path.name, lost)
    records = sorted(path.parent / "run.json" for path in raw.values())
    shown = [out / item.shown for item, _ in drawn]
    page.run(kept.name, *judged, shown, records, captions, scale, out / "report.html", undrawn)


def _keep_verdicts(judged: Path, kept: Path, lost: set[str]) -> None:
    """Where the raw values of a claim's figure were too large to keep, use the record's verdict, and say so."""
    claims = files.read_json(judged)
    kept_claims = {claim["id"]: claim for claim in files.read_json(kept)}
    for position, claim in enumerate(claims):
        if claim["verdict"] == NOT_RUN and claim["figure"] in lost:
            print(f"claim {claim['id']}: copied as it was judged, {claim['note']}", file=sys.stderr)
            said = {key: claim[key] for key in ("paper", "paper_origin")}  # the record's may be older
            claims[position] = kept_claims[claim["id"]] | {"runs": []} | said
    files.write_json(judged, claims)
