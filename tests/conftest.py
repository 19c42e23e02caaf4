"""Shared by all tests."""

import pytest
import torch

from understanding_bn.data import sources, store

# Files that take minutes start first, so that the short ones fill up; those of the cluster mostly wait.
FINISHED = ("test_runs.py", "test_reruns.py", "test_pasting.py")
LONGEST = ("test_cluster.py", *FINISHED, "test_faults.py", "test_extending.py")


def pytest_collection_modifyitems(items):
    """Order the tests, and tell xdist which of them share a process: those of a file, and all of the finished run."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    for item in items:
        group = "finished" if item.path.name in FINISHED else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


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
