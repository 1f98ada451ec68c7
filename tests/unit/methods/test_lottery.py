"""The lottery ticket; the invariants of the search itself are in test_tickets."""

import copy
import dataclasses

import pytest
import torch

from advprune.methods import base
from advprune.pruning import masks as mk
from advprune.training.loop import Trainer
from helpers.methods import task_for


@pytest.fixture
def epochs(monkeypatch):
    """Epochs of every phase that is trained, by its name."""
    seen, fit = {}, Trainer.fit

    def watched(self, net, objective, recipe, phase, **options):
        seen[phase] = recipe.epochs
        return fit(self, net, objective, dataclasses.replace(recipe, epochs=1), phase, **options)

    monkeypatch.setattr(Trainer, "fit", watched)
    return seen


def prune(net, folder, total, **params):
    task = task_for("lottery", folder, sparsity=0.9, **params)
    recipe = dataclasses.replace(task.recipes["prune"], epochs=total)
    candidate = copy.deepcopy(net)
    task = dataclasses.replace(task, recipes=task.recipes | {"prune": recipe})
    return candidate, base.load("lottery").prune(candidate, task)


def test_a_fifth_a_round_and_one_budget_for_all_rounds(net, tmp_path, epochs):
    prune(net, tmp_path, 24)
    assert list(epochs) == [f"prune-{t}" for t in range(1, 12)]
    assert sum(epochs.values()) == 24 and set(epochs.values()) == {2, 3}


def test_no_round_goes_untrained(net, tmp_path, epochs):
    prune(net, tmp_path, 3)
    assert epochs == {"prune-1": 1, "prune-2": 1, "prune-3": 1}


def test_the_ticket_is_rewound_and_its_total_exact(net, tmp_path):
    ticket, masks = prune(net, tmp_path, 2)
    assert all(torch.equal(v, net.state_dict()[n]) for n, v in ticket.state_dict().items())
    total = sum(w.numel() for w in mk.weights(net).values())
    assert mk.count(masks.values()) == (mk.kept_count(total, 0.9), total)
    assert len({round(float(m.float().mean()), 2) for m in masks.values()}) > 5


def test_rounds_see_trained_weights(net, tmp_path):
    _, masks = prune(net, tmp_path, 2)
    initial = mk.rank(mk.magnitudes(net, "unstructured"), 0.9, scope="global", floor=1)
    assert any(not torch.equal(masks[f"{n}.weight"], m) for n, m in initial.items())
