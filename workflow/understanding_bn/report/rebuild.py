"""Figures, claims and report of a kept preset from its raw values alone: no data, no training, no GPU."""

from pathlib import Path

from understanding_bn.errors import UserError
from understanding_bn.experiment.plan import plan
from understanding_bn.report import page
from understanding_bn.report.parts import RAW, kept_parts
from understanding_bn.report.redraw import redraw
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
    planned = plan(read_config(kept / "config.json"))
    parts = kept_parts(planned, kept)
    if not any(part.values for part in parts.values()):
        raise UserError(f"{kept / RAW}: holds no raw values; run that preset instead")
    drawn = redraw(planned, parts, kept, out)
    judged = out / "claims.json", out / "followups.json"
    counts = len(parts), len(planned.measured)
    page.run(kept.name, *judged, drawn.shown, drawn.records, captions, scale, out / "report.html", drawn.failed, counts)
