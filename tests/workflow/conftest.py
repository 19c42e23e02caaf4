"""Fixtures of the tests that run Snakemake; what those import by name is in checkouts.py."""

import json
import subprocess

import pytest
from filelock import FileLock

pytest.register_assert_rewrite("checkouts")

from checkouts import Checkout  # noqa: E402  (rewriting comes first)


@pytest.fixture
def checkout(tmp_path):
    """A checkout in which nothing has run."""
    made = Checkout(tmp_path / "checkout")
    yield made
    made.close()


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    """A checkout that tests make plans in: they must leave its files as they are."""
    made = Checkout(tmp_path_factory.mktemp("plans") / "checkout")
    yield made
    made.close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id):
    """A checkout in which the tiny preset has run, and what Snakemake said. Tests must leave it finished.

    The first process runs it, the others wait and copy it: xdist has each file's tests in one process.
    """
    alone = worker_id == "master"
    shared = tmp_path_factory.getbasetemp() if alone else tmp_path_factory.getbasetemp().parent
    with FileLock(shared / "finished.lock"):
        said = shared / "finished.json"
        if not said.is_file():
            made = Checkout(shared / "finished")
            done = made.run()
            made.close()
            said.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    status, stdout, stderr = json.loads(said.read_text())
    assert status == 0, stdout[-4000:] + stderr[-4000:]
    made = Checkout(tmp_path_factory.mktemp("run") / "checkout", source=shared / "finished")
    yield made, subprocess.CompletedProcess([], status, stdout, stderr)
    made.close()
