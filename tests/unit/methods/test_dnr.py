"""docs/methods/dnr.md, "What must hold"."""

import dataclasses

import pytest
import torch

from advprune.methods import base, dnr
from advprune.plan.specs import Recipe
from advprune.pruning import dropgrow as dg
from advprune.pruning import masks as mk
from advprune.pruning.admm import Admm
from advprune.pruning.structures import named
from advprune.training.loop import Loop
from helpers.methods import task_for

STRUCTURES = ["unstructured", "channels"]


def prune(net, folder, structure="unstructured", epochs=4, **params):
    sparsity = 0.8 if structure == "unstructured" else 0.5
    params = {"updates": epochs - 1} | params
    task = task_for("dnr", folder, structure, sparsity, **params)
    recipes = {"train": Recipe(epochs=epochs, batch=16, lr=0.05)}
    return base.load("dnr").prune(net, dataclasses.replace(task, recipes=recipes))


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_first_mask_is_uniform_over_the_net_and_exact(net, tmp_path, structure):
    masks = prune(net, tmp_path, structure, epochs=0, updates=0)
    share = 0.2 if structure == "unstructured" else 0.5
    units = {
        n: named(structure).occupied(masks[f"{n}.weight"]) for n in mk.prunable(net, structure)
    }
    kept, total = mk.count(units.values())
    assert kept == mk.kept_count(total, 1 - share)
    for mask in units.values():
        spread = (mask.numel() * share * (1 - share)) ** 0.5
        assert abs(int(mask.sum()) - share * mask.numel()) <= 3.5 * spread


class Watch(dnr.Rewiring):
    """Checks every step of a training against docs/methods/dnr.md."""

    def __init__(self, *args):
        super().__init__(*args)
        self.log = []

    def rewire(self, loop):
        parameters = dict(loop.net.named_parameters())
        state = {n: loop.optimizer.state[parameters[n]]["momentum_buffer"] for n in self.masks}
        sizes = {n: self.kind.norms(parameters[n].detach().clone()) for n in state}
        drive = {n: self.kind.norms(b.clone()) for n, b in state.items()}
        weights = dict(self.masks)
        before = {n: self.kind.occupied(m) for n, m in self.masks.items()}
        plan = self.plan(loop)
        super().rewire(loop)
        after = {n: self.kind.occupied(m) for n, m in self.masks.items()}
        self.log.append((loop.step, mk.count(after.values())[0]))
        for name, (dropped, grown) in plan.items():
            old, new = before[name], after[name]
            assert int(new.sum()) == int(old.sum()) - dropped + grown
            gone, born = old & ~new, new & ~old
            if gone.any():
                # what went was among the smallest, but for those that momentum brought back
                limit = sizes[name][old].sort().values[dropped - 1]
                assert sizes[name][gone].max() <= limit
            if born.any():
                assert drive[name][born].min() >= drive[name][~new].max()
                assert not parameters[name].detach()[self.masks[name] & ~weights[name]].any()

    def after_step(self, loop):
        super().after_step(loop)
        assert mk.violations(loop.net, self.masks) == []
        parameters = dict(loop.net.named_parameters())
        for name, mask in self.masks.items():
            momentum = loop.optimizer.state[parameters[name]]["momentum_buffer"]
            if mask.numel() > 1000:
                assert momentum[~mask].any()  # dense on purpose
            units = self.kind.occupied(mask)
            assert torch.equal(self.kind.expand(units, mask), mask)  # all or nothing


@pytest.mark.parametrize("structure", STRUCTURES)
def test_rewiring_keeps_the_total_and_moves_it_between_layers(
    net, tmp_path, monkeypatch, structure
):
    hooks = []

    class Recorded(Watch):
        def __init__(self, *args):
            super().__init__(*args)
            self.start = {n: int(m.sum()) for n, m in self.masks.items()}
            hooks.append(self)

    monkeypatch.setattr(dnr, "Rewiring", Recorded)
    masks = prune(net, tmp_path, structure)
    (hook,) = hooks
    totals = [total for _, total in hook.log]
    assert [step for step, _ in hook.log] == [3, 6, 9]  # every epoch but the last
    layers = mk.prunable(net, structure)
    kept, total = mk.count(named(structure).occupied(masks[f"{n}.weight"]) for n in layers)
    goal = mk.kept_count(total, 0.8 if structure == "unstructured" else 0.5)
    assert totals == [goal] * 3 and kept == goal
    assert {n: int(masks[n].sum()) for n in hook.start} != hook.start


