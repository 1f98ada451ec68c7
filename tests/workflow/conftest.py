"""Fixtures of the workflow tests."""

import pytest
from filelock import FileLock

from helpers.checkout import Checkout, tiny_config


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id):
    """A copy in which everything has run; tests that change it must work on a copy of theirs.

    Whichever of pytest's workers needs it first makes it, on both cores; the others wait for it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "finished"
    done = folder.with_suffix(".done")
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists():
            Checkout(folder, tiny_config()).snakemake("--cores", "2")
            done.touch()
    return Checkout.existing(folder)
