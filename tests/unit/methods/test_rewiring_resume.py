"""Methods that rewire while they train end the same when they are killed in between."""

import dataclasses
from functools import partial

import pytest
import torch

from advprune.methods import base
from advprune.models.registry import build
from helpers.methods import task_for
from helpers.small import SMALL
from helpers.watching import check_resumes_epoch


def pruned(key, structure, folder):
    net = build(SMALL, torch.Generator().manual_seed(1))
    params = {} if key == "bcsp" else {"updates": 4}
    if key == "flyingbird_plus":
        params |= {"vote_start": 0.0, "window": 1}
    sparsity = 0.8 if structure == "unstructured" else 0.5
    task = task_for(key, folder, structure, sparsity, **params)
    recipes = {"train": dataclasses.replace(task.recipes["train"], epochs=5)}
    masks = base.load(key).prune(net, dataclasses.replace(task, recipes=recipes))
    return [*net.state_dict().values(), *(masks[n] for n in sorted(masks))]


@pytest.mark.parametrize(
    ("key", "structure"),
    [
        ("flyingbird", "unstructured"),
        ("flyingbird_plus", "unstructured"),
        ("dnr", "unstructured"),
        ("dnr", "channels"),
        ("bcsp", "unstructured"),
    ],
)
def test_a_killed_job_ends_with_the_same_bits(tmp_path, monkeypatch, key, structure):
    check_resumes_epoch(monkeypatch, partial(pruned, key, structure), tmp_path)
