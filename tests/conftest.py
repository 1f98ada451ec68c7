"""Fixtures of all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """Snakemake makes a folder for its cache in the user's home, and there may be none."""
    if not os.access(Path.home(), os.W_OK):
        os.environ.setdefault("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
