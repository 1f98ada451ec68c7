"""Searches in rounds cost what a search that cuts once does, however many rounds there are."""

import dataclasses

import pytest

from advprune.methods import base
from advprune.training.loop import Trainer
from helpers.methods import task_for

# rounds to 90 % as published; those of Sehwag19 train between the cuts only
ROUNDS = {"cosentino19": 11, "lottery": 11, "sehwag19": 4, "wang20": 10}


@pytest.fixture
def epochs(monkeypatch):
    """Epochs of every phase that would be trained, by its name; nothing is trained."""
    seen = {}

    def counted(self, net, objective, recipe, phase, **options):
        seen[phase] = recipe.epochs
        return []

    monkeypatch.setattr(Trainer, "fit", counted)
    return seen


@pytest.mark.parametrize("total", [24, 3, 1])
@pytest.mark.parametrize("key", ROUNDS)
def test_rounds_share_the_epochs_and_none_is_without(net, tmp_path, epochs, key, total):
    task = task_for(key, tmp_path, sparsity=0.9)
    recipe = dataclasses.replace(task.recipes["prune"], epochs=total)
    task = dataclasses.replace(task, recipes=task.recipes | {"prune": recipe})
    base.load(key).prune(net, task)
    assert sum(epochs.values()) == total
    assert min(epochs.values()) >= 1 and max(epochs.values()) - min(epochs.values()) <= 1
    assert len(epochs) == min(ROUNDS[key], total)
