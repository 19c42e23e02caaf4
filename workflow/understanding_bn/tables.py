"""Tidy tables as files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from understanding_bn import runs
from understanding_bn.errors import UserError
from understanding_bn.files import atomic, first_line
from understanding_bn.record import Record


def write(path: Path, table: pd.DataFrame) -> None:
    """Write a tidy table to `path`, atomically: Parquet or CSV by its suffix."""
    with atomic(path) as temporary:
        if path.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)


def read(paths: Sequence[Path]) -> pd.DataFrame:
    """The rows of several Parquet files of one kind, one after the other.

    Raises:
        UserError: a file is missing or damaged, or is not what run.json next to it says, or they do not fit together.
    """
    tables: list[pd.DataFrame] = []
    records: dict[str, Record | None] = {}
    for path in paths:
        try:
            records[str(path)] = run = runs.verify(path)
            tables.append(pd.read_parquet(path))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; run the job that makes it first") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: not a readable Parquet file ({first_line(error)}); delete it") from None
        if run is not None and run.seeds and not set(tables[-1]["seed"]) <= set(run.seeds):
            raise UserError(
                f"{path}: holds other seeds than run.json next to it says; remove {path.parent} and run again"
            )
    if not tables:
        raise UserError("no input tables were given; name at least one Parquet file")
    runs.must_fit_together(records)
    # A measurement of networks that all diverged has no rows, and must not turn the others' whole numbers into floats.
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
