"""Fixtures of the unit tests."""

import os

import pytest
import torch

from advprune.models.registry import build
from helpers.small import SMALL


@pytest.fixture(autouse=True)
def _threads():
    """One, unless `make test-cpus` asks for more."""
    torch.set_num_threads(int(os.environ.get("ADVPRUNE_THREADS", "1")))


@pytest.fixture
def net():
    """A fresh narrow ResNet18 for 8×8 images of three classes."""
    return build(SMALL, torch.Generator().manual_seed(1))


@pytest.fixture
def rng():
    """A seeded generator."""
    return torch.Generator().manual_seed(0)
