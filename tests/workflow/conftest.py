"""Fixtures of the workflow tests."""

import pytest

from helpers.checkout import Checkout, tiny_config


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A copy in which everything has run; tests that change it must work on a copy of theirs."""
    checkout = Checkout(tmp_path_factory.mktemp("finished") / "repo", tiny_config())
    checkout.snakemake("--cores", "2")
    return checkout
