"""Fixtures of the tests that run Snakemake; what those import by name is in checkouts.py."""

import fcntl
import json
import subprocess

import pytest

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


def ran(tmp_path_factory, worker_id, config):
    """A checkout in which a config has run, and what Snakemake said.

    The first process runs it, the others wait and copy it: xdist has each file's tests in one process.
    """
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    name = config.removesuffix(".yaml")
    said = shared / f"{name}.json"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.is_file():
            done = Checkout(shared / name, config).run()
            said.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    status, stdout, stderr = json.loads(said.read_text())
    assert status == 0, stdout[-4000:] + stderr[-4000:]
    made = Checkout(tmp_path_factory.mktemp(name) / "checkout", config, source=shared / name)
    yield made, subprocess.CompletedProcess([], status, stdout, stderr)
    made.close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id):
    """A checkout in which the tiny preset has run, and what Snakemake said. Tests must leave it finished."""
    yield from ran(tmp_path_factory, worker_id, "tiny.yaml")


@pytest.fixture(scope="session")
def whole(tmp_path_factory, worker_id):
    """The same of a tiny preset with every measurement and figure."""
    yield from ran(tmp_path_factory, worker_id, "whole.yaml")
