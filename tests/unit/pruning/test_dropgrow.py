import itertools
import math

import pytest
import torch

from advprune.models.registry import NetSpec, build
from advprune.plan.specs import Recipe
from advprune.pruning import dropgrow as dg
from advprune.pruning import masks as mk
from advprune.training.loop import Loop
from advprune.training.objective import make
from helpers.training import THREAT, trainer

FULL_RESNET = NetSpec("resnet18", 64, 10, 3, 32, (0.5,) * 3, (0.2,) * 3)


def sizes_of(net):
    return {n: w.numel() for n, w in mk.weights(net).items()}


@pytest.mark.parametrize(
    ("density", "expected"),
    [
        # docs/methods/flyingbird.md, "What must hold"
        (0.1, {"conv1": 0.983, "layer1.0.conv1": 0.726, "layer4.1.conv2": 0.040, "fc": 0.950}),
        (0.01, {"conv1": 0.780, "layer1.0.conv1": 0.143, "layer4.1.conv2": 0.003, "fc": 0.545}),
    ],
)
def test_igq_densities_of_the_page(density, expected):
    sizes = sizes_of(build(FULL_RESNET))
    found = dg.igq_densities(sizes, density)
    assert {n: round(found[n], 3) for n in expected} == expected
    assert sum(found[n] * s for n, s in sizes.items()) == pytest.approx(
        density * sum(sizes.values()), rel=1e-6
    )
    by_size = sorted(sizes, key=sizes.get)
    assert all(found[a] >= found[b] for a, b in itertools.pairwise(by_size))


def test_igq_masks_hit_the_sparsity_of_the_net_and_are_densest_in_small_layers(net):
    sizes = sizes_of(net)
    masks = dg.igq_masks(net, 0.9, torch.Generator().manual_seed(0))
    counts = {n: int(masks[f"{n}.weight"].sum()) for n in sizes}
    assert sum(counts.values()) == mk.kept_count(sum(sizes.values()), 0.9)
    densities = dg.igq_densities(sizes, 0.1)
    assert all(abs(counts[n] - densities[n] * size) < 1 for n, size in sizes.items())


def test_drop_takes_the_smallest_active_and_grow_the_largest_inactive():
    weight = torch.tensor([0.5, -0.1, 0.3, 0.0, 0.0, -0.2])
    mask = torch.tensor([True, True, True, False, False, True])
    kept = dg.drop(weight, mask, 2)
    assert kept.tolist() == [True, False, True, False, False, False]
    score = torch.tensor([9.0, 0.1, 9.0, 0.5, 0.3, 0.2])
    assert dg.grow(score, kept, 2).tolist() == [True, False, True, True, True, False]


def test_an_active_weight_that_is_zero_is_dropped_before_an_inactive_one_counts():
    weight = torch.tensor([0.0, 0.0, 1.0])
    kept = dg.drop(weight, torch.tensor([False, True, True]), 1)
    assert kept.tolist() == [False, False, True]


def test_the_drop_rate_follows_the_cosine():
    rates = [dg.cosine_rate(0.5, 0.005, t) for t in (0, 0.5, 1)]
    assert rates == pytest.approx([0.5, 0.2525, 0.005])


