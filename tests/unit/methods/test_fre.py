"""docs/methods/fre.md, "What must hold"; the derivative of the group is tested with saliency."""

import copy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from advprune.data.batches import Augment
from advprune.methods import base
from advprune.methods.fre import RobustnessEstimation
from advprune.plan.specs import Recipe
from advprune.pruning import masks as mk
from advprune.pruning.saliency import filter_sums
from advprune.training.loop import Hook, Trainer
from advprune.training.objective import make
from helpers.methods import task_for
from helpers.small import blobs
from helpers.training import THREAT, trainer

STILL = Recipe(epochs=2, batch=10, lr=1e-12, momentum=0, weight_decay=0, schedule="constant")


class Watch(Hook):
    """Keeps the units after every step."""

    def __init__(self, estimation):
        self.estimation, self.seen = estimation, []

    def after_step(self, loop):
        self.seen.append(self.estimation.units)


def estimate(net, folder, *, sparsity=0.5, rounds=4, recipe=STILL, beta=6.0):
    """Run the hook on 40 images; its units after every step, and the hook."""
    estimation = RobustnessEstimation(net, sparsity, rounds)
    watch = Watch(estimation)
    objective = make({"name": "trades", "beta": beta}, THREAT)
    trainer(folder, images=40).fit(net, objective, recipe, "prune", [estimation, watch])
    return watch.seen, estimation


def alive(units):
    return mk.count(units.values())[0]


