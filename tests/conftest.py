"""Shared by all tests."""

import pytest
import torch

from understanding_bn.data import sources, store

# Files that take minutes start first, so that the short ones fill up; those of the cluster mostly wait.
LONGEST = (
    "test_cluster.py",
    "test_runs.py",
    "test_reruns.py",
    "test_pasting.py",
    "test_faults.py",
    "test_extending.py",
)


def pytest_collection_modifyitems(items):
    """The longest files first."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Results on a CPU depend on the number of threads; rules give a job one."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


@pytest.fixture(scope="session")
def digits_path(tmp_path_factory):
    """A prepared store of the embedded digits."""
    path = tmp_path_factory.mktemp("data") / "store.npz"
    store.prepare("digits", None, path)
    return path


@pytest.fixture(scope="session")
def digits(digits_path):
    return store.load(digits_path)


@pytest.fixture(scope="session")
def raw_digits():
    return sources.digits()
