"""Fixtures of the tests that run Snakemake; what those import by name is in checkouts.py."""

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


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A checkout in which the tiny preset has run, and what Snakemake said. Tests must leave it finished."""
    made = Checkout(tmp_path_factory.mktemp("run") / "checkout")
    done = made.run()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    yield made, done
    made.close()
