"""docs/methods/robustbird.md, "What must hold"."""

import copy
import dataclasses

import pytest
import torch

from advprune.methods import base
from advprune.methods.robustbird import EarlyBird, fall, threshold
from advprune.plan.specs import Recipe
from advprune.pruning import masks as mk
from advprune.training.loop import Loop
from helpers.methods import task_for
from helpers.training import KilledError


def task_with(folder, sparsity=0.8, epochs=4, lr=0.05, **params):
    task = task_for("robustbird", folder, sparsity=sparsity, **params)
    prune = Recipe(epochs=epochs, batch=16, lr=lr, schedule="constant")
    return dataclasses.replace(task, recipes={**task.recipes, "prune": prune})


def epochs_of(folder):
    return torch.load(folder / "prune.pt", weights_only=True)["epoch"]


class Weights(torch.nn.Module):
    """One convolution and a linear layer that the stop test must not look at."""

    def __init__(self, weight):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 10, (1, 10), bias=False)
        self.fc = torch.nn.Linear(10, 10)
        self.conv.weight.data = weight.view(10, 1, 1, 10)


@pytest.mark.parametrize("sparsity", [0.3, 0.8, 0.95, 0.99])
def test_two_masks_differ_in_twice_the_density_at_most(rng, sparsity):
    """Hence a fixed threshold of 0.08 holds for any masks at 99 %: there it tests nothing."""
    bird, bound = EarlyBird(sparsity, 2, 0.0), 2 * min(sparsity, 1 - sparsity)
    ramp = torch.arange(1.0, 101)
    for weight in (ramp, ramp.flip(0)):
        record = {}
        bird.after_epoch(Loop(Weights(weight), None, 9, 9), record)
    assert record["mask_distance"] == pytest.approx(bound)
    assert (bound <= 0.08) == (sparsity == 0.99)
    assert threshold(0.08, sparsity, None) == 0.08
    assert threshold(0.08, sparsity, 0.2) <= 0.2 * bound + 1e-9


def test_the_threshold_is_the_published_one_at_the_published_density():
    assert threshold(0.08, 0.8, 0.2) == pytest.approx(0.08)
    assert threshold(0.08, 0.6, 0.2) == 0.08
    assert threshold(0.08, 0.9, 0.2) == pytest.approx(0.04)
    assert threshold(0.08, 0.99, 0.2) == pytest.approx(0.004)


def test_the_newest_mask_is_compared_with_all_in_the_queue():
    def distances(*weights):
        bird, loop = EarlyBird(0.5, 3, 0.1), None
        for weight in weights:
            record, loop = {}, Loop(Weights(weight), None, 9, 9)
            bird.after_epoch(loop, record)
        return record.get("mask_distance"), loop.stop

    ramp = torch.arange(1.0, 101)
    assert distances(ramp, ramp) == (None, False)
    assert distances(ramp, ramp, ramp) == (0.0, True)
    assert distances(ramp.flip(0), ramp, ramp) == (1.0, False)
    assert distances(ramp.flip(0), ramp, ramp, ramp) == (0.0, True)  # the odd one has left
    assert distances(ramp, ramp, ramp.flip(0)) == (1.0, False)


def test_the_masks_of_the_stop_test_leave_no_convolution_empty(net):
    layers = mk.weights(net, "filters")
    with torch.no_grad():
        net.layer2[0].conv1.weight.mul_(1e-9)
    masks = EarlyBird(0.9, 2, 0.0).mask(net).split([w.numel() for w in layers.values()])
    kept = {name: int(mask.sum()) for name, mask in zip(layers, masks, strict=True)}
    assert kept["layer2.0.conv1"] == 1 and min(kept.values()) >= 1
    assert sum(kept.values()) == mk.kept_count(sum(w.numel() for w in layers.values()), 0.9)


def test_masks_that_stand_still_end_the_search_when_the_queue_is_full(net, tmp_path):
    task = task_with(tmp_path, epochs=8, lr=1e-9)
    base.load("robustbird").prune(net, task)
    assert epochs_of(tmp_path) == 5
    assert task.trainer.marks == ["the early bird is the first that could be, in epoch 5"]


