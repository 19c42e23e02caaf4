"""report.html: one self-contained page. The argument, claims, each figure next to the paper's findings, provenance."""

import json
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from understanding_bn import files, messages, paper, record
from understanding_bn.claims import story
from understanding_bn.claims.catalogue import BY_ID
from understanding_bn.claims.checks import (
    INCONCLUSIVE,
    NOT_RUN,
    OPPOSITE,
    PRECONDITION,
    REFUTED,
    REPRODUCED,
    SHARE,
)
from understanding_bn.record import Record
from understanding_bn.report import items, opening, views

# What a badge looks like: a mark, so that it can be read without colours, and a colour. story.TURNED is OPPOSITE.
MARKS = {REPRODUCED: "✓", REFUTED: "✗", OPPOSITE: "⇄", INCONCLUSIVE: "?", PRECONDITION: "◇", NOT_RUN: "–"}
BADGES = {
    REPRODUCED: (MARKS[REPRODUCED], "good"),
    REFUTED: (MARKS[REFUTED], "bad"),
    OPPOSITE: (MARKS[OPPOSITE], "bad"),
    INCONCLUSIVE: (MARKS[INCONCLUSIVE], "open"),
    PRECONDITION: (MARKS[PRECONDITION], "none"),
    NOT_RUN: (MARKS[NOT_RUN], "none"),
    story.HOLDS: ("✓", "good"),
    story.IN_PART: ("◐", "open"),
    story.FAILS: ("✗", "bad"),
    story.CANNOT_TELL: ("◇", "none"),
    story.UNTESTED: ("–", "none"),
}
MOST_LISTED = 200  # files or jobs in one list of the page: all of the paper's preset, not all of a grid of thousands


def run(
    preset: str,
    claims: Path,
    followups: Path,
    shown: list[Path],
    runs: list[Path],
    captions: Path,
    kept: Path | None,
    out: Path,
    lost: Mapping[Path, items.Lost] | None = None,
    jobs: tuple[int, int] | None = None,
) -> None:
    """Build the page from claims.json, followups.json, figures (.png) and tables (.md) in order, and every run.json.

    `kept` is a claims.json of the paper's scale, shown next to verdicts of a smaller one. `lost` says why some of the
    figures and tables are not there: the page shows all others, and says so. `jobs`: how many ran, and how many
    there are, where that may be more.
    """
    judged, predicted = _with_sources(files.read_json(claims)), _with_sources(files.read_json(followups))
    records = {str(path): record.read(path) for path in runs}
    at_scale = _at_scale([*records.values()])
    large_scale = {claim["id"]: claim for claim in files.read_json(kept)} if kept and not at_scale else {}
    drawn = [items.item(path, captions, (lost or {}).get(path)) for path in shown]
    figures = {path.stem: path for path, item in zip(shown, drawn, strict=True) if item["image"]}
    template = _environment(out.parent).get_template("page.html")
    page = template.render(
        preset=preset,
        claims=judged,
        large_scale=large_scale,
        story=opening.argument(judged, [*large_scale.values()], figures),
        this_run=opening.this_run([*records.values()], at_scale, jobs),
        tally=Counter(claim["verdict"] for claim in judged),
        followups=predicted,
        followups_tally=Counter(claim["verdict"] for claim in predicted),
        drawn={item["name"]: item for item in drawn},
        lost=[item for item in drawn if item["lost"]],
        unjudged=[claim for claim in judged + predicted if claim["failure"]],
        command=_command(out.parent / "config.json"),
        marks=MARKS,
        not_run=NOT_RUN,
        precondition=PRECONDITION,
        of_flags=SHARE,
        scripts=views.scripts() if any(item["view"] for item in drawn) else "",
        provenance=_provenance([*records.values()]),
        at_scale=at_scale,
        most=MOST_LISTED,
        data=next((run.data for run in records.values() if run.data), None),
        records=sorted(records.items()),
    )
    files.write_text(out, page)


def _environment(folder: Path) -> jinja2.Environment:
    """Templates with the page's filters. `folder`: the page's own, from which its links go."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["range"] = _range
    environment.filters["badge"] = _badge
    environment.filters["colour"] = lambda word: BADGES[word][1]
    environment.filters["linked"] = partial(_linked, folder=folder)
    environment.filters["raw"] = partial(_raw, folder=folder)
    return environment


def _with_sources(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Claims with what their source says and how we know it, from the catalogue: a file may be older."""
    return [{"failure": ""} | claim | {"paper": paper.shown(BY_ID[claim["id"]].paper)} for claim in claims]


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


def _command(config: Path) -> str:
    """The command that does again what this run did. A page that was rebuilt from a record has no config next to it."""
    return f"snakemake --cores all --configfile {shlex.quote(str(config))}" if config.is_file() else ""


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
    """A file's name; below the page's own folder as a link, named from there."""
    if not Path(path).is_relative_to(folder):
        return Markup("<code>{}</code>").format(path)
    near = Path(path).relative_to(folder).as_posix()
    return Markup('<a href="{}"><code>{}</code></a>').format(quote(near), near)


def _raw(path: str, folder: Path) -> Markup:
    """A job's file of raw values and its record; where the job lies below the page's own folder, as links."""
    if not Path(path).is_relative_to(folder):
        return Markup("<code>{}</code>").format(path)
    place = Path(path).relative_to(folder).parent.as_posix()
    link = '<a href="{0}/{1}"><code>{1}</code></a>'
    names = [Markup(link).format(quote(place), name) for name in (Path(path).name, "run.json")]
    return Markup("<code>{}/</code> {}, {}").format(place, *names)


def _badge(word: str, count: int = 0) -> Markup:
    """A verdict, with how many there are if that is asked."""
    mark, colour = BADGES[word]
    html = '<span class="badge {}"><span aria-hidden="true">{}</span> {}</span>'
    return Markup(html).format(colour, mark, f"{word}: {count}" if count else word)


def _number(value: float | None) -> str:
    """Three digits, and a minus sign that is one."""
    return "–" if value is None else messages.plain(value).replace("-", "−")


def _range(interval: list[float] | None) -> str:
    """An interval; nothing where there is none."""
    return f"[{_number(interval[0])}, {_number(interval[1])}]" if interval else ""
