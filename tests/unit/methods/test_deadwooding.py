"""docs/methods/deadwooding.md, "What must hold"."""

import copy
import statistics

import pytest
import torch
from torch.nn import functional as F

from advprune.methods import base, deadwooding
from advprune.methods.base import Task
from advprune.models.registry import build
from advprune.plan.specs import Recipe
from advprune.pruning import masks as mk
from advprune.training.distill import Distilled, kd_loss
from advprune.training.loop import Loop
from helpers.methods import task_for
from helpers.small import SMALL, blobs


def loop_at(net, step, steps=100):
    return Loop(net, torch.optim.SGD(net.parameters(), lr=0.1), 10, steps, step=step)


def test_the_doomed_are_the_smallest_of_the_whole_net(net):
    dual = deadwooding.Dual(net, 0.8, 0.01, 4)
    sizes = mk.magnitudes(net, "unstructured")
    total = sum(s.numel() for s in sizes.values())
    assert sum(int(d.sum()) for d in dual.doomed.values()) == mk.removed_count(total, 0.8)
    gone = torch.cat([sizes[n][d] for n, d in dual.doomed.items()])
    kept = torch.cat([sizes[n][~d] for n, d in dual.doomed.items() if (~d).sum() > 1])
    assert gone.max() <= kept.min()
    shares = [float(d.float().mean()) for d in dual.doomed.values()]
    assert max(shares) - min(shares) > 0.05
    last = deadwooding.Dual(net, 0.99, 0.01, 4)
    assert all((~d).any() for d in last.doomed.values())


def test_multipliers_start_at_zero_and_rise_by_the_violation(net):
    dual = deadwooding.Dual(net, 0.8, 0.5, 4)
    assert set(dual.multipliers.values()) == {0.0}
    dual.before_step(loop_at(net, 19))
    assert dual.penalty(loop_at(net, 19)) == 0  # an ordinary first part
    with torch.no_grad():
        net.fc.weight[0] = 9.0
    dual.before_step(loop_at(net, 20))
    assert not dual.doomed["fc"][0].any()  # chosen anew
    raised = dict(dual.multipliers)
    for name, weight in mk.weights(net).items():
        doomed = dual.doomed[name]
        expected = 0.5 * float(weight[doomed].abs().mean()) if doomed.any() else 0.0
        assert raised[name] == pytest.approx(expected)
    dual.before_step(loop_at(net, 39))
    assert dual.multipliers == raised
    dual.before_step(loop_at(net, 40))
    assert all(dual.multipliers[n] >= raised[n] for n in raised)
    assert dual.multipliers["conv1"] == pytest.approx(2 * raised["conv1"])
    dual.before_step(loop_at(net, 99))
    assert dual.raised == 4  # never at the end


def test_the_gradient_is_the_multiplier_times_the_sign_on_the_doomed(net):
    dual = deadwooding.Dual(net, 0.8, 0.5, 4)
    loop = loop_at(net, 20)
    dual.before_step(loop)
    penalty = dual.penalty(loop)
    penalty.backward()
    by_hand = 0.0
    for name, layer in mk.prunable(net, "unstructured").items():
        doomed, weight = dual.doomed[name], layer.weight.detach()
        expected = dual.multipliers[name] * weight.sign() * doomed
        assert torch.allclose(layer.weight.grad, expected)
        by_hand += dual.multipliers[name] * float(weight[doomed].abs().sum())
    assert float(penalty) == pytest.approx(by_hand, rel=1e-4)
    assert net.bn1.weight.grad is None and net.fc.bias.grad is None


def test_its_state_is_complete(net):
    dual, again = (deadwooding.Dual(net, 0.8, 0.5, 4) for _ in range(2))
    with torch.no_grad():
        net.conv1.weight[0] = 9.0
    dual.before_step(loop_at(net, 60))
    again.load_state_dict(copy.deepcopy(dual.state_dict()))
    assert again.multipliers == dual.multipliers and again.raised == dual.raised == 3
    assert float(again.penalty(loop_at(net, 61))) == float(dual.penalty(loop_at(net, 61))) > 0


