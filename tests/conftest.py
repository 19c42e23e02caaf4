"""Shared by all tests."""

import pytest
import torch

from understanding_bn.data import sources, store

# Files that take minutes start first, so that the short ones fill up; those of the cluster mostly wait.
FINISHED = ("test_runs.py", "test_reruns.py", "test_pasting.py")
LONGEST = ("test_cluster.py", *FINISHED, "test_faults.py", "test_extending.py")


def pytest_itemcollected(item):
    """Tell xdist which tests share a process: those of a file, and all of the finished run.

    Here, because xdist reads the groups before the hook below is called.
    """
    item.add_marker(pytest.mark.xdist_group("finished" if item.path.name in FINISHED else item.path.stem))


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
