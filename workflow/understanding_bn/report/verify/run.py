"""A user's run of a preset compared with its kept record: the same numbers and verdicts, or what differs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from understanding_bn import record
from understanding_bn.errors import UserError
from understanding_bn.experiment.config import Config
from understanding_bn.experiment.jobs import Measure, Measured
from understanding_bn.experiment.plan import plan
from understanding_bn.messages import shown
from understanding_bn.record import Record
from understanding_bn.report.parts import RAW, read_provenance
from understanding_bn.report.verify import words
from understanding_bn.report.verify.nearness import Comparison, Near, compare
from understanding_bn.report.verify.verdicts import compare_verdicts
from understanding_bn.status import read_config

# They change no number.
NOT_COMPARED = {"extends", "preset", "data_dir", "plugins", "seeds_per_job", "lanes", "tensorboard"}
SAME, DIFFERS = 0, 1  # exit statuses; a UserError's is 2


def run(ran: Path, kept: Path, any_data: bool = False) -> int:
    """Print how a run compares with a record.

    Args:
        ran: results/PRESET.
        kept: results/reference/PRESET.
        any_data: compare although the images were others.

    Returns:
        SAME or DIFFERS.

    Raises:
        UserError: the two cannot be compared.
    """
    _must_be_there(ran, kept)
    config, kept_config = (read_config(folder / "config.json") for folder in (ran, kept))
    _must_be_alike(config, kept_config, ran, kept)
    jobs = plan(config).measured
    runs = {job.folder: record.read(path) for job in jobs if (path := ran / job.folder / "run.json").is_file()}
    records, kept_jobs = read_provenance(kept), plan(kept_config).measured
    if len(records) < len(kept_jobs):
        raise UserError(
            f"{kept}: holds {len(records)} of {len(kept_jobs)} jobs; only a whole record can be compared with"
        )
    if (other := _other_data(runs.values(), records.values())) and not any_data:
        raise UserError(f"{ran}: {other}; add --any-data to compare all the same")
    print(*_circumstances(runs, records), *([other] if other else []), sep="\n")
    # What follows from the very same files has no excuse to be another number.
    chance = not all(place in runs and runs[place].outputs == each.outputs for place, each in records.items())
    compared, lost = _drawn(ran, kept, chance)
    compared += _raw(ran, kept, jobs, kept_jobs)
    verdicts = compare_verdicts(ran, kept, chance)
    different = [each.name for each in compared if _differs(each, compared)]
    print("", words.table(compared, different, verdicts), "", sep="\n")
    for line in words.details(compared, lost, verdicts):
        print(line)
    different += lost
    print("\n" + words.conclusion(compared, different, verdicts))
    return DIFFERS if different or verdicts.changed else SAME


def _must_be_there(ran: Path, kept: Path) -> None:
    """Refuse a record or a run that does not exist or is not finished."""
    if not (kept / "claims.json").is_file():
        names = sorted(path.parent.name for path in kept.parent.glob("*/claims.json"))
        raise UserError(f"{kept}: no such record; name one with --record, of {', '.join(names) or 'none that is kept'}")
    if not (ran / "claims.json").is_file():
        raise UserError(f"{ran}: holds no finished claims.json; run that preset first")


def _must_be_alike(config: Config, kept_config: Config, ran: Path, kept: Path) -> None:
    """Refuse two configs that ask for different numbers."""
    ours, theirs = (_flat(each.model_dump(mode="json", exclude=NOT_COMPARED)) for each in (config, kept_config))
    for key in dict.fromkeys([*theirs, *ours]):
        if ours.get(key) != theirs.get(key):
            raise UserError(
                f"{ran / 'config.json'}: key {key} is {shown(ours.get(key))}, and {shown(theirs.get(key))} in "
                f"{kept / 'config.json'}; only runs of one config can be compared"
            )


def _flat(value: Any, place: str = "") -> dict[str, Any]:
    """The values of a nested block by their places, such as grid[0].alpha[1]."""
    if isinstance(value, dict) and value:
        parts = {f"{place}.{key}".lstrip("."): part for key, part in value.items()}
    elif isinstance(value, list) and value:
        parts = {f"{place}[{position}]": part for position, part in enumerate(value)}
    else:
        return {place: value}
    return {name: leaf for key, part in parts.items() for name, leaf in _flat(part, key).items()}


def _other_data(runs: Iterable[Record], records: Iterable[Record]) -> str:
    """In what the images of a run and of its record differ; empty where they are the same."""
    ours, theirs = (next((each.data for each in of if each.data), None) for of in (runs, records))
    if ours is None or theirs is None or ours.sha256 == theirs.sha256:
        return ""
    named = [f"{data.source} ({data.tag}, SHA-256 {data.sha256[:8]}…)" for data in (ours, theirs)]
    return f"made from other images than the record: {named[0]}, not {named[1]}"


def _circumstances(runs: Mapping[str, Record], records: Mapping[str, Record]) -> Iterator[str]:
    """What may explain differences: machine, versions and code; and how many jobs left the very same files."""
    for name, each in (("record", records), ("run", runs)):
        facts = [
            sorted({f"{job.device} ({job.processor})" for job in each.values()}),
            sorted({f"torch {job.versions.get('torch', 'unknown')}" for job in each.values()}),
            sorted({f"commit {(job.commit or 'unknown')[:12]}" for job in each.values()}),
        ]
        yield f"{name + ':':8}{', '.join(' and '.join(values) for values in facts)}"
    shared = [(run, records[place]) for place, run in runs.items() if place in records]
    code = sum(ours.code_fingerprint == theirs.code_fingerprint for ours, theirs in shared)
    same = sum(ours.outputs == theirs.outputs for ours, theirs in shared)
    yield f"of the record's {len(records)} jobs {code} ran by the same code; {same} left the same files to the byte"


def _drawn(ran: Path, kept: Path, chance: bool) -> tuple[list[Comparison], list[str]]:
    """The CSV files of a record compared with the run's, and the names of those that the run lacks."""
    compared, lost = [], []
    for path in sorted([*kept.glob("figures/*.csv"), *kept.glob("tables/*.csv")]):
        name = path.relative_to(kept)
        if (ran / name).is_file():
            compared.append(compare(path.stem, _csv(path), _csv(ran / name), chance))
        else:
            lost.append(name.as_posix())
    return compared, lost