def test_equal_numbers_go_in_every_round_and_none_comes_back(net, tmp_path):
    seen, estimation = estimate(net, tmp_path, recipe=Recipe(epochs=2, batch=10, lr=0.05))
    total = mk.count(seen[0].values())[1]
    counts = [alive(units) for units in seen]
    expected = [mk.kept_count(total, 0.5 * (step * 4 // 8) / 4) for step in range(1, 9)]
    assert counts == expected and counts[-1] == mk.kept_count(total, 0.5)
    for earlier, later in pairwise(seen):
        assert not any((later[n] & ~earlier[n]).any() for n in later)
    assert mk.violations(net, estimation.masks) == []  # the last cut included


def test_what_is_gone_stays_gone_when_all_scores_are_zero(net):
    """A removed filter's estimate is zero, and so can be that of one that is alive."""
    estimation = RobustnessEstimation(net, 0.5, 2)
    estimation.totals = {n: torch.arange(len(u)) / len(u) for n, u in estimation.units.items()}
    estimation.done = 1
    estimation.cut(net)
    first = estimation.units
    estimation.done = 2
    estimation.cut(net)
    assert not any((estimation.units[n] & ~first[n]).any() for n in first)
    assert alive(estimation.units) < alive(first)


def test_the_sum_is_of_squared_first_order_changes_of_the_trades_loss(net, tmp_path):
    """One round over two batches, weights held: recomputed from the objective itself."""
    job, objective = trainer(tmp_path, images=20), make({"name": "trades"}, THREAT)
    torch.nn.init.normal_(net.bn1.bias, generator=torch.Generator().manual_seed(0))
    expected = {}

    class Ours(Hook):
        def after_step(self, loop):
            terms = {n: p.grad * p.detach() for n, p in loop.net.named_parameters()}
            for name, change in filter_sums(loop.net, terms).items():
                expected[name] = expected.get(name, 0) + change.square()

    estimation = RobustnessEstimation(net, 0.5, 1)
    found = {}
    estimation.cut = lambda net: found.update(estimation.totals)
    recipe = replace(STILL, epochs=1)
    job.fit(net, objective, recipe, "prune", [estimation, Ours()])
    assert all(torch.allclose(found[n], e, rtol=1e-3, atol=1e-12) for n, e in expected.items())
    assert max(float(t.max()) for t in found.values()) > 0


def test_gradients_meet_the_weights_they_were_taken_at(net, tmp_path):
    """With large steps, old and new weights differ: the first batch's sum is that of the old."""
    start = {n: p.detach().clone() for n, p in net.named_parameters()}
    estimation = RobustnessEstimation(net, 0.5, 1)
    seen = {}

    class First(Hook):
        def after_step(self, loop):
            if loop.step == 1:
                terms = {n: p.grad * start[n] for n, p in loop.net.named_parameters()}
                sums = filter_sums(loop.net, terms)
                seen.update(
                    {n: (estimation.totals[n].clone(), s.square()) for n, s in sums.items()}
                )

    recipe = Recipe(epochs=1, batch=10, lr=0.5)
    objective = make({"name": "trades"}, THREAT)
    trainer(tmp_path, images=40).fit(net, objective, recipe, "p", [estimation, First()])
    assert all(torch.allclose(found, expected) for found, expected in seen.values())


def test_filters_that_nothing_reads_go_first_and_the_rate_differs_by_layer(net, tmp_path):
    """A layer whose output is not used shrinks to its floor before others lose theirs."""
    with torch.no_grad():
        net.layer2[1].conv2.weight[:, :6] = 0
    seen, _ = estimate(net, tmp_path, sparsity=0.05, rounds=1)
    final = seen[-1]
    assert not final["layer2.1.conv1"][:6].any() and final["layer2.1.conv1"][6:].all()
    seen, _ = estimate(net, tmp_path / "more", sparsity=0.5, rounds=1)
    assert len({round(float(u.float().mean()), 2) for u in seen[-1].values()}) > 4
    assert all(u.any() for u in seen[-1].values())


def test_the_adversarial_part_of_the_loss_counts(net, tmp_path):
    other = copy.deepcopy(net)
    natural, _ = estimate(net, tmp_path / "0", beta=0.0)
    trades, _ = estimate(other, tmp_path / "6", beta=6.0)
    assert any(not torch.equal(natural[-1][n], trades[-1][n]) for n in natural[-1])


def test_estimates_agree_with_taking_a_hundredth_of_a_filter_out(net, tmp_path, monkeypatch):
    """Rank correlation with the squared change of a loss without attack, on a net that was trained.

    The images are the same in both, and a first-order estimate holds for small parts only.
    """
    job = Trainer(blobs(40), blobs(12, 1), Augment(0, False), THREAT, 3, tmp_path, "a")
    trained = Recipe(epochs=4, batch=10, lr=0.05)
    job.fit(net, make({"name": "trades"}, THREAT), trained, "pretrain")
    objective, found, exact = make({"name": "trades", "beta": 0.0}, THREAT), {}, []

    def loss(candidate):
        x, y = job.train.images.double() / 255, job.train.labels
        return objective.loss(candidate.double().train(), x, y, torch.Generator()).item()

    whole = loss(copy.deepcopy(net))
    layers = ["layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.conv2"]
    for name in layers:
        for j in range(len(net.get_submodule(name).weight)):
            cut = copy.deepcopy(net)
            follower = cut.get_submodule(name.replace("conv", "bn"))
            for part in (cut.get_submodule(name).weight, follower.weight, follower.bias):
                part.data[j] *= 0.99
            exact.append((loss(cut) - whole) ** 2)
    estimation = RobustnessEstimation(net, 0.5, 1)
    monkeypatch.setattr(estimation, "cut", lambda net: found.update(estimation.totals))
    job.fit(net, objective, replace(STILL, batch=40, epochs=1), "prune", [estimation])
    ranks = [
        t.argsort().argsort().double()
        for t in (torch.tensor(exact), torch.cat([found[n] for n in layers]))
    ]
    assert torch.corrcoef(torch.stack(ranks))[0, 1] > 0.9


@pytest.mark.parametrize(("step", "rounds"), [(3, 4), (6, 1)])
def test_a_killed_pruning_resumes_to_the_same_masks(net, tmp_path, step, rounds):
    def prune(folder, kill=None):
        candidate = copy.deepcopy(net)
        task = task_for("fre", folder, "filters", 0.5, rounds=rounds)
        if kill:
            original = RobustnessEstimation.before_step

            def before_step(self, loop):
                if loop.step == kill:
                    raise KeyboardInterrupt
                original(self, loop)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(RobustnessEstimation, "before_step", before_step)
                with pytest.raises(KeyboardInterrupt):
                    base.load("fre").prune(candidate, task)
            candidate = copy.deepcopy(net)
        return candidate, base.load("fre").prune(candidate, task)

    whole, masks = prune(tmp_path / "whole")
    again, resumed = prune(tmp_path / "killed", kill=step - 1)
    assert all(torch.equal(m, resumed[n]) for n, m in masks.items())
    assert all(torch.equal(v, again.state_dict()[n]) for n, v in whole.state_dict().items())
