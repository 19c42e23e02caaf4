"""Figures, claims and report of a finished preset from its kept raw values alone: no data, no training, no GPU."""

import sys
from pathlib import Path

from understanding_bn import files
from understanding_bn.claims.checks import NOT_RUN
from understanding_bn.errors import UserError
from understanding_bn.progress import Progress

RAW = "raw"
INDEX = "raw.json"
LARGEST = 1_000_000  # bytes of a file that is kept


def keep(source: Path, target: Path) -> None:
    """Copy the raw values behind a preset's claims, figures and tables from results/PRESET to its record.

    raw.json beside them says what each is drawn from: `files` are below raw/, `claims` and each of `items` (figures and
    tables in the report's order) are positions in it, `roles` is the config's claims block. An item that needs a file
    too large to keep has null there, and its own kept files in its place.

    Raises:
        UserError: a list of inputs is missing; the preset was run by an older version.
    """
    config = source / "config.json"
    if not config.is_file():
        raise UserError(f"{config}: no such file; run that preset again, which writes it at its start")
    made = [path.stem for folder in ("figures/*.png", "tables/*.md") for path in sorted(source.glob(folder))]
    lists = {name: files.read_list(source / "inputs" / f"{name}.txt") for name in ["claims", *made]}
    raw = {name: [Path(*Path(path).parts[2:]) for path in paths] for name, paths in lists.items()}  # results/PRESET/…
    everything = sorted({path for paths in raw.values() for path in paths})
    kept = [path for path in everything if (source / path).stat().st_size <= LARGEST]
    for path in kept:
        files.copy(source / path, target / RAW / path)
    position = {path: number for number, path in enumerate(kept)}
    whole = {name for name in raw if all(path in position for path in raw[name])}
    index = {"files": [path.as_posix() for path in kept], "roles": files.read_json(config)["claims"]}
    index["claims"] = [position[path] for path in raw["claims"] if path in position]
    index["items"] = {name: [position[path] for path in raw[name]] if name in whole else None for name in made}
    files.write_json(target / INDEX, index)


def _take_over(judged: Path, kept: Path) -> None:
    """Put verdicts of the record in the place of those that need raw values too large to keep, and say so."""
    claims = files.read_json(judged)
    before = {claim["id"]: claim for claim in files.read_json(kept)}
    for position, claim in enumerate(claims):
        if claim["verdict"] == NOT_RUN and before[claim["id"]]["verdict"] != NOT_RUN:
            print(f"claim {claim['id']}: taken over as it was judged, {claim['note']}", file=sys.stderr)
            claims[position] = before[claim["id"]] | {"runs": []}
    files.write_json(judged, claims)


def rebuild(record: Path, out: Path, captions: Path, beside: Path | None) -> None:
    """Draw every figure and table of a record anew, judge its claims, and build its report, all in `out`.

    Args:
        record: results/reference/PRESET, as `keep` and `reference.record` wrote it.
        out: folder to write to; it ends up laid out like results/PRESET.
        captions: folder of captions, NAME.rst.
        beside: a kept claims.json of the paper's scale, set beside those of smaller presets.

    Raises:
        UserError: the record has no raw values, or a file in it is not the one that its job wrote.
    """
    from understanding_bn.claims import job as claims
    from understanding_bn.figures import job as figures
    from understanding_bn.report import job as report

    index, runs = files.read_json(record / INDEX), files.read_json(record / "provenance.json")["runs"]
    raw = [out / name for name in index["files"]]
    for name, path in zip(index["files"], raw, strict=True):
        files.copy(record / RAW / name, path)
        files.write_json(path.parent / "run.json", runs[Path(name).parent.as_posix()])
    progress = Progress("redrawn", len(index["items"]), "figures and tables")
    items = []
    for done, (name, chosen) in enumerate(index["items"].items()):
        progress.show(done, name)
        table = (record / "tables" / f"{name}.csv").is_file()
        folder = out / ("tables" if table else "figures")
        if chosen is None:
            print(f"{name}: taken over as it was drawn, its raw values are too large to keep", file=sys.stderr)
            for path in (record / folder.name).glob(f"{name}*"):
                files.copy(path, folder / path.name)
        else:
            figures.draw(name, [raw[number] for number in chosen], folder)
        items.append(folder / f"{name}{'.md' if table else '.png'}")
    progress.show(len(items))
    judged = out / "claims.json", out / "later.json"
    claims.run([raw[number] for number in index["claims"]], index["roles"], *judged)
    for path in judged:
        _take_over(path, record / path.name)
    records = sorted({path.parent / "run.json" for path in raw})
    report.run(record.name, *judged, items, records, captions, beside, out / "report.html")
