"""Invariants of docs/methods/cosentino19.md; those of the routine are in test_tickets."""

import copy
import dataclasses

import pytest
import torch

from advprune.methods import base
from advprune.methods.cosentino19 import layer_rates
from advprune.plan.specs import Recipe
from advprune.pruning import masks as mk
from helpers.methods import task_for

SIZES = {"a": 6000, "b": 3000, "out": 1000}


def test_the_last_layer_is_pruned_at_its_own_rate():
    for t in (1, 5, 10):
        rates = layer_rates(SIZES, 1 - 0.8**t, 0.2, 0.1)
        assert rates["out"] == pytest.approx(1 - 0.9**t)
        assert rates["a"] == rates["b"]
        left = sum((1 - rates[n]) * size for n, size in SIZES.items())
        assert left == pytest.approx(0.8**t * 10000)


def test_equal_rates_are_the_same_everywhere():
    assert layer_rates(SIZES, 0.9, 0.2, 0.2) == pytest.approx(dict.fromkeys(SIZES, 0.9))


def test_it_rewinds_to_the_initial_state_and_not_to_the_trained_one(net, tmp_path):
    before = copy.deepcopy(net.state_dict())
    method = base.load("cosentino19")
    method.prune(net, task_for("cosentino19", tmp_path / "a", rate=0.6))
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())
    method.prune(net, task_for("cosentino19", tmp_path / "b", rate=0.6, rewind="trained"))
    assert not torch.equal(net.fc.weight, before["fc.weight"])
    assert not torch.equal(net.bn1.running_mean, before["bn1.running_mean"])


def test_layers_are_ranked_apart_unless_asked_otherwise(net, tmp_path):
    """The wide layers start small: ranked together they would lose more than the narrow ones."""

    def shares(scope):
        task = task_for("cosentino19", tmp_path / scope, sparsity=0.8, rate=0.6, scope=scope)
        still = dataclasses.replace(task, recipes={"prune": Recipe(epochs=0)})
        masks = base.load("cosentino19").prune(copy.deepcopy(net), still)
        return [float(m.float().mean()) for m in masks.values()]

    sizes = {n: w.numel() for n, w in mk.weights(net).items()}
    wanted = layer_rates(sizes, 0.8, 0.6, 0.1)
    local, together = shares("layer"), shares("global")
    exact = [mk.kept_count(n, wanted[name]) / n for name, n in sizes.items()]
    assert local == pytest.approx(exact)
    assert local[-1] > 1.5 * local[0]
    assert together[0] > 2 * together[-2]
