"""Methods that prepare their cut by training end the same when they are killed in between."""

import dataclasses

import pytest
import torch
from test_methods import task_for
from test_training import KilledError

from advprune.methods import base
from advprune.models.registry import build
from advprune.training import Trainer
from small import SMALL


def pruned(key, folder):
    net = build(SMALL, torch.Generator().manual_seed(1))
    task = task_for(key, folder)
    recipes = task.recipes | {"prune": dataclasses.replace(task.recipes["prune"], epochs=5)}
    masks = base.load(key).prune(net, dataclasses.replace(task, recipes=recipes))
    return [*net.state_dict().values(), *(masks[n] for n in sorted(masks))]


@pytest.mark.parametrize("key", ["rsr", "deadwooding"])
def test_a_killed_job_ends_with_the_same_bits(tmp_path, monkeypatch, key):
    whole = pruned(key, tmp_path / "whole")
    monitor = Trainer._monitor

    def fatal(self, loop, record, phase):
        if loop.epoch == 4:
            raise KilledError
        return monitor(self, loop, record, phase)

    monkeypatch.setattr(Trainer, "_monitor", fatal)
    with pytest.raises(KilledError):
        pruned(key, tmp_path / "killed")
    monkeypatch.setattr(Trainer, "_monitor", monitor)
    again = pruned(key, tmp_path / "killed")
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))