def pruned(net, folder, dual_step):
    """(violation before the cut, KL that the cut costs) after ten epochs."""
    task = task_for("deadwooding", folder, dual_step=dual_step)
    recipes = task.recipes | {"prune": Recipe(10, 16, lr=0.05, schedule="constant")}
    masks = base.load("deadwooding").prune(net, Task(**{**vars(task), "recipes": recipes}))
    weights = mk.weights(net)
    left = sum(float(weights[n][~masks[f"{n}.weight"]].abs().sum()) for n in weights)
    x = blobs(30, 5).images / 255
    whole = net.eval()(x).detach()
    mk.apply(net, masks)
    return left, float(kd_loss(net(x).detach(), whole, 1.0))


def test_multipliers_make_the_cut_cheap(tmp_path):
    """What is left to cut is a sixth on every net; what the cut costs, a tenth on most."""
    shares = []
    for seed in (1, 2, 3):
        net = build(SMALL, torch.Generator().manual_seed(seed))
        start = deadwooding.Dual(net, 0.8, 0, 5)
        sizes = mk.magnitudes(net, "unstructured")
        before = sum(float(sizes[n][d].sum()) for n, d in start.doomed.items())
        free, free_cost = pruned(copy.deepcopy(net), tmp_path / f"free-{seed}", 0.0)
        left, cost = pruned(net, tmp_path / f"dual-{seed}", 0.1)
        assert left < 0.5 * before and left < 0.5 * free
        shares.append(cost / free_cost)
    assert statistics.median(shares) < 0.5


def fits(monkeypatch, method, net, task):
    """Objectives and phases that a method trains with."""
    seen = []
    cls = type(task.trainer)
    fit = cls.fit

    def watched(self, net, objective, recipe, phase, **options):
        seen.append((phase, objective))
        return fit(self, net, objective, recipe, phase, **options)

    monkeypatch.setattr(cls, "fit", watched)
    masks = method.prune(net, task)
    mk.apply(net, masks)
    method.finetune(net, masks, task)
    return dict(seen)


def test_losses_of_both_steps(net, tmp_path, monkeypatch):
    task = task_for("deadwooding", tmp_path, distillation=0.3, labels=0.8)
    teacher = copy.deepcopy(task.teacher.state_dict())
    found = fits(monkeypatch, base.load("deadwooding"), net, task)
    assert all(torch.equal(v, teacher[n]) for n, v in task.teacher.state_dict().items())
    x, y = blobs(12, 5).images / 255, blobs(12, 5).labels
    first, second = found["prune"], found["finetune"]
    assert isinstance(first, Distilled) and first.attack is None
    net.eval()
    student, wanted = net(x), task.teacher.eval()(x)
    expected = 0.7 * F.cross_entropy(student, y) + 0.3 * kd_loss(student, wanted, 4)
    rng = torch.Generator().manual_seed(0)
    assert float(first.loss(net, x, y, rng)) == pytest.approx(float(expected), rel=1e-5)
    passes = []
    handle = net.register_forward_pre_hook(lambda module, given: passes.append(given[0].detach()))
    loss = float(second.loss(net, x, y, rng))
    handle.remove()
    start, attacked = passes  # one gradient step: two forward passes
    eps = task.trainer.threat.eps
    assert (attacked - x).abs().max() <= eps + 1e-6 and attacked.min() >= 0 and attacked.max() <= 1
    assert not torch.equal(start, x)
    inner = (attacked - x).abs() < eps - 1e-6
    steps = (attacked - start).abs()[inner & (attacked > 0) & (attacked < 1)]
    assert steps[steps > 0].median() == pytest.approx(1.25 * eps, rel=1e-3)
    student = net(attacked)
    expected = 0.8 * F.cross_entropy(student, y) + 0.2 * kd_loss(student, wanted, 4)
    assert loss == pytest.approx(float(expected), rel=1e-5)
