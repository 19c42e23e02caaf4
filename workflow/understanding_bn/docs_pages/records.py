"""The kept records in results/reference: which there are, and what provenance.json and the CSV files in them say."""

import functools
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from understanding_bn import files, record
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Train
from understanding_bn.record import Data, Record

# In the order of their weight as evidence.
PRESETS = ("paper", "paper-short", "cifar10-init", "cifar10-small", "open-questions", "explanations", "quick")


@dataclass(frozen=True)
class Kept:
    """The records of all jobs of a finished preset, and what all of them took."""

    jobs: tuple[Record, ...]
    job_minutes: float
    peak_memory_mib: int

    @property
    def with_data(self) -> list[tuple[Record, Data]]:
        """The jobs that read images, and what they read."""
        return [(job, job.data) for job in self.jobs if job.data is not None]

    @property
    def trained(self) -> list[tuple[Record, Train]]:
        """The training jobs."""
        return [(job, job.job) for job in self.jobs if isinstance(job.job, Train)]

    @property
    def elapsed_minutes(self) -> float:
        """From the start of the first job to the end of the last, however many ran side by side, pauses included."""
        starts = [datetime.fromisoformat(job.started).timestamp() for job in self.jobs]
        ends = [start + job.wall_seconds for start, job in zip(starts, self.jobs, strict=True)]
        return (max(ends) - min(starts)) / 60


@functools.cache  # a page asks for dozens of values, one after the other
def read(folder: Path) -> Kept:
    """The record in results/reference/PRESET.

    Raises:
        UserError: there is none, or it is of another version.
    """
    path = folder / "provenance.json"
    content = files.read_json(path)
    jobs = tuple(record.parse(run, f"{path}: {place}") for place, run in content["runs"].items())
    return Kept(jobs, content["job_minutes"], content["peak_memory_mib"])


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
