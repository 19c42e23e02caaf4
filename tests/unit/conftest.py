"""Shared by the tests of figures, and of pages that are drawn from kept records."""

import sys

import pandas as pd
import pytest


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    """Matplotlib keeps every figure until it is closed."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture
def record(tmp_path):
    """The folder of a made-up record."""
    (tmp_path / "figures").mkdir()
    return tmp_path


@pytest.fixture
def write(record):
    """Writes rows as the CSV of one of the record's figures."""
    return lambda name, rows: pd.DataFrame(rows).to_csv(record / "figures" / f"{name}.csv", index=False)
