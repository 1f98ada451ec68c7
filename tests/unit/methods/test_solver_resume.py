"""Methods that prepare their cut by training end the same when they are killed in between."""

import dataclasses
from functools import partial

import pytest
import torch

from advprune.methods import base
from advprune.models.registry import build
from helpers.methods import task_for
from helpers.small import SMALL
from helpers.watching import check_resumes_epoch


def pruned(key, folder):
    net = build(SMALL, torch.Generator().manual_seed(1))
    task = task_for(key, folder)
    recipes = task.recipes | {"prune": dataclasses.replace(task.recipes["prune"], epochs=5)}
    masks = base.load(key).prune(net, dataclasses.replace(task, recipes=recipes))
    return [*net.state_dict().values(), *(masks[n] for n in sorted(masks))]


@pytest.mark.parametrize("key", ["rsr", "deadwooding"])
def test_a_killed_job_ends_with_the_same_bits(tmp_path, monkeypatch, key):
    check_resumes_epoch(monkeypatch, partial(pruned, key), tmp_path)
