"""Checks of finished results: files match their run.json, are where they belong, and fit together."""

from collections.abc import Mapping
from pathlib import Path

from understanding_bn import files, record
from understanding_bn.errors import UserError
from understanding_bn.record import Record


def verify(path: Path) -> Record | None:
    """Check that a result is what its job wrote, and is where it belongs, if there is a run.json next to it.

    Returns:
        That record; None if there is no run.json.

    Raises:
        UserError: it is another file, or its folder was copied or renamed.
    """
    run_json = path.parent / "run.json"
    if not run_json.is_file():
        return None
    run = record.read(run_json)
    remedy = f"remove {path.parent} and run snakemake again"
    expected = run.outputs.get(path.name)
    if expected is not None and files.sha256(path) != expected:
        raise UserError(f"{path}: not the file that its job wrote, whose checksum is in run.json next to it; {remedy}")
    folder = f"{path.parent.resolve().as_posix()}/"
    if f"/{run.place.split('/')[0]}/" in folder and f"/{run.place}/" not in folder:
        raise UserError(f"{path}: belongs to {run.place}, as run.json next to it says; {remedy}")
    return run


def must_fit_together(runs: Mapping[str, Record | None]) -> None:
    """Check that these runs, {file: its record}, were made from the same images, and that no seed counts twice.

    A data set is known by a tag, which does not change if images are edited in place and keep their sizes. A seed
    would count twice if seeds were divided among jobs in two ways and both results were read.

    Raises:
        UserError: they do not fit.
    """
    must_share_data(runs)
    first_paths: dict[tuple[str, int], str] = {}
    for path, run in runs.items():
        if run is None or not run.seeds or Path(path).name == "weights.pt":
            continue
        place = run.place.rsplit("/seeds-", 1)[0]
        for seed in run.seeds:
            if (first := first_paths.setdefault((place, seed), path)) != path:
                raise UserError(f"{path}: seed {seed} of {place} is in {first} too; remove one of their folders")


def must_share_data(runs: Mapping[str, Record | None]) -> None:
    """Check that these runs, {file: its record}, were made from the same images.

    Raises:
        UserError: they were not.
    """
    checksums = {path: run.data.sha256 for path, run in runs.items() if run is not None and run.data is not None}
    if not checksums:
        return
    first, expected = next(iter(checksums.items()))
    for path, checksum in checksums.items():
        if checksum != expected:
            raise UserError(
                f"{path}: made from other images than {first} (SHA-256 {checksum[:8]}… and {expected[:8]}…, as their "
                "run.json say); remove the preset's results and its folder in results/data, and run again"
            )
