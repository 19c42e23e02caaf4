"""What a job leaves: its files, and run.json beside them, which says how they came about and what they are."""

from pathlib import Path
from typing import Any

from understanding_bn import files
from understanding_bn.errors import UserError


def finish(out: Path, place: str, names: list[str], record: dict[str, Any]) -> None:
    """Write run.json for the finished files `names` in `out`: the record, their SHA-256 and where they belong.

    Args:
        out: the job's folder.
        place: how that folder is called below its preset's, such as train/resnet-8/…/epochs-5.
        names: the job's other outputs.
        record: everything else that is to be known.
    """
    outputs = {name: files.sha256(out / name) for name in names}
    files.write_json(out / "run.json", record | {"place": place, "outputs": outputs})


def verify(path: Path) -> dict[str, Any]:
    """See that a result is what its job wrote, and lies where it belongs, as far as a run.json beside it tells.

    Returns:
        What that file says; nothing if there is none.

    Raises:
        UserError: it does not.
    """
    beside = path.parent / "run.json"
    if not beside.is_file():
        return {}
    record = files.read_json(beside)
    mend = f"remove {path.parent} and run snakemake again"
    expected = record.get("outputs", {}).get(path.name)
    if expected is not None and files.sha256(path) != expected:
        raise UserError(f"{path}: not the file that its job wrote, whose checksum is in run.json beside it; {mend}")
    place = record.get("place", "")
    folder = f"{path.parent.resolve().as_posix()}/"
    if f"/{place.split('/')[0]}/" in folder and f"/{place}/" not in folder:
        raise UserError(f"{path}: belongs to {place}, as run.json beside it says; {mend}")
    return record


def must_share_data(records: dict[str, dict[str, Any]]) -> None:
    """See that all these runs, {file: its run.json}, were made from the same images, as far as those tell.

    A data set is known by a tag, which does not change if images are edited in place and keep their sizes.

    Raises:
        UserError: they were not.
    """
    checksums = {path: (record.get("data") or {}).get("sha256") for path, record in records.items()}
    made_from = {path: checksum for path, checksum in checksums.items() if checksum}
    first = next(iter(made_from), None)
    for path, checksum in made_from.items():
        if checksum != made_from[first]:
            raise UserError(
                f"{path}: made from other images than {first} (SHA-256 {checksum[:8]}… and {made_from[first][:8]}…, as "
                "their run.json say); remove the preset's results and its folder in results/data, and run again"
            )
