"""docs/methods/harp.md, "What must hold"."""

import copy
import dataclasses
import math

import pytest
import torch
from torch.nn.utils import parametrize

from advprune.methods import base
from advprune.methods.harp import HingeBudget, RatedMask
from advprune.models.registry import NetSpec, build
from advprune.pruning import masks as mk
from advprune.pruning.scores import scaled_scores
from advprune.pruning.structures import named
from advprune.training.loop import Hook, Loop
from helpers.methods import task_for
from helpers.watching import check_resumes, watch


def task_with(folder, structure="unstructured", sparsity=0.8, params=None, **recipe):
    task = task_for("harp", folder, structure, sparsity, **(params or {}))
    recipe = dataclasses.replace(task.recipes["prune"], **recipe)
    return dataclasses.replace(task, recipes={**task.recipes, "prune": recipe})


def rated(n=100, start=0.1, lowest=0.01, structure="unstructured"):
    return RatedMask(torch.linspace(-1, 1, n).view(10, -1), start, lowest, structure)


@pytest.mark.parametrize(("kept", "logit"), [(0.1, -2.303), (0.05, -2.249), (0.01, -2.207)])
def test_logits_of_the_page_and_back(kept, logit):
    mask = rated(start=0.1, lowest=0.1 * kept)
    assert mask.logit.item() == pytest.approx(logit, abs=1e-3)
    assert mask.rate().item() == pytest.approx(0.1)


def test_everything_kept_is_clipped_as_the_authors_do():
    mask = rated(start=1.0, lowest=0.05)
    assert mask.logit.item() == pytest.approx(4.595, abs=1e-3)
    assert mask.rate().item() == pytest.approx(0.9905, abs=1e-4)


@pytest.mark.parametrize("structure", ["unstructured", "channels"])
def test_gradients_pass_straight_through_to_scores_and_summed_to_the_rate(rng, structure):
    weight = torch.randn(6, 10, generator=rng)
    shape = (6, 10) if structure == "unstructured" else (10,)
    scores = torch.randn(shape, generator=rng)
    mask = RatedMask(scores, 0.3, 0.02, structure)
    slope = torch.randn(6, 10, generator=rng)
    (mask(weight) * slope).sum().backward()
    g = weight * slope
    per_score = g if structure == "unstructured" else g.sum(0)
    assert torch.allclose(mask.scores.grad, scores.sign() * per_score)
    share = torch.sigmoid(mask.logit.detach())
    expected = g.sum() * (1 - 0.02) * share * (1 - share)
    assert mask.logit.grad.item() == pytest.approx(expected.item(), rel=1e-4)


def test_the_largest_scores_of_the_rate_are_kept():
    mask = rated(n=100, start=0.25, lowest=0.0)
    kept = mask(torch.ones(10, 10)) != 0
    assert int(kept.sum()) == 25
    magnitude = mask.scores.abs()
    assert magnitude[kept].min() >= magnitude[~kept].max()


def test_channels_are_whole_and_never_all_gone():
    mask = RatedMask(torch.rand(4), 0.01, 0.001, "channels")
    alive = mask(torch.ones(5, 4, 3, 3)).transpose(0, 1).flatten(1)
    assert alive.any(1).sum() == 1 and torch.equal(alive.any(1), alive.all(1))


def budget_of(net, structure="unstructured", start=0.4, kept=0.2, step=0.5):
    layers = {}
    for name, layer in mk.prunable(net, structure).items():
        scores = scaled_scores(layer.weight.detach(), structure)
        layers[name] = RatedMask(scores, start, 0.02, structure)
    return HingeBudget(layers, structure, kept, step)


def test_the_hinge_is_the_relative_excess_and_flat_within_the_budget(net):
    assert budget_of(net, start=0.5, kept=0.2).excess().item() == pytest.approx(1.5, rel=1e-4)
    within = budget_of(net, start=0.15, kept=0.2)
    excess = within.excess()
    assert excess == 0
    excess.backward()
    assert all(m.logit.grad == 0 for m in within.layers.values())


def test_large_layers_feel_the_budget_more(net):
    budget = budget_of(net)
    budget.excess().backward()
    sizes = {n: w.numel() for n, w in mk.weights(net).items()}
    for name, mask in budget.layers.items():
        share = torch.sigmoid(mask.logit.detach())
        slope = sizes[name] / (0.2 * sum(sizes.values())) * 0.98 * share * (1 - share)
        assert mask.logit.grad.item() == pytest.approx(slope.item(), rel=1e-4)


def test_gamma_grows_by_its_step_until_the_budget_is_met_and_stays(net):
    budget = budget_of(net, step=0.25)
    loop = Loop(net, torch.optim.SGD(net.parameters(), lr=0.1), epochs=5, steps=5)
    seen = []
    for start in (0.4, 0.3, 0.2, 0.4, 0.5):
        for mask in budget.layers.values():
            share = (start - 0.02) / 0.98
            mask.logit.data.fill_(math.log(share / (1 - share)))
        seen.append(budget.gamma)
        record = {}
        budget.after_epoch(loop, record)
        assert record["gamma"] == seen[-1]
    assert seen == [0.25, 0.5, 0.75, 0.75, 0.75]
    # the term that is added to the loss
    assert budget.penalty(loop).item() == pytest.approx(0.75 * 1.5, rel=1e-4)


