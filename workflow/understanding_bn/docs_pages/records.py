"""The kept records in results/reference: which there are, and what provenance.json and the CSV files in them say."""

import functools
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from understanding_bn import files, record
from understanding_bn.claims.checks import NOT_RUN
from understanding_bn.errors import UserError
from understanding_bn.experiment.jobs import Train
from understanding_bn.record import Data, Record

# In the order of their weight as evidence.
PRESETS = (
    *("paper", "paper-short", "cifar10-first-epoch", "cifar10-init", "cifar10-converged", "cifar10-grid"),
    *(
        "cifar10-small",
        "cifar10-depth",
        "cifar10-matched",
        "cifar10-conditioning",
        "open-questions",
        "explanations",
        "quick",
    ),
)
LEAST_BETWEEN_SITTINGS = 3600  # seconds; a shorter pause belongs to a run


OF_MATRICES = 18  # the claim that needs no network


@dataclass(frozen=True)
class Kept:
    """The records of all jobs of a preset that were run, and what all of them took.

    Attributes:
        jobs: of one sitting or of several, which may differ in their machine and commit.
        planned: how many jobs the preset has.
        job_minutes: their time together.
        peak_memory_mib: the most that one of them took.
    """

    jobs: tuple[Record, ...]
    planned: int
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
    def share(self) -> str:
        """How many jobs were run, where some were not: "12 of 40 jobs"; "" for a whole record."""
        return f"{len(self.jobs)} of {self.planned} jobs" if len(self.jobs) < self.planned else ""

    @property
    def elapsed_minutes(self) -> float:
        """From the start of the first job to the end of the last, however many ran side by side.

        Pauses are included, but for those that are so long that they lie between two sittings.
        """
        spans = sorted((datetime.fromisoformat(job.started).timestamp(), job.wall_seconds) for job in self.jobs)
        end, seconds = spans[0][0], 0.0
        for start, wall in spans:
            pause = start - end
            seconds += max(start + wall - end, 0) - (pause if pause > LEAST_BETWEEN_SITTINGS else 0)
            end = max(end, start + wall)
        return seconds / 60


@functools.cache  # a page asks for dozens of values, one after the other
def read(folder: Path) -> Kept:
    """The record in results/reference/PRESET.

    Raises:
        UserError: there is none, or it is of another version.
    """
    path = folder / "provenance.json"
    content = files.read_json(path)
    jobs = tuple(record.parse(run, f"{path}: {place}") for place, run in content["runs"].items())
    planned = content.get("planned", len(jobs))  # records of earlier versions are whole
    return Kept(jobs, planned, content["job_minutes"], content["peak_memory_mib"])


def kept(reference: Path) -> list[str]:
    """The presets that have a record, the strongest evidence first."""
    return [preset for preset in PRESETS if (reference / preset / "claims.json").is_file()]


def judged(reference: Path) -> list[str]:
    """Those on which a claim about networks was judged. That about random matrices is judged on every preset."""

    def about_networks(claim: dict[str, Any]) -> bool:
        return claim["verdict"] != NOT_RUN and claim["id"] != OF_MATRICES

    return [preset for preset in kept(reference) if any(map(about_networks, claims(reference / preset)))]


def named(reference: Path, preset: str) -> str:
    """What a page calls a record: its name, and that it is a part of its preset where it is.

    Raises:
        UserError: there is none, or it is of another version.
    """
    share = read(reference / preset).share
    return f"`{preset}` ({share})" if share else f"`{preset}`"


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