@pytest.fixture
def rewiring(net, rng):
    """A hook at half the training whose momenta are one everywhere."""
    noise = {n: torch.rand(w.shape, generator=rng) for n, w in mk.weights(net).items()}
    masks = {f"{n}.weight": m for n, m in mk.rank(noise, 0.8, scope="global").items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for parameter in net.parameters():
        optimizer.state[parameter]["momentum_buffer"] = torch.ones_like(parameter)
    loop = Loop(net, optimizer, 10, 100, step=50)
    return dnr.Rewiring(masks, 9, (0.5, 0.0), "momentum"), loop


def test_shares_are_mean_momenta_of_active_weights(net, rewiring):
    hook, loop = rewiring
    first = hook.shares(loop)
    assert sum(first.values()) == pytest.approx(1)
    assert all(v == pytest.approx(1 / len(first)) for v in first.values())
    before = hook.plan(loop)
    buffer = loop.optimizer.state[net.layer4[1].conv2.weight]["momentum_buffer"]
    name = "layer4.1.conv2.weight"
    buffer[~hook.masks[name]] = 50.0  # absent weights have no say
    assert hook.shares(loop) == pytest.approx(first)
    buffer[hook.masks[name]] = -2.0
    expected = 2 / (len(first) + 1)
    assert hook.shares(loop)[name] == pytest.approx(expected)
    after = hook.plan(loop)
    assert after[name][1] > before[name][1] and after[name][0] == before[name][0]
    buffer[0, 0, 0, 0] = float("nan")  # a collapsed training must still come to its end
    hook.masks[name][0, 0, 0, 0] = True
    assert sum(hook.shares(loop).values()) == pytest.approx(1)


def test_drops_follow_the_falling_rate_and_spare_crowded_layers(net, rewiring):
    hook, loop = rewiring
    assert [dg.linear_rate(0.5, 0.0, t) for t in (0, 0.5, 1)] == [0.5, 0.25, 0.0]
    for name, (dropped, _) in hook.plan(loop).items():
        active = int(hook.masks[name].sum())
        assert dropped == min(-(-active // 4), active - 1)  # ceil(p · active), p = 0.5 · (1 − t)
    hook.masks["fc.weight"] = torch.arange(96).view(3, 32) == 5
    assert hook.plan(loop)["fc.weight"][0] == 0  # the last weight of a layer stays
    name = "layer3.0.conv1.weight"
    size = hook.masks[name].numel()
    buffer = loop.optimizer.state[net.layer3[0].conv1.weight]["momentum_buffer"]

    def planned(density, momentum):
        hook.masks[name] = torch.arange(size).view(hook.masks[name].shape) < size * density
        buffer.fill_(momentum)
        return int(hook.masks[name].sum()), *hook.plan(loop)[name]

    active, dropped, _ = planned(0.95, 0.5)
    assert dropped == -(-active // 4)  # dense, but with less than its share
    active, dropped, _ = planned(0.78, 2.0)
    assert dropped == -(-active // 4)  # more than its share, but not dense
    active, dropped, grown = planned(0.95, 2.0)
    assert dropped == pytest.approx((1 - active / size) * active, abs=1)
    assert grown <= 0.99 * (size - active + dropped)


def test_places_without_any_momentum_are_not_grown(rewiring):
    hook, loop = rewiring
    name = "layer1.0.conv1.weight"
    parameter = dict(loop.net.named_parameters())[name]
    loop.optimizer.state[parameter]["momentum_buffer"].mul_(9)  # it would get more than it drops
    free = hook.plan(loop)
    assert free[name][1] > free[name][0]
    loop.optimizer.state[parameter]["momentum_buffer"][~hook.masks[name]] = 0.0
    plan = hook.plan(loop)
    assert plan[name][1] <= plan[name][0] == free[name][0]
    assert sum(g for _, g in plan.values()) == sum(g for _, g in free.values())


def test_the_pull_is_towards_the_start_of_the_epoch(net, tmp_path, monkeypatch):
    seen = []

    class Pull(Admm):
        def penalty(self, loop):
            value = super().penalty(loop)
            weight = loop.net.layer2[0].conv1.weight
            (gradient,) = torch.autograd.grad(value, weight, retain_graph=True)
            expected = self.rho * (weight.detach() - self.sparse["layer2.0.conv1"])
            assert torch.allclose(gradient, expected, atol=1e-7)
            assert not any(u.any() for u in self.dual.values())
            assert not any(t.requires_grad for t in (*self.dual.values(), *self.sparse.values()))
            seen.append((loop.step, float(value.detach())))
            return value

    monkeypatch.setattr(dnr, "Admm", Pull)
    prune(net, tmp_path)
    assert all((value == 0) == (step % 3 == 0) for step, value in seen)  # three steps an epoch
    assert len(seen) == 12
