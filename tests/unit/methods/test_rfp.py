"""Invariants of docs/methods/rfp.md; those of the robust dataset are in its own test."""

import copy
import dataclasses

import pytest
import torch
from torch.nn import functional as F

from advprune.data.batches import Extra
from advprune.methods import base, rfp
from advprune.models.registry import init_weights
from advprune.pruning import masks as mk
from advprune.pruning.masked import KeepMasked
from advprune.pruning.saliency import attacked_batches
from advprune.training.loop import Trainer
from advprune.training.objective import make
from advprune.training.objectives.natural import Natural
from advprune.training.objectives.pgd import PgdAt
from helpers.methods import task_for
from helpers.training import THREAT, KilledError
from helpers.watching import Kill, watch


def task_with(folder, sparsity=0.5, epochs=4, **params):
    params = {"steps": 2, "batch": 16, "batches": 2} | params
    task = task_for("rfp", folder, "filters", sparsity, **params)
    recipe = dataclasses.replace(task.recipes["prune"], epochs=epochs)
    return dataclasses.replace(task, recipes={"prune": recipe})


def prune(net, task):
    candidate = copy.deepcopy(net)
    return candidate, base.load("rfp").prune(candidate, task)


@pytest.fixture
def fits(monkeypatch):
    """Trainings: name, trainer, recipe, objective, masks, state at the start and at the end."""
    seen, fit = [], Trainer.fit

    def watched(self, net, objective, recipe, phase, hooks=(), **options):
        keep = [h.masks for h in hooks if isinstance(h, KeepMasked)]
        before = copy.deepcopy(net.state_dict())
        result = fit(self, net, objective, recipe, phase, hooks, **options)
        seen.append((phase, self, recipe, objective, keep, before, copy.deepcopy(net.state_dict())))
        return result

    monkeypatch.setattr(Trainer, "fit", watched)
    return seen


def test_both_trainings_are_natural_and_see_the_robust_dataset_only(net, tmp_path, fits):
    task = task_with(tmp_path, images=30)
    prune(net, task)
    (first, second) = fits
    assert (first[0], second[0]) == ("prune-train", "prune-repair")
    robust = base.load("rfp").on_robust_dataset(copy.deepcopy(net), task).train
    for _, trainer, _, objective, *_ in fits:
        assert isinstance(objective, Natural)
        assert torch.equal(trainer.train.images, robust.images)
        assert torch.equal(trainer.train.labels, task.trainer.train.labels[:30])
    assert not torch.equal(robust.images, task.trainer.train.images[:30])


def test_without_the_robust_dataset_the_pretrained_net_is_cut_and_repaired_on_the_images(
    net, tmp_path, fits, monkeypatch
):
    """The survey's AT: as a variant gives it, with PGD as the phase's objective."""
    monkeypatch.setattr(rfp, "robust_dataset", None)
    task = task_with(tmp_path, epochs=8, robust_dataset=False, repair=0.25, repair_lr=0.1)
    task = dataclasses.replace(task, objectives={"prune": make({"name": "pgd"}, THREAT)})
    before = copy.deepcopy(net.state_dict())
    pruned, masks = prune(net, task)
    ((phase, trainer, recipe, objective, keep, start, _),) = fits
    assert phase == "prune-repair" and isinstance(objective, PgdAt) and keep == [masks]
    assert torch.equal(trainer.train.images, task.trainer.train.images)
    assert recipe.epochs == 8 and recipe.lr == pytest.approx(0.005)
    for name, value in start.items():
        assert torch.equal(value, before[name] * masks[name] if name in masks else before[name])
    largest = rfp.reactions(net, task)["layer2.0.conv1"].argmax()
    assert not masks["layer2.0.conv1.weight"][largest].any()
    assert mk.violations(pruned, masks) == []


def test_extra_images_are_no_part_of_the_robust_dataset(net, tmp_path, fits):
    task = task_with(tmp_path)
    extra = Extra(task.trainer.val, 0.5)
    trainer = dataclasses.replace(task.trainer, extra=extra)
    prune(net, dataclasses.replace(task, trainer=trainer))
    assert [trainer.extra for _, trainer, *_ in fits] == [None, None]
    assert trainer.marks == []


