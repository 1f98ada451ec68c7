"""docs/methods/luo23.md, "What must hold"; the noise has tests of its own."""

import copy
from dataclasses import replace

import pytest
import torch

from advprune.methods import base, luo23
from advprune.models.registry import NetSpec, build
from advprune.plan.specs import Recipe
from advprune.pruning import masks as mk
from advprune.pruning.saliency import feature_maps, gated
from advprune.training.channel_noise import MixedNoise
from advprune.training.loop import Hook
from helpers.methods import task_for
from helpers.small import blobs
from helpers.training import THREAT

RECIPE = Recipe(epochs=6, batch=16, lr=0.05, schedule="constant")


def task_of(folder, **params):
    task = task_for("luo23", folder, "filters", 0.5, **params)
    return replace(task, recipes={**task.recipes, "prune": RECIPE})


def selection_of(net, folder, **params):
    task = task_of(folder, **params)
    noise = MixedNoise(THREAT, ["pgd"], 1, 0.3, 1e-3, torch.Generator().manual_seed(0))
    return luo23.Selection(net, task, noise)


def data(n=24):
    split = blobs(n)
    return split.images / 255, split.labels


def test_blocks_cover_every_convolution_from_the_front(net):
    found = luo23.blocks(net)
    assert [n for block in found for n in block] == list(mk.prunable(net, "filters"))
    assert len(found) == 9
    assert found[3] == ["layer2.0.conv1", "layer2.0.conv2", "layer2.0.shortcut.0"]
    vgg = build(NetSpec("vgg16", 2, 3, 1, 8, (0.5,), (0.25,)))
    assert [len(block) for block in luo23.blocks(vgg)] == [1] * 13


def test_contributions_add_up_to_the_head_and_have_unit_length():
    rng = torch.Generator().manual_seed(0)
    weight, pooled = torch.randn(3, 5, generator=rng), torch.rand(7, 5, generator=rng)
    y = torch.arange(7) % 3
    terms = weight[y] * pooled
    found = luo23.contributions(weight, pooled, y)
    logits = (pooled @ weight.T)[range(7), y]
    assert torch.allclose((found * terms.abs().sum(1, keepdim=True)).sum(1), logits, atol=1e-6)
    assert torch.allclose(found.abs().sum(1), torch.ones(7))
    assert torch.allclose(luo23.contributions(9 * weight, 2 * pooled, y), found)
    assert not luo23.contributions(0 * weight, pooled, y).any()


def test_ranks_go_from_zero_to_one():
    assert luo23.ranks(torch.tensor([3.0, -1.0, 7.0])).tolist() == [0.5, 0.0, 1.0]


def test_gates_keep_an_exact_number_and_pass_gradients_to_all(net, tmp_path):
    selection = selection_of(net, tmp_path)
    selection.turn = 3
    name = "layer2.0.conv1"
    selection.robust[name] = torch.tensor([0.0, 3, 1, 2, 5, 4, 7, 6])
    gate = selection.gate(name)
    assert gate.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    gate.mul(torch.arange(8.0)).sum().backward()
    assert torch.allclose(selection.alpha[name].grad, torch.arange(8.0) / 4)
    with torch.no_grad():
        selection.alpha[name][1] = 6.0  # a trained value can outweigh the rank
        selection.alpha[name][5] = -6.0
    assert selection.gate(name).tolist() == [0, 1, 0, 0, 1, 0, 1, 1]
    assert selection.gate("conv1") is None and selection.gate("layer3.0.conv1") is None


def test_open_gates_are_the_net_itself_and_closed_ones_are_its_cut(net, tmp_path):
    """Gated and masked net agree in evaluation mode; without a closed gate nothing changes."""
    selection, x = selection_of(net, tmp_path), data(6)[0]
    net.eval()
    plain = net(x)
    with gated(net, lambda name: torch.ones(net.get_submodule(name).out_channels)):
        assert torch.equal(net(x), plain)
    for name, scores in selection.robust.items():
        scores.copy_(torch.rand(len(scores), generator=torch.Generator().manual_seed(len(name))))
    with gated(net, selection.gate):
        half = net(x)
    assert not torch.allclose(half, plain)
    selection.cut(net, 1)
    assert list(selection.units) == ["conv1"]
    assert torch.allclose(net(x), half, atol=1e-6)