def _csv(path: Path) -> pd.DataFrame:
    """A figure's numbers; a norm or failure "none" stays a text."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def _raw(ran: Path, kept: Path, jobs: Iterable[Measured], kept_jobs: Iterable[Measured]) -> list[Comparison]:
    """The raw values of each kind of job, where the record keeps all of them."""
    ours, theirs = (_by_kind(each) for each in (jobs, kept_jobs))
    compared = []
    for kind in theirs.keys() & ours.keys():
        before, now = [kept / RAW / name for name in theirs[kind]], [ran / name for name in ours[kind]]
        if all(path.is_file() for path in (*before, *now)):
            compared.append(compare(f"raw {kind}", _parquet(before), _parquet(now)))
    return sorted(compared, key=lambda each: each.name)


def _by_kind(jobs: Iterable[Measured]) -> dict[str, list[str]]:
    """The files of values by what they hold."""
    kinds: dict[str, list[str]] = {}
    for job in jobs:
        kinds.setdefault(job.measurement if isinstance(job, Measure) else job.rule, []).append(job.values)
    return kinds


def _parquet(paths: Iterable[Path]) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)


def _differs(table: Comparison, compared: Sequence[Comparison]) -> bool:
    """Whether a table differs. One without seeds, such as one of means, has no spread that it could be judged by.

    It follows from values by seed. Where some of these are near by their spread alone, it decides nothing.
    """
    follows = not table.by_seed and not (table.missing or table.added)
    chaotic = any(other.by_seed and other.near == Near.SPREAD for other in compared)
    return table.near == Near.DIFFERENT and not (follows and chaotic)
