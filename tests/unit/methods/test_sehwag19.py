"""docs/methods/sehwag19.md, "What must hold"."""

import copy
import dataclasses
import itertools

import pytest
import torch

from advprune.methods import base
from advprune.plan.methods import load_method
from advprune.pruning import masks as mk
from advprune.pruning.masked import KeepMasked
from advprune.pruning.scores import scaled_scores
from advprune.training.loop import Hook, Trainer
from helpers.methods import task_for
from helpers.training import KilledError
from helpers.watching import Kill, watch


def task_with(folder, structure="unstructured", sparsity=0.8, epochs=4, **params):
    task = task_for("sehwag19", folder, structure, sparsity, **params)
    recipe = dataclasses.replace(task.recipes["prune"], epochs=epochs)
    return dataclasses.replace(task, recipes=task.recipes | {"prune": recipe})


def prune(net, task):
    candidate = copy.deepcopy(net)
    return candidate, base.load("sehwag19").prune(candidate, task)


@pytest.fixture
def rounds(monkeypatch):
    """Names, masks and epochs of the trainings between the cuts."""
    seen, fit = [], Trainer.fit

    def watched(self, net, objective, recipe, phase, hooks=(), **options):
        (keep,) = (h for h in hooks if isinstance(h, KeepMasked))
        seen.append((phase, dict(keep.masks), recipe.epochs, objective))
        return fit(self, net, objective, recipe, phase, hooks, **options)

    monkeypatch.setattr(Trainer, "fit", watched)
    return seen


def test_local_counts_are_exact_and_global_ones_in_total(net, tmp_path):
    _, local = prune(net, task_with(tmp_path / "l", epochs=1))
    assert all(int(m.sum()) == mk.kept_count(m.numel(), 0.8) for m in local.values())
    _, joint = prune(net, task_with(tmp_path / "g", epochs=1, scope="global"))
    kept, total = mk.count(joint.values())
    assert kept == mk.kept_count(total, 0.8)
    assert len({round(float(m.float().mean()), 2) for m in joint.values()}) > 5


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_one_round_keeps_the_largest_and_does_not_train(net, tmp_path, rounds, scope):
    _, masks = prune(net, task_with(tmp_path, rounds=1, scope=scope))
    assert rounds == []
    pruned = mk.rank(mk.magnitudes(net, "unstructured"), 0.8, scope=scope)
    assert all(torch.equal(masks[f"{n}.weight"], m) for n, m in pruned.items())
    for name, weight in mk.weights(net).items() if scope == "layer" else ():
        scores = scaled_scores(weight, "unstructured").abs()
        assert torch.equal(masks[f"{name}.weight"], mk.top_k(scores, int(pruned[name].sum())))


@pytest.mark.parametrize("structure", ["unstructured", "filters"])
def test_masks_only_shrink_along_the_schedule(net, tmp_path, rounds, structure):
    _, last = prune(net, task_with(tmp_path, structure, 0.75, rounds=4))
    assert [(name, epochs) for name, _, epochs, _ in rounds] == [
        ("prune-1", 1),
        ("prune-2", 1),
        ("prune-3", 2),
    ]
    sequence = [*(masks for _, masks, _, _ in rounds), last]
    for earlier, later in itertools.pairwise(sequence):
        assert all(not (later[n] & ~earlier[n]).any() for n in earlier)
    for t, masks in enumerate(sequence, 1):
        sparsity = 1 - 0.25 ** (t / 4) if t < 4 else 0.75
        for name in mk.prunable(net, structure):
            mask = masks[f"{name}.weight"]
            alive = mask if structure == "unstructured" else mask.flatten(1).any(1)
            assert int(alive.sum()) == mk.kept_count(alive.numel(), sparsity)


def test_training_goes_on_from_the_pruned_weights(net, tmp_path, monkeypatch):
    """No rewinding; and what is cut stays exactly zero under momentum and weight decay."""
    starts, ends = [], []

    class Watch(Hook):
        def before_step(self, loop):
            if loop.step == 0:
                starts.append(copy.deepcopy(loop.net.state_dict()))

        def after_epoch(self, loop, record):
            ends.append(copy.deepcopy(loop.net.state_dict()))

    watch(monkeypatch, Watch())
    result, masks = prune(net, task_with(tmp_path, rounds=3, epochs=2))
    assert torch.equal(starts[1]["bn1.running_mean"], ends[0]["bn1.running_mean"])
    second = starts[1]["conv1.weight"]
    assert torch.equal(second, ends[0]["conv1.weight"] * (second != 0))
    assert mk.violations(result, masks) == []
    for t, state in enumerate(ends, 1):
        gone = int((state["fc.weight"] == 0).sum())
        assert gone == mk.removed_count(net.fc.weight.numel(), 1 - 0.2 ** (t / 3))