def test_a_nearly_full_layer_is_rewired_like_the_others_and_a_full_one_is_not(net):
    """The authors drop ceil(r · active) of every layer that is not dense, whatever room is left."""
    counts = sizes_of(net)
    counts |= {"conv1": counts["conv1"] - 1, "layer2.0.conv1": counts["layer2.0.conv1"] // 5}
    hook = dg.DropGrow(dg.random_masks(net, counts, torch.Generator()), 3, (0.5, 0.5))
    plan = hook.plan(Loop(net, None, 1, 4))
    expected = {f"{n}.weight": math.ceil(counts[n] / 2) for n in ("conv1", "layer2.0.conv1")}
    assert plan == {name: (count, count) for name, count in expected.items()}


def test_a_nearly_full_layer_loses_its_weak_weights(net):
    """Where the gradient is small they do not come back; what does come back keeps its weight."""
    counts = sizes_of(net)
    counts["conv1"] -= 1
    masks = dg.random_masks(net, counts, torch.Generator())
    mk.apply(net, masks)
    before = masks["conv1.weight"].clone()
    weight = net.conv1.weight
    weak = weight.detach().abs().masked_fill(~before, 9.0).flatten().argsort()[:18]
    weight.grad = torch.ones_like(weight)
    weight.grad.flatten()[weak[0]] = 0
    hook = dg.DropGrow(masks, 3, (0.5, 0.5))
    hook.rewire(Loop(net, None, 1, 4))
    after = hook.masks["conv1.weight"]
    assert (before & ~after).flatten().nonzero().flatten().tolist() == [int(weak[0])]
    assert after.sum() == counts["conv1"] and mk.violations(net, {"conv1.weight": before}) == []


class Recorder(dg.DropGrow):
    """Watches every update."""

    def __init__(self, *args):
        super().__init__(*args)
        self.log = []

    def rewire(self, loop):
        before = {n: m.clone() for n, m in self.masks.items()}
        super().rewire(loop)
        self.log.append((loop.step, before, {n: m.clone() for n, m in self.masks.items()}))

    def after_step(self, loop):
        updates = len(self.log)
        super().after_step(loop)
        parameters = dict(loop.net.named_parameters())
        assert mk.violations(loop.net, self.masks) == []
        for name, mask in self.masks.items():
            momentum = loop.optimizer.state[parameters[name]]["momentum_buffer"]
            assert not momentum[~mask].any()
            if len(self.log) > updates:
                _, before, after = self.log[-1]
                grown = after[name] & ~before[name]
                assert not parameters[name].detach()[grown].any()


@pytest.mark.parametrize("growth", ["gradient", "random"])
def test_counts_stay_exact_and_the_topology_moves(net, tmp_path, growth):
    sizes = sizes_of(net)
    total = mk.kept_count(sum(sizes.values()), 0.9)
    masks = dg.igq_masks(net, 0.9, torch.Generator().manual_seed(0))
    mk.apply(net, masks)
    hook = Recorder(masks, 5, (0.5, 0.005), growth)
    recipe = Recipe(epochs=4, batch=16, lr=0.05)
    trainer(tmp_path).fit(net, make({"name": "pgd"}, THREAT), recipe, "train", [hook])
    assert [step for step, _, _ in hook.log] == [2, 4, 6, 8, 10]  # of 12 steps
    for _, before, after in hook.log:
        for name in masks:
            assert before[name].sum() == after[name].sum()
    changed = [(a != b).sum() for _, m, n in hook.log for a, b in zip(m.values(), n.values())]  # noqa: B905
    assert sum(changed[: len(masks)]) > 0
    assert mk.count(hook.masks.values())[0] == total


def test_growth_follows_the_dense_gradient(net, tmp_path):
    """Positions grown at the first update have larger gradients than those left out."""
    seen = {}

    class Compare(dg.DropGrow):
        def rewire(self, loop):
            before = self.masks["layer2.0.conv2.weight"].clone()
            gradient = loop.net.layer2[0].conv2.weight.grad.abs().clone()
            super().rewire(loop)
            after = self.masks["layer2.0.conv2.weight"]
            seen["ok"] = gradient[after & ~before].min() >= gradient[~after & ~before].max()
            seen["grown"] = int((after & ~before).sum())

    sizes = sizes_of(net)
    masks = dg.random_masks(net, {n: s // 4 for n, s in sizes.items()}, torch.Generator())
    mk.apply(net, masks)
    recipe = Recipe(epochs=1, batch=16, lr=0.05)
    hook = Compare(masks, 1, (0.5, 0.5))
    trainer(tmp_path).fit(net, make({"name": "pgd"}, THREAT), recipe, "train", [hook])
    assert seen["ok"] and seen["grown"] > 0