@pytest.mark.slow
def test_the_budget_alone_reaches_a_hundredth_as_simulated():
    """The 21 layers of a full ResNet18 without a robust loss: five epochs, gamma up to 0.05."""
    full = build(NetSpec("resnet18", 64, 10, 3, 32, (0.5,) * 3, (0.25,) * 3))
    layers = {
        name: RatedMask(weight, 0.1, 0.001, "unstructured")
        for name, weight in mk.weights(full).items()
    }
    budget = HingeBudget(layers, "unstructured", 0.01, 0.01)
    loop = Loop(full, None, epochs=20, steps=1)
    optimizer = torch.optim.SGD(
        [m.logit for m in layers.values()], lr=0.1, momentum=0.9, weight_decay=5e-4
    )
    seen = []
    for _ in range(5):
        for _ in range(391):
            optimizer.zero_grad()
            budget.penalty(loop).backward()
            optimizer.step()
        record = {}
        budget.after_epoch(loop, record)
        seen.append(0.01 * (1 + record["excess"]))
    assert seen == pytest.approx([0.0321, 0.0194, 0.0142, 0.0113, 0.0100], rel=0.03)


def test_shortcuts_take_the_rate_of_their_blocks_first_convolution(net, tmp_path, monkeypatch):
    pairs = []

    class Watch(Hook):
        def after_step(self, loop):
            layers = mk.prunable(loop.net, "channels")
            rates = {n: m.parametrizations.weight[0].logit.item() for n, m in layers.items()}
            pairs.append((rates["layer3.0.shortcut.0"], rates["layer3.0.conv1"], rates["fc"]))

    watch(monkeypatch, Watch())
    task = task_with(tmp_path, "channels", 0.5, {"gamma_step": {"channels": 5.0}}, epochs=1)
    masks = base.load("harp").prune(net, task)
    assert all(shortcut == first for shortcut, first, _ in pairs)
    assert pairs[-1][0] != pairs[-1][2] and pairs[-1][0] != pairs[0][0]
    assert "conv1.weight" not in masks


@pytest.mark.parametrize(("structure", "sparsity"), [("unstructured", 0.9), ("channels", 0.5)])
def test_the_total_is_exact_and_the_rates_are_not_all_alike(net, tmp_path, structure, sparsity):
    before = copy.deepcopy(net.state_dict())
    steps = {
        "gamma_step": {"unstructured": 0.01, "channels": 20.0},
        "start": {"unstructured": 0.1, "channels": 0.7},
    }
    task = task_with(tmp_path, structure, sparsity, steps, epochs=6)
    masks = base.load("harp").prune(net, task)
    units = {
        n: named(structure).occupied(masks[f"{n}.weight"]) for n in mk.prunable(net, structure)
    }
    kept, total = mk.count(units.values())
    assert kept == mk.kept_count(total, sparsity)
    # at one rate, as without training, none would be off by more than rounding
    off = [abs(int(u.sum()) - (1 - sparsity) * u.numel()) for u in units.values()]
    assert sum(difference > 1 for difference in off) > 3
    for name in mk.prunable(net, "unstructured"):
        assert torch.equal(net.state_dict()[f"{name}.weight"], before[f"{name}.weight"])
    assert torch.equal(net.fc.bias, before["fc.bias"])
    assert not torch.equal(net.bn1.weight, before["bn1.weight"])
    assert not any(parametrize.is_parametrized(m) for m in net.modules())


def test_untrained_it_is_magnitude_pruning_at_one_rate(net, tmp_path):
    masks = base.load("harp").prune(net, task_with(tmp_path, sparsity=0.9, epochs=0))
    for name, weight in mk.weights(net).items():
        mask = masks[f"{name}.weight"]
        assert abs(int(mask.sum()) - 0.1 * mask.numel()) <= 1
        assert weight.abs()[mask].min() >= weight.abs()[~mask].max()


def test_rates_start_at_the_authors_tenth_or_the_kept_share(net, tmp_path, monkeypatch):
    starts = []

    class Start(Hook):
        def before_step(self, loop):
            if loop.step == 0:
                starts.append(loop.net.fc.parametrizations.weight[0].rate().item())

    watch(monkeypatch, Start())
    for number, (structure, sparsity) in enumerate(
        [("unstructured", 0.99), ("unstructured", 0.8), ("channels", 0.5)]
    ):
        task = task_with(tmp_path / str(number), structure, sparsity, epochs=1)
        base.load("harp").prune(copy.deepcopy(net), task)
    assert starts == pytest.approx([0.1, 0.2, 0.9905], abs=1e-3)


@pytest.mark.parametrize("step", [2, 4, 7])
def test_a_killed_run_resumes_to_the_same_bits(net, tmp_path, monkeypatch, step):
    def prune(net, name):
        task = task_with(tmp_path / name, "channels", 0.5, epochs=3)
        return base.load("harp").prune(net, task)

    check_resumes(monkeypatch, net, prune, at=step)
