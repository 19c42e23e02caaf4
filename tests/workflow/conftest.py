"""Fixtures of the tests that run Snakemake; what those import by name is in checkouts.py."""

import pytest

pytest.register_assert_rewrite("checkouts")

from checkouts import Checkout  # noqa: E402  (rewriting comes first)


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path / "checkout")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A checkout in which the tiny preset has run, and what Snakemake said. Tests must leave it finished."""
    checkout = Checkout(tmp_path_factory.mktemp("run") / "checkout")
    done = checkout.run()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return checkout, done
