"""The kept records in results/reference: which there are, and what provenance.json and the CSV files in them say."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from understanding_bn import files
from understanding_bn.errors import UserError

# In the order of their weight as evidence.
PRESETS = ("paper", "paper-short", "cifar10-init", "cifar10-small", "open-questions", "quick")


@dataclass(frozen=True)
class Job:
    """What the pages need of one job's run.json. `settings` are the job's own; times are in seconds.

    `source`, `train_images` and `test_images` are None for jobs without data, `training_seconds` and `failures` are one
    per seed, and empty for jobs that train nothing.
    """

    stage: str
    settings: dict[str, Any]
    seeds: tuple[int, ...]
    source: str | None
    train_images: int | None
    test_images: int | None
    device: str
    processor: str
    commit: str
    torch: str
    started: float
    wall_seconds: float
    training_seconds: tuple[float, ...]
    failures: tuple[str | None, ...]

    @property
    def weight_decay(self) -> float | None:
        """None for jobs that update no weights."""
        return self.settings.get("optimiser", self.settings).get("weight_decay")


@dataclass(frozen=True)
class Record:
    """The jobs of a finished preset, and what all of them took."""

    jobs: tuple[Job, ...]
    job_minutes: float
    peak_memory_mib: int

    @property
    def with_data(self) -> list[Job]:
        """The jobs that read images."""
        return [job for job in self.jobs if job.source]

    @property
    def elapsed_minutes(self) -> float:
        """From the start of the first job to the end of the last, however many ran side by side, pauses included."""
        start = min(job.started for job in self.jobs)
        return (max(job.started + job.wall_seconds for job in self.jobs) - start) / 60


def read(folder: Path) -> Record:
    """The record in results/reference/PRESET.

    Raises:
        UserError: there is none.
    """
    kept = files.read_json(folder / "provenance.json")
    return Record(tuple(map(_job, kept["runs"].values())), kept["job_minutes"], kept["peak_memory_mib"])


def _job(run: dict[str, Any]) -> Job:
    data = run["data"] or {}
    return Job(
        stage=run["stage"],
        settings=run["settings"],
        seeds=tuple(run.get("seeds", ())),
        source=data.get("source"),
        train_images=data.get("train_images"),
        test_images=data.get("test_images"),
        device=run["device"],
        processor=run["processor"],
        commit=run["commit"],
        torch=run["versions"]["torch"],
        started=datetime.fromisoformat(run["started"]).timestamp(),
        wall_seconds=run["wall_seconds"],
        training_seconds=tuple(run.get("training_seconds", ())),
        failures=tuple(run.get("failures", ())),
    )


def kept(reference: Path) -> list[str]:
    """The presets that have a record, the strongest evidence first."""
    return [preset for preset in PRESETS if (reference / preset / "claims.json").is_file()]


def claims(folder: Path, name: str = "claims.json") -> list[dict[str, Any]]:
    """The judged claims of a record, or its followups.json.

    Raises:
        UserError: there is no such file.
    """
    return files.read_json(folder / name)


def csv(folder: Path, path: str) -> pd.DataFrame:
    """A kept table, such as figures/fig1_accuracy.csv; a norm or failure "none" stays a text.

    Raises:
        UserError: there is no such file.
    """
    try:
        return pd.read_csv(folder / path, keep_default_na=False, na_values=[""])
    except FileNotFoundError:
        raise UserError(f"{folder / path}: no such file; run that preset and `make record`") from None


def row(table: pd.DataFrame, **facts: Any) -> pd.Series:
    """The one row in which these columns have these values.

    Raises:
        UserError: no row has them, or several do.
    """
    chosen = table
    for column, value in facts.items():
        chosen = chosen[chosen[column].astype(str) == str(value)]
    if len(chosen) != 1:
        named = ", ".join(f"{column} {value}" for column, value in facts.items())
        raise UserError(f"the record has {len(chosen)} rows with {named}; expected one")
    return chosen.iloc[0]
