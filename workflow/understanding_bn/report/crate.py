"""ro-crate-metadata.json: a finished run described for machines, as a Process Run Crate.

https://w3id.org/ro/wfrun/process: what was run, on what, when, on which machine, and what came out. Together
with the files that it describes it is a Research Object Crate, which archives and workflow registries read.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from understanding_bn import files, record
from understanding_bn.record import Data, Record

NAME = "ro-crate-metadata.json"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENCE = "https://spdx.org/licenses/MIT"
PAPER = "https://arxiv.org/abs/1806.02375"
FORMATS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


def run(report: Path, claims: list[Path], items: list[Path], runs: list[Path]) -> None:
    """Describe report, claims, figures and tables, and the run.json of every job, in a file next to the report.

    Args:
        report: the page, results/PRESET/report.html; all other paths lie below its folder.
        claims: claims.json and followups.json.
        items: figures (.png) and tables (.md); files next to them with the same name belong to them.
        runs: the run.json of every job.
    """
    folder = report.parent
    crate = ROCrate()
    crate.name = f"Understanding Batch Normalization, checked: preset {folder.name}"
    crate.description = "Every figure, table and claim of Bjorck et al. (NeurIPS 2018) that this preset checks."
    crate.license = LICENCE
    profile = _thing(crate, PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
    crate.root_dataset["conformsTo"] = profile
    crate.root_dataset["about"] = _thing(crate, PAPER, "ScholarlyArticle", name="Understanding Batch Normalization")

    def add(path: Path, name: str) -> Any:
        place, kind = path.relative_to(folder).as_posix(), FORMATS.get(path.suffix, "application/octet-stream")
        return crate.add_file(path, place, properties={"name": name, "encodingFormat": kind})

    crate.root_dataset["mainEntity"] = add(report, "report")
    drawn = [path for item in items for path in sorted(item.parent.glob(f"{item.stem}*")) if path.suffix in FORMATS]
    for path in (*claims, *drawn):
        add(path, path.stem)
    for path in sorted(runs):
        run = record.read(path)
        values = [add(path.parent / name, name) for name in run.outputs if (path.parent / name).is_file()]
        place = path.parent.relative_to(folder).as_posix()
        evidence = add(path, f"what {place} ran")
        begin = datetime.fromisoformat(run.started)
        action = _thing(
            crate,
            f"#{place}",
            "CreateAction",
            name=run.stage,
            startTime=begin.isoformat(),
            endTime=(begin + timedelta(seconds=run.wall_seconds)).isoformat(),
            description=f"seeds {[*run.seeds]}, {run.device}, {run.processor}",
        )
        action["instrument"] = _software(crate, run)
        action["object"] = [_data(crate, run.data), evidence] if run.data else [evidence]
        action["result"] = values
        crate.root_dataset.append_to("mentions", action)
    files.write_json(folder / NAME, crate.metadata.generate())


def _thing(crate: ROCrate, place: str, kind: str, /, **properties: Any) -> Any:
    """An entity that is no file of the crate; the same one if it is there already."""
    return crate.get(place) or crate.add(ContextEntity(crate, place, {"@type": kind, **properties}))


def _software(crate: ROCrate, run: Record) -> Any:
    """The code of a job, by commit, with the versions of what it is built on."""
    commit = run.commit or "unknown"
    software = _thing(
        crate, f"#understanding-bn-{commit}", "SoftwareApplication", name="understanding-bn", version=commit
    )
    software["softwareRequirements"] = [
        _thing(crate, f"#{name}-{version}", "SoftwareApplication", name=name, version=version)
        for name, version in run.versions.items()
    ]
    return software


def _data(crate: ROCrate, data: Data) -> Any:
    """The data set, which is not in the crate, by its checksum."""
    checksum = data.sha256
    return _thing(crate, f"#data-{checksum}", "Dataset", name=data.source, identifier=f"sha256:{checksum}")
