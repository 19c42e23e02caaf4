"""The figures and tables of report.html: image, caption, files, and numbers by seed."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup
from PIL import Image

from understanding_bn import failures
from understanding_bn.errors import UserError
from understanding_bn.figures import drawing, nothing
from understanding_bn.report import views

MOST_ROWS = 60  # of a table of numbers that is printed in the page; longer ones are linked
SMALL = 640  # pixels; twice the width at which small images are shown


@dataclass(frozen=True)
class Lost:
    """Why a figure or table is not there, and the log that says more, if there is one."""

    reason: str
    log: Path | None = None


def lost(path: Path, logs: Path) -> Lost:
    """Why the figure or table of this path is missing, as its job's log below `logs` says, such as logs/quick."""
    log = logs / path.parent.name / f"{path.stem}.log"
    return Lost(failures.why(log).removeprefix(f"{path.stem}: "), log)


def item(path: Path, captions: Path, missing: Lost | None = None) -> dict[str, Any]:
    """One figure (.png) or table (.md) as the template wants it.

    It is shown with its reason where it is `missing`, and where what it left can't be shown, which is told on stderr.
    """
    title, paragraphs = caption(captions, path.stem)
    words = {"name": path.stem, "title": title, "paragraphs": paragraphs, "lost": missing}
    if missing is None:
        try:
            return words | _content(path)
        except Exception as error:  # what a figure of the user's own leaves may be anything
            words["lost"] = Lost(failures.tell(f"{path}: can't be shown", error))
    content = dict.fromkeys(("nothing", "image", "view", "table", "numbers"))
    return words | content | {"notes": [], "files": [f"{path.parent.name}/{file.name}" for file in _files(path)]}


def _content(path: Path) -> dict[str, Any]:
    """What a figure or table shows, and its files."""
    table, notes = _table(path) if path.suffix == ".md" else (None, [])
    empty = nothing.sentence_in(path) if path.suffix == ".png" else None
    notes += [note] if path.suffix == ".png" and (note := drawing.note_in(path)) else []
    return {
        "nothing": empty,
        "image": _image(path) if path.suffix == ".png" and not empty else None,
        "view": None if empty else views.view(path.with_suffix(".csv")),
        "table": table,
        "notes": notes,
        "numbers": _numbers(path),
        "files": [f"{path.parent.name}/{file.name}" for file in _files(path)],
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


def small(path: Path) -> str:
    """A figure's PNG, small and of few colours, as an address that holds it."""
    with Image.open(path) as image:
        shrunk = image.convert("RGB").resize(
            (SMALL, round(SMALL * image.height / image.width)), Image.Resampling.LANCZOS
        )
    written = io.BytesIO()
    shrunk.quantize(64, dither=Image.Dither.NONE).save(written, "png", optimize=True)
    return _png(written.getvalue())


def _image(path: Path) -> str:
    """A figure as an address that holds it: as vector graphics; one copied from a record has none."""
    vector = path.with_suffix(".svg")
    if not vector.is_file():
        return _png(path.read_bytes())
    # As text an SVG takes a quarter less than in base64. Double quotes, of which it is full, may stand in an attribute
    # that has single ones.
    text = quote(" ".join(vector.read_text(encoding="utf-8").split()), safe=' "!$()*+,-./:;=?@[]^_`{|}~')
    return Markup(f"data:image/svg+xml;charset=utf-8,{text}")


def _png(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _table(path: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Head and rows of the one table in a Markdown file, if there is one, and its other lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [_cells(line) for line in lines if line.startswith("|")]
    notes = [line for line in lines if line and not line.startswith("|")]
    return {"head": rows[0], "rows": rows[2:]} if rows else None, notes


def _cells(line: str) -> list[str]:
    """The cells of a row of a Markdown table, in which \\| is a bar."""
    return [cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0").strip("|").split("|")]


def _files(path: Path) -> list[Path]:
    """All files of a figure or table: numbers first."""
    beside = [*path.parent.glob(f"{path.stem}.*"), *path.parent.glob(f"{path.stem}_*.csv")]
    return sorted(beside, key=lambda file: (file.suffix != ".csv", file.name))


def _numbers(path: Path) -> dict[str, Any] | None:
    """The short table behind a figure that has a row or more for each seed or draw; None if there is no such table."""
    for file in (path.with_name(f"{path.stem}_summary.csv"), path.with_suffix(".csv")):
        if not file.is_file():
            continue
        table = pd.read_csv(file, keep_default_na=False, na_values=[""]).dropna(axis="columns", how="all")
        if {"seed", "draw"} & {*table.columns} and len(table) <= MOST_ROWS:
            rows = [["" if pd.isna(cell) else _shown(cell) for cell in row] for row in table.itertuples(index=False)]
            return {"head": [*table.columns], "rows": rows, "file": file.name}
    return None


def _shown(cell: Any) -> str:
    """A cell of a CSV, a number with at most five digits."""
    return f"{cell:.5g}" if isinstance(cell, float) else str(cell)
