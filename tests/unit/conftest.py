"""Shared by the tests of pages that are drawn from kept records."""

import pandas as pd
import pytest


@pytest.fixture
def record(tmp_path):
    """The folder of a made-up record."""
    (tmp_path / "figures").mkdir()
    return tmp_path


@pytest.fixture
def write(record):
    """Writes rows as the CSV of one of the record's figures."""
    return lambda name, rows: pd.DataFrame(rows).to_csv(record / "figures" / f"{name}.csv", index=False)