def test_later_cuts_see_the_trained_weights(net, tmp_path, monkeypatch):
    class Grow(Hook):
        def after_step(self, loop):
            with torch.no_grad():
                loop.net.fc.weight[1].abs_().add_(5 * (loop.net.fc.weight[1] != 0))

    watch(monkeypatch, Grow())
    _, masks = prune(net, task_with(tmp_path, rounds=2, sparsity=0.8))
    first = mk.top_k(net.fc.weight.abs(), mk.kept_count(net.fc.weight.numel(), 1 - 0.2**0.5))
    assert torch.equal(masks["fc.weight"][1], first[1])


def test_the_ranking_ignores_the_scale_of_a_layer_only_where_it_is_local(net, tmp_path):
    scaled = copy.deepcopy(net)
    with torch.no_grad():
        scaled.layer2[0].conv1.weight.mul_(8)
    for scope, same in (("layer", True), ("global", False)):
        found = [
            prune(n, task_with(tmp_path / scope, rounds=1, scope=scope))[1] for n in (net, scaled)
        ]
        assert all(torch.equal(m, found[1][n]) for n, m in found[0].items()) is same


def test_global_filters_count_by_their_mean_weight(net, tmp_path):
    """Not by their sum, with which the filters of wide layers would always stay."""
    with torch.no_grad():
        for layer in mk.prunable(net, "filters").values():
            layer.weight.fill_(0.01)
        net.conv1.weight.fill_(0.02)  # nine weights a filter, 36 and more elsewhere
    _, masks = prune(net, task_with(tmp_path, "filters", 0.5, rounds=1, scope="global"))
    assert masks["conv1.weight"].all()


def test_filters_of_a_layer_rank_by_their_l1_norm(net, tmp_path):
    with torch.no_grad():
        net.conv1.weight.fill_(0.5)
        net.conv1.weight[0] = 0
        net.conv1.weight[0, 0, 1, 1] = 4.4  # the larger l2 norm, the smaller sum
        net.conv1.weight[2] = 0.1
    _, masks = prune(net, task_with(tmp_path, "filters", 0.5, rounds=1))
    assert masks["conv1.weight"].flatten(1).any(1).tolist() == [False, True, False, True]


def test_one_objective_before_between_and_after(net, tmp_path, rounds):
    objectives = load_method("sehwag19")["objectives"]
    assert objectives["pretrain"] == objectives["prune"] == objectives["finetune"]
    task = task_with(tmp_path, rounds=2)
    candidate, masks = prune(net, task)
    base.load("sehwag19").finetune(candidate, masks, task)
    assert [o for *_, o in rounds] == [task.objectives["pretrain"]] * 2


def test_nothing_to_remove_leaves_the_net_alone(net, tmp_path):
    same, _ = prune(net, task_with(tmp_path, sparsity=0.0, rounds=1))
    assert all(torch.equal(v, net.state_dict()[n]) for n, v in same.state_dict().items())


def test_removed_filters_are_silent(net, tmp_path):
    """Their channels carry nothing, so that a net without them would answer alike."""
    pruned, masks = prune(net, task_with(tmp_path, "filters", 0.5, rounds=2, epochs=2))
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    gone = ~masks["conv1.weight"].flatten(1).any(1)
    answer = pruned.bn1(pruned.conv1(pruned.normalize(x)))
    assert gone.any() and not answer[:, gone].any()


def test_a_killed_run_resumes_to_the_same_bits(net, tmp_path, monkeypatch):
    kill = Kill()
    watch(monkeypatch, kill)
    whole, expected = prune(net, task_with(tmp_path / "whole", rounds=2))
    kill.at = 7
    with pytest.raises(KilledError):
        prune(net, task_with(tmp_path / "killed", rounds=2))
    kill.at = -1
    again, masks = prune(net, task_with(tmp_path / "killed", rounds=2))
    assert all(torch.equal(m, masks[n]) for n, m in expected.items())
    assert all(torch.equal(v, again.state_dict()[n]) for n, v in whole.state_dict().items())
