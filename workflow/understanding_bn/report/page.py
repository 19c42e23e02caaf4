"""report.html: one self-contained page. Claims first, then every figure beside what the paper saw, then provenance."""

import base64
import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from understanding_bn import files
from understanding_bn.claims.checks import INCONCLUSIVE, NOT_RUN, REFUTED, REPRODUCED
from understanding_bn.errors import UserError
from understanding_bn.grid import IMAGES
from understanding_bn.report import views

MARKS = {REPRODUCED: "✓", REFUTED: "✗", INCONCLUSIVE: "?", NOT_RUN: "–"}
MOST_LISTED = 200  # files or jobs in one list of the page: all of the paper's preset, not all of a grid of thousands


def run(
    preset: str,
    claims: Path,
    later: Path,
    items: list[Path],
    runs: list[Path],
    captions: Path,
    kept: Path | None,
    out: Path,
) -> None:
    """Build the page from claims.json, later.json, figures (.png) and tables (.md) in order, and every run.json.

    `kept` is a claims.json of the paper's scale to set beside verdicts of a smaller one.
    """
    judged, predicted = files.read_json(claims), files.read_json(later)
    beside = {claim["id"]: claim for claim in files.read_json(kept)} if kept else {}
    records = [files.read_json(path) for path in runs]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["linked"] = partial(_linked, beside=out.parent)
    shown = [_item(path, captions) for path in items]
    page = environment.get_template("page.html").render(
        preset=preset,
        claims=judged,
        beside={} if _at_scale(records) else beside,
        tally=Counter(claim["verdict"] for claim in judged),
        later=predicted,
        later_tally=Counter(claim["verdict"] for claim in predicted),
        drawn={path.stem: f"{path.parent.name}/{path.stem}.csv" for path in items},
        marks=MARKS,
        items=shown,
        scripts=views.scripts() if any(item["view"] for item in shown) else "",
        provenance=_provenance(records),
        at_scale=_at_scale(records),
        most=MOST_LISTED,
        data=next((record["data"] for record in records if record["data"]), None),
        records=sorted(({"path": str(p), **r} for p, r in zip(runs, records, strict=True)), key=lambda r: r["path"]),
    )
    files.write_text(out, page)


def _at_scale(records: list[dict[str, Any]]) -> bool:
    """Whether a preset is at the paper's scale: all of its training is, and some measurement is.

    Some measurements vary depth or batch size on purpose, and those without images have no scale.
    """
    paper = ("cifar10", IMAGES["cifar10"]["train"], "resnet-110", 128)
    settings = [
        (r["stage"], (r["data"]["dataset"], r["data"]["train_images"], *map(r["settings"].get, ("arch", "batch_size"))))
        for r in records
        if r["data"]
    ]
    return all(here == paper for stage, here in settings if stage == "train") and paper in {
        here for _, here in settings
    }


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
    item = {
        "name": path.stem,
        "title": title,
        "paragraphs": paragraphs,
        "image": None,
        "kind": "",
        "view": views.view(path.with_suffix(".csv")),
        "table": None,
        "notes": [],
    }
    if path.suffix == ".png":
        # What was taken over from a record has no vector graphics.
        vector = path.with_suffix(".svg")
        item["kind"] = "svg+xml" if vector.is_file() else "png"
        item["image"] = base64.b64encode((vector if vector.is_file() else path).read_bytes()).decode()
    else:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [_cells(line) for line in lines if line.startswith("|")]
        item["table"] = {"head": rows[0], "rows": rows[2:]}
        item["notes"] = [line for line in lines if line and not line.startswith("|")]
    return item


def _cells(line: str) -> list[str]:
    """The cells of a row of a Markdown table, in which \\| is a bar."""
    return [cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0").strip("|").split("|")]


def _provenance(records: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """What is worth telling once of all jobs; several values are all listed."""
    facts = {
        "commit": lambda r: r["commit"] or "unknown (not a git checkout)",
        "device": lambda r: r["device"],
        "processor": lambda r: r["processor"],
        "threads per job": lambda r: str(r["threads"]),
        "dtype": lambda r: r["dtype"],
        "flags": lambda r: json.dumps(r["flags"]),
        "versions": lambda r: ", ".join(f"{name} {version}" for name, version in r["versions"].items()),
    }
    found = [(name, sorted({get(record) for record in records})) for name, get in facts.items()]
    seconds = sum(record["wall_seconds"] for record in records)
    peak = max(record["peak_memory_mib"] for record in records)
    cost = f"{len(records)} jobs, {seconds / 60:.1f} min of job time, at most {peak} MiB in one job"
    return [*found, ("cost", [cost])]


def _linked(path: str, beside: Path) -> Markup:
    """A file's name, as a link where it lies below the page's own folder."""
    shown = Markup("<code>{}</code>").format(path)
    try:
        return Markup('<a href="{}">{}</a>').format(quote(Path(path).relative_to(beside).as_posix()), shown)
    except ValueError:
        return shown


def _number(value: float | None) -> str:
    """Three digits, without an exponent where that reads better."""
    return "–" if value is None else f"{value:.3g}"