def test_the_difference_loss_is_zero_without_noise(net, tmp_path):
    """With the images themselves as noise, λ has no say; with PGD it raises the loss."""
    x, y = data()
    net.eval()

    def loss(noisy, difference):
        selection = selection_of(net, tmp_path, difference=difference)
        selection.noise = lambda net, x, y, rng: noisy
        for head in selection.heads.values():
            torch.nn.init.normal_(head, generator=torch.Generator().manual_seed(0))
        with feature_maps(net) as selection.maps:
            return selection.loss(net, x, y, torch.Generator()).item()

    other = (x + 0.1 * torch.rand(x.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    assert loss(x, 5.0) == pytest.approx(loss(x, 0.0), abs=1e-6)
    assert loss(other, 5.0) > loss(other, 0.0) + 1e-3
    assert loss(other, 5.0) - loss(other, 0.0) == pytest.approx(
        5 * (loss(other, 1.0) - loss(other, 0.0)), rel=1e-3
    )


def gradients_of(net, folder, turn, **params):
    """Gradients of the selection loss in the net's first and last convolution and in all heads."""
    x, y = data()
    selection = selection_of(net, folder, **params)
    selection.turn = turn
    for head in selection.heads.values():
        torch.nn.init.normal_(head, generator=torch.Generator().manual_seed(0))
    net.eval()
    inputs = [net.conv1.weight, net.layer4[1].conv2.weight, *selection.heads.values()]
    with feature_maps(net) as selection.maps:
        loss = selection.loss(net, x, y, torch.Generator().manual_seed(0))
        return torch.autograd.grad(loss, inputs, materialize_grads=True)


def test_only_the_current_block_teaches_the_net(net, tmp_path):
    """The heads of later layers read detached maps."""
    first = gradients_of(net, tmp_path, 0, head_weight=0.0, difference=0.0)
    second = gradients_of(net, tmp_path, 0, head_weight=10.0, difference=10.0)
    assert not torch.allclose(first[0], second[0])
    assert torch.allclose(first[1], second[1], atol=1e-6)


def test_heads_learn_from_labels_only_and_until_their_block_is_cut(net, tmp_path):
    """No difference loss reaches a head, which could make contributions alike by itself."""
    heads = gradients_of(net, tmp_path, 8, head_weight=0.0, difference=10.0)[2:]
    assert not any(h.any() for h in heads)
    heads = gradients_of(net, tmp_path, 8, head_weight=1.0, difference=10.0)[2:]
    assert [bool(h.any()) for h in heads] == [False] * 18 + [True] * 2


def test_a_steady_channel_of_the_right_class_beats_a_noisy_one(net, tmp_path):
    """Channels that help alike on clean images; noise makes the second one's help come and go."""
    selection = selection_of(net, tmp_path)
    x, y = data()
    name = "conv1"
    with torch.no_grad():
        selection.heads[name][:, :3] = 1.0
    maps = {n: torch.ones(len(x), len(s), 2, 2) for n, s in selection.robust.items()}
    noisy = {n: m.clone() for n, m in maps.items()}
    noisy[name][:, 1] = torch.linspace(0, 2, len(x)).view(-1, 1, 1)
    calls = iter([maps, noisy] * 9)

    class Stub(torch.nn.Module):
        def forward(self, images):
            selection.maps = next(calls)
            return torch.zeros(len(images), 3)

    selection.noise = lambda *a: x
    selection.loss(Stub(), x, y, None)
    steady, shaken, _, idle = selection.robust[name].tolist()
    assert steady > shaken and steady > idle == 0
    first = selection.robust[name].clone()
    selection.loss(Stub(), x, y, None)
    assert torch.allclose(selection.robust[name], first * (1 + 0.99))


class Watch(Hook):
    def __init__(self, selection):
        self.selection, self.seen = selection, []

    def after_step(self, loop):
        live = {
            n: (loop.net.get_submodule(n).weight.detach().flatten(1) != 0).any(1)
            for n in mk.prunable(loop.net, "filters")
        }
        self.seen.append((self.selection.turn, live))


def test_blocks_are_cut_one_after_the_other_and_stay_cut(net, tmp_path, monkeypatch):
    """18 steps for 9 blocks: two each; earlier blocks are sparse for good, later ones dense."""
    original = luo23.Selection.after_step

    def after_step(self, loop):
        original(self, loop)
        watch.selection = self
        watch.after_step(loop)

    watch = Watch(None)
    monkeypatch.setattr(luo23.Selection, "after_step", after_step)
    masks = base.load("luo23").prune(net, task_of(tmp_path))
    assert [turn for turn, _ in watch.seen] == [b for b in range(9) for _ in range(2)]
    order = luo23.blocks(net)
    for turn, live in watch.seen:
        for index, block in enumerate(order):
            for name in block:
                final = masks[f"{name}.weight"].flatten(1).any(1)
                assert torch.equal(live[name], final) if index < turn else live[name].all()
    assert all(
        int(masks[f"{n}.weight"].flatten(1).any(1).sum()) == mk.kept_count(layer.out_channels, 0.5)
        for n, layer in mk.prunable(net, "filters").items()
    )
    assert mk.violations(net, masks) == []
    assert not any(m._forward_hooks for m in net.modules())


def test_a_killed_selection_resumes_to_the_same_bits(net, tmp_path, monkeypatch):
    def prune(folder):
        candidate = copy.deepcopy(net)
        masks = base.load("luo23").prune(candidate, task_of(folder, gate_lr=1.0))
        return candidate.state_dict(), masks

    whole, masks = prune(tmp_path / "whole")
    original = luo23.Selection.before_step

    def before_step(self, loop):
        if loop.step == 10:
            raise KeyboardInterrupt
        original(self, loop)

    with monkeypatch.context() as patch:
        patch.setattr(luo23.Selection, "before_step", before_step)
        with pytest.raises(KeyboardInterrupt):
            prune(tmp_path / "killed")
    again, resumed = prune(tmp_path / "killed")
    assert all(torch.equal(m, resumed[n]) for n, m in masks.items())
    assert all(torch.equal(v, again[n]) for n, v in whole.items())


@pytest.mark.parametrize(("rate", "marks"), [(1e-9, 1), (0.3, 0)])
def test_gates_that_decide_nothing_are_marked(net, tmp_path, rate, marks):
    """Fourteen steps of 0.3 carry a gate across every rank, steps of 1e-9 across none."""
    task = task_of(tmp_path, gate_lr=rate)
    base.load("luo23").prune(net, task)
    assert len(task.trainer.marks) == marks
    assert all("decided nothing" in mark for mark in task.trainer.marks)
