"""Shared by all tests."""

import pytest
import torch

from understanding_bn.data import sources, store


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