@pytest.mark.parametrize("epochs", [3, 6])
def test_a_search_that_never_settles_takes_its_last_epoch_and_says_so(net, tmp_path, epochs):
    task = task_with(tmp_path, epochs=epochs, lr=0.2, threshold=1e-9)
    base.load("robustbird").prune(net, task)
    assert epochs_of(tmp_path) == epochs
    (mark,) = task.trainer.marks
    assert "no early bird" in mark and "1e-09" in mark


@pytest.mark.parametrize(
    ("recipe", "fallen"),
    [
        (Recipe(20, schedule="multistep", milestones=(0.25, 0.75)), [1, 1, 0.1, 0.1]),
        (Recipe(200, schedule="multistep", milestones=(0.25, 0.75)), [1, 1, 1, 1]),
        (Recipe(20, schedule="constant"), [1, 1, 1, 1]),
        (Recipe(10, schedule="onecycle", peak=0.5), [1, 1, 7 / 9, 5 / 9]),
    ],
)
def test_the_fall_of_the_rate_is_that_of_the_last_epoch(recipe, fallen):
    assert [fall(recipe, epochs) for epochs in (4, 5, 7, 8)] == pytest.approx(fallen)


@pytest.mark.parametrize(("milestone", "marked"), [(0.3, True), (0.9, False)])
def test_a_bird_that_a_falling_rate_has_caught_is_marked(
    net, tmp_path, monkeypatch, milestone, marked
):
    """Masks that settle in epoch 4 of 8, after a drop or long before it."""

    def settle(self, loop, record):
        record["mask_distance"] = 0.01 if loop.epoch == 3 else 0.5
        loop.stop = loop.epoch == 3

    monkeypatch.setattr(EarlyBird, "after_epoch", settle)
    task = task_with(tmp_path, epochs=8, queue=2)
    recipe = Recipe(8, 16, 0.05, schedule="multistep", milestones=(milestone,))
    task = dataclasses.replace(task, recipes={**task.recipes, "prune": recipe})
    base.load("robustbird").prune(net, task)
    assert [("fallen to 0.1" in mark) for mark in task.trainer.marks] == [True] * marked


def test_the_ticket_is_the_largest_of_the_net_found_and_is_not_rewound(net, tmp_path):
    found = copy.deepcopy(net)
    task = task_with(tmp_path / "a", queue=2, threshold=1.0, sparsity=0.9)
    masks = base.load("robustbird").prune(net, task)
    task_with(tmp_path / "b", epochs=2, threshold=1.0).fit(found, "prune")
    # the second of four epochs: the same batches at a constant rate
    assert all(torch.equal(v, found.state_dict()[n]) for n, v in net.state_dict().items())
    sizes = {n: v.detach().abs() for n, v in net.named_parameters() if n in masks}
    assert set(sizes) == {f"{n}.weight" for n in mk.prunable(net, "unstructured")}
    assert mk.count(masks.values())[0] == mk.kept_count(mk.count(masks.values())[1], 0.9)
    kept = min(float(sizes[n][m].min()) for n, m in masks.items())
    gone = max(float(sizes[n][~m].max()) for n, m in masks.items())
    assert kept >= gone


def test_a_killed_search_stops_where_it_would_have(net, tmp_path, monkeypatch):
    """The queue survives: killed in its fourth epoch, the search still ends with the fifth."""

    def die(self, loop, record):
        if loop.epoch == 3:
            raise KilledError
        after_epoch(self, loop, record)

    after_epoch, twin = EarlyBird.after_epoch, copy.deepcopy(net)
    first = base.load("robustbird").prune(net, task_with(tmp_path / "a", epochs=8, lr=1e-9))
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(EarlyBird, "after_epoch", die)
        task = task_with(tmp_path / "b", epochs=8, lr=1e-9)
        base.load("robustbird").prune(copy.deepcopy(twin), task)
    assert epochs_of(tmp_path / "b") == 3
    again = base.load("robustbird").prune(twin, task)
    assert epochs_of(tmp_path / "b") == 5
    assert all(torch.equal(m, again[n]) for n, m in first.items())
    assert all(torch.equal(v, twin.state_dict()[n]) for n, v in net.state_dict().items())