def test_the_net_starts_fresh_and_is_repaired_from_where_it_was_cut(net, tmp_path, fits):
    task = task_with(tmp_path)
    _, masks = prune(net, task)
    fresh = copy.deepcopy(net)
    init_weights(fresh, task.trainer.rng("init"))
    (*_, start, trained), (*_, repaired, _) = fits
    assert all(torch.equal(v, fresh.state_dict()[n]) for n, v in start.items())
    assert any(not torch.equal(v, net.state_dict()[n]) for n, v in start.items())
    for name, value in repaired.items():
        assert torch.equal(value, trained[name] * masks[name] if name in masks else trained[name])
    assert fits[1][4] == [masks] and fits[0][4] == []


def test_the_epochs_are_divided_and_the_rate_falls(net, tmp_path, fits):
    prune(net, task_with(tmp_path, epochs=8, repair=0.25, repair_lr=0.1))
    assert [r.epochs for _, _, r, *_ in fits] == [6, 2]
    assert [r.lr for _, _, r, *_ in fits] == pytest.approx([0.05, 0.005])


def test_the_largest_scores_go_within_every_layer(net, tmp_path, monkeypatch):
    def rigged(net, _task):
        layers = mk.weights(net, "filters")
        return {n: torch.arange(len(w)) * 10.0 ** len(n) for n, w in layers.items()}

    monkeypatch.setattr(rfp, "reactions", rigged)
    _, masks = prune(net, task_with(tmp_path, sparsity=0.3, epochs=0))
    for name, weight in mk.weights(net, "filters").items():
        alive = masks[f"{name}.weight"].flatten(1).any(1).tolist()
        kept = mk.kept_count(len(weight), 0.3)
        assert alive == [True] * kept + [False] * (len(weight) - kept)
    assert masks["bn1.bias"].tolist() == [True, True, True, False]


def test_the_scores_are_those_of_the_trained_net(net, tmp_path, monkeypatch, fits):
    seen, inner = [], rfp.reactions

    def watched(net, task):
        seen.append(copy.deepcopy(net.state_dict()))
        return inner(net, task)

    monkeypatch.setattr(rfp, "reactions", watched)
    prune(net, task_with(tmp_path))
    (state,) = seen
    assert all(torch.equal(v, fits[0][6][n]) for n, v in state.items())


def test_a_reaction_is_the_mean_gradient_on_attacked_images(net, tmp_path):
    task = task_with(tmp_path)
    net.eval()
    found = rfp.reactions(net, task)
    samples = attacked_batches(net, task.trainer, 16, "scores", 2)
    expected = 0
    for x, y in samples:
        weight = net.layer1[0].conv2.weight
        (gradient,) = torch.autograd.grad(F.cross_entropy(net(x), y), weight)
        expected = expected + gradient.abs().mean((1, 2, 3)) / 2
    assert torch.allclose(found["layer1.0.conv2"], expected, rtol=1e-4)
    assert list(found) == list(mk.prunable(net, "filters"))
    assert all(bool((s >= 0).all()) for s in found.values())


def test_a_filter_without_a_way_out_does_not_react(net, tmp_path):
    with torch.no_grad():
        net.layer1[0].bn1.weight[2] = 0
    found = rfp.reactions(net, task_with(tmp_path))["layer1.0.conv1"]
    assert found[2] == 0 and found[0] > 0


def test_scoring_leaves_the_net_alone(net, tmp_path):
    net.train()
    before = copy.deepcopy(net.state_dict())
    rfp.reactions(net, task_with(tmp_path))
    assert net.training and all(p.grad is None and p.requires_grad for p in net.parameters())
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())


def test_a_killed_run_resumes_to_the_same_bits(net, tmp_path, monkeypatch):
    kill = Kill()
    watch(monkeypatch, kill)
    whole, expected = prune(net, task_with(tmp_path / "whole", epochs=6))
    kill.at = 5
    with pytest.raises(KilledError):
        prune(net, task_with(tmp_path / "killed", epochs=6))
    kill.at = -1
    again, masks = prune(net, task_with(tmp_path / "killed", epochs=6))
    assert all(torch.equal(m, masks[n]) for n, m in expected.items())
    assert all(torch.equal(v, again.state_dict()[n]) for n, v in whole.state_dict().items())
