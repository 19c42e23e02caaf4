"""report.html: one self-contained page. Claims, then each figure next to the paper's findings, then provenance."""

import base64
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from understanding_bn import files, paper, record
from understanding_bn.claims import story
from understanding_bn.claims.catalogue import BY_ID
from understanding_bn.claims.checks import INCONCLUSIVE, NOT_RUN, OPPOSITE, PRECONDITION, REFUTED, REPRODUCED
from understanding_bn.errors import UserError
from understanding_bn.figures import nothing
from understanding_bn.record import Record
from understanding_bn.report import views

MARKS = {REPRODUCED: "✓", REFUTED: "✗", OPPOSITE: "⇄", INCONCLUSIVE: "?", PRECONDITION: "◇", NOT_RUN: "–"}
MOST_LISTED = 200  # files or jobs in one list of the page: all of the paper's preset, not all of a grid of thousands


def run(
    preset: str,
    claims: Path,
    followups: Path,
    items: list[Path],
    runs: list[Path],
    captions: Path,
    kept: Path | None,
    out: Path,
) -> None:
    """Build the page from claims.json, followups.json, figures (.png) and tables (.md) in order, and every run.json.

    `kept` is a claims.json of the paper's scale, shown next to verdicts of a smaller one.
    """
    judged, predicted = _with_sources(files.read_json(claims)), _with_sources(files.read_json(followups))
    large_scale = {claim["id"]: claim for claim in files.read_json(kept)} if kept else {}
    records = {str(path): record.read(path) for path in runs}
    at_scale = _at_scale([*records.values()])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["linked"] = partial(_linked, folder=out.parent)
    shown = [_item(path, captions) for path in items]
    page = environment.get_template("page.html").render(
        preset=preset,
        claims=judged,
        large_scale={} if at_scale else large_scale,
        story=story.sentences(judged, () if at_scale else [*large_scale.values()]),
        tally=Counter(claim["verdict"] for claim in judged),
        followups=predicted,
        followups_tally=Counter(claim["verdict"] for claim in predicted),
        drawn={path.stem: f"{path.parent.name}/{path.stem}.csv" for path in items},
        marks=MARKS,
        items=shown,
        scripts=views.scripts() if any(item["view"] for item in shown) else "",
        provenance=_provenance([*records.values()]),
        at_scale=at_scale,
        most=MOST_LISTED,
        data=next((run.data for run in records.values() if run.data), None),
        records=sorted(records.items()),
    )
    files.write_text(out, page)


def _with_sources(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Claims with what their source says and how we know it, from the catalogue: a file may be older."""
    return [claim | {"paper": paper.shown(BY_ID[claim["id"]].paper)} for claim in claims]


def _at_scale(records: list[Record]) -> bool:
    """Whether a preset is at the paper's scale: all of its training is, and some measurement is.

    Some measurements vary depth or batch size on purpose, and those without images have no scale.
    """

    def is_scale(run: Record) -> bool:
        data, networks = run.data, getattr(run.job, "networks", ())
        return data is not None and all(
            paper.is_scale(data.tag, data.train_images, network.arch, network.batch_size) for network in networks
        )

    with_data = [run for run in records if run.data is not None]
    return all(is_scale(run) for run in with_data if run.stage == "train") and any(map(is_scale, with_data))


def caption(folder: Path, name: str) -> tuple[str, list[str]]:
    """Title and paragraphs of NAME.rst: a line, a blank line, then plain paragraphs.

    Raises:
        UserError: there is no such caption.
    """
    path = folder / f"{name}.rst"
    if not path.is_file():
        raise UserError(f"{path}: no such caption; every figure and table needs one")
    title, *paragraphs = (" ".join(part.split()) for part in path.read_text(encoding="utf-8").split("\n\n"))
    return title.strip("*"), [paragraph for paragraph in paragraphs if paragraph]


def _item(path: Path, captions: Path) -> dict[str, Any]:
    """One figure or table as the template wants it."""
    title, paragraphs = caption(captions, path.stem)
    item: dict[str, Any] = {
        "name": path.stem,
        "title": title,
        "paragraphs": paragraphs,
        "nothing": nothing.sentence_in(path) if path.suffix == ".png" else None,
        "image": None,
        "kind": "",
        "view": None,
        "table": None,
        "notes": [],
    }
    if item["nothing"]:
        return item
    if path.suffix == ".png":
        item["view"] = views.view(path.with_suffix(".csv"))
        # Figures copied from a record have no vector graphics.
        vector = path.with_suffix(".svg")
        item["kind"] = "svg+xml" if vector.is_file() else "png"
        item["image"] = base64.b64encode((vector if vector.is_file() else path).read_bytes()).decode()
    else:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [_cells(line) for line in lines if line.startswith("|")]
        item["table"] = {"head": rows[0], "rows": rows[2:]} if rows else None
        item["notes"] = [line for line in lines if line and not line.startswith("|")]
    return item


def _cells(line: str) -> list[str]:
    """The cells of a row of a Markdown table, in which \\| is a bar."""
    return [cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0").strip("|").split("|")]


def _provenance(records: list[Record]) -> list[tuple[str, list[str]]]:
    """Facts about all jobs together; where values differ, all are listed."""
    facts: dict[str, Callable[[Record], str]] = {
        "commit": lambda run: run.commit or "unknown (not a git checkout)",
        "device": lambda run: run.device,
        "processor": lambda run: run.processor,
        "threads per job": lambda run: str(run.threads),
        "dtype": lambda run: run.dtype,
        "flags": lambda run: json.dumps(run.flags),
        "versions": lambda run: ", ".join(f"{name} {version}" for name, version in run.versions.items()),
    }
    rows = [(name, sorted({get(run) for run in records})) for name, get in facts.items()]
    seconds = sum(run.wall_seconds for run in records)
    peak = round(max(run.peak_memory_mib for run in records))
    cost = f"{len(records)} jobs, {seconds / 60:.1f} min of job time, at most {peak} MiB in one job"
    return [*rows, ("cost", [cost])]


def _linked(path: str, folder: Path) -> Markup:
    """A file's name, as a link where it lies below the page's own folder."""
    shown = Markup("<code>{}</code>").format(path)
    try:
        return Markup('<a href="{}">{}</a>').format(quote(Path(path).relative_to(folder).as_posix()), shown)
    except ValueError:
        return shown


def _number(value: float | None) -> str:
    """Three digits, without an exponent where that reads better."""
    return "–" if value is None else f"{value:.3g}"
