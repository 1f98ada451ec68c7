"""Invariants of docs/methods/wang20.md; those of the routine are in test_tickets."""

import copy

import torch

from advprune.methods import base
from advprune.pruning import masks as mk
from helpers.methods import task_for


def prune(net, folder, **params):
    candidate = copy.deepcopy(net)
    masks = base.load("wang20").prune(candidate, task_for("wang20", folder, **params))
    return candidate, masks


def test_the_ticket_is_rewound_and_its_total_exact(net, tmp_path):
    ticket, masks = prune(net, tmp_path, rounds=2)
    assert all(torch.equal(v, net.state_dict()[n]) for n, v in ticket.state_dict().items())
    total = sum(w.numel() for w in mk.weights(net).values())
    assert mk.count(masks.values()) == (mk.kept_count(total, 0.8), total)
    assert len({round(float(m.float().mean()), 2) for m in masks.values()}) > 5


def test_the_local_ticket_has_one_sparsity_everywhere(net, tmp_path):
    _, masks = prune(net, tmp_path, rounds=2, scope="layer")
    assert all(int(m.sum()) == mk.kept_count(m.numel(), 0.8) for m in masks.values())


def test_unstructured_pruning_keeps_the_trained_weights(net, tmp_path):
    trained, masks = prune(net, tmp_path, rounds=1, rewind="none")
    task = task_for("wang20", tmp_path / "again")
    expected = copy.deepcopy(net)
    task.fit(expected, "prune")
    assert all(torch.equal(v, expected.state_dict()[n]) for n, v in trained.state_dict().items())
    sizes = {n: v.detach().abs() for n, v in expected.named_parameters() if n in masks}
    kept = min(float(sizes[n][m].min()) for n, m in masks.items())
    gone = max(float(sizes[n][~m].max()) for n, m in masks.items())
    assert kept >= gone


def test_rounds_change_the_ticket(net, tmp_path):
    _, once = prune(net, tmp_path / "1", rounds=1)
    _, twice = prune(net, tmp_path / "2", rounds=2)
    assert any(not torch.equal(once[n], twice[n]) for n in once)
