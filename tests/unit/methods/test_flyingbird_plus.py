"""docs/methods/flyingbird_plus.md, "What must hold"."""

import math

import pytest
import torch

from advprune.methods import base
from advprune.methods import flyingbird_plus as plus
from advprune.plan.methods import load_method
from advprune.pruning import dropgrow as dg
from advprune.pruning import masks as mk
from advprune.training.loop import Loop
from helpers.methods import task_for

PARAMS = load_method("flyingbird_plus")["params"] | {"updates": 8}


@pytest.fixture
def hook(net, rng):
    return plus.Voting(dg.igq_masks(net, 0.8, rng), PARAMS, lambda net, epoch: (0.0, 0.0))


def loop_at(net, time):
    return Loop(net, torch.optim.SGD(net.parameters(), lr=0.1), 10, 100, step=round(100 * time))


def force(monkeypatch, shrink, expand):
    monkeypatch.setattr(plus.Voting, "votes", lambda self, loop: (shrink, expand))


def test_without_votes_it_plans_as_flyingbird(net, hook):
    plain = dg.DropGrow(dict(hook.masks), 8, (0.5, 0.005))
    for time in (0.1, 0.7):  # no history yet
        assert hook.plan(loop_at(net, time)) == plain.plan(loop_at(net, time))


def test_a_vote_to_shrink_drops_more_and_grows_the_same(net, hook, monkeypatch):
    loop = loop_at(net, 0.5)
    plain = dg.DropGrow(hook.masks, 8, (0.5, 0.005)).plan(loop)
    force(monkeypatch, True, False)
    for name, (dropped, grown) in hook.plan(loop).items():
        active = int(hook.masks[name].sum())
        expected = plain[name][0] + math.ceil(0.4 * 0.2525 * active)
        assert (dropped, grown) == (min(expected, active), plain[name][1])


def test_a_vote_to_expand_grows_a_twentieth_more(net, hook, monkeypatch):
    loop = loop_at(net, 0.5)
    plain = dg.DropGrow(hook.masks, 8, (0.5, 0.005)).plan(loop)
    force(monkeypatch, False, True)
    plan = hook.plan(loop)
    for name, (dropped, grown) in plan.items():
        room = int((~hook.masks[name]).sum()) + dropped
        assert dropped == plain[name][0]
        assert grown == min(math.floor(1.05 * dropped), room)
    assert sum(g for _, g in plan.values()) > sum(d for d, _ in plan.values())


@pytest.mark.parametrize(
    ("gaps", "losses", "expected"),
    [
        ([0, 1, 2, 1, 0], [4, 3, 2, 1, 0], (True, False)),  # two of four rises are enough
        ([0, 1, 1, 1, 0], [4, 3, 2, 1, 0], (False, False)),  # standing still is no rise
        ([4, 3, 2, 1, 0], [1, 1, 1, 0, -1], (False, True)),  # but no fall either
        ([0, 1, 2, 3, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 3, 2, 1, 0], (False, False)),  # the last 4
        ([0, 1, 2, 3], [0, 1, 2, 3], (False, False)),  # the window is not full
    ],
)
def test_votes_look_at_the_last_differences(net, hook, gaps, losses, expected):
    hook.gaps, hook.losses = gaps, losses
    assert hook.votes(loop_at(net, 0.5)) == expected
    assert hook.votes(loop_at(net, 0.49)) == (False, False)


@pytest.mark.parametrize("factor", [0.6, 1.3])
def test_the_last_update_meets_the_target(net, rng, factor):
    density = 0.2 * factor
    hook = plus.Voting(dg.igq_masks(net, 0.8, rng), PARAMS, lambda net, epoch: (0.0, 0.0))
    hook.masks = dg.igq_masks(net, 1 - density, rng)
    hook.done = hook.updates
    counts = hook.counts()
    plan = hook.plan(loop_at(net, 0.9))
    after = {n: active - plan[n][0] + plan[n][1] for n, (active, _) in counts.items()}
    assert sum(after.values()) == hook.target
    assert all(0 < after[n] <= total for n, (_, total) in counts.items())
    full = sum(after[n] == total for n, (_, total) in counts.items())
    for name, (active, total) in counts.items():
        assert plan[name][0] <= active
        if not full:  # what does not fit a full layer goes to all others
            assert abs(after[name] - active / factor) <= 1
        elif after[name] < total:
            assert after[name] >= active / factor - 1


def test_the_density_drifts_by_the_votes_and_ends_on_target(net, tmp_path, monkeypatch):
    totals = []
    rewire = plus.Voting.rewire

    def watched(self, loop):
        rewire(self, loop)
        totals.append(mk.count(self.masks.values())[0])

    force(monkeypatch, True, False)
    monkeypatch.setattr(plus.Voting, "rewire", watched)
    masks = base.load("flyingbird_plus").prune(
        net, task_for("flyingbird_plus", tmp_path, updates=4)
    )
    target = mk.kept_count(sum(m.numel() for m in masks.values()), 0.8)
    assert totals[0] < target and sorted(totals[:3], reverse=True) == totals[:3]
    assert totals[3] == target == mk.count(masks.values())[0]


def test_the_figures_are_the_gap_and_the_loss(net, tmp_path):
    task = task_for("flyingbird_plus", tmp_path)
    figures = plus.validation(task.trainer)
    first = figures(net, 3)
    assert first == figures(net, 3)
    with torch.no_grad():  # a constant answer: chance on both splits, loss log 3
        net.fc.weight.zero_()
        net.fc.bias.zero_()
    gap, loss = figures(net, 0)
    assert gap == pytest.approx(0.0, abs=0.1) and loss == pytest.approx(math.log(3), rel=1e-5)


def test_the_history_survives_an_interruption(net, hook):
    hook.gaps, hook.losses, hook.done = [0.0, 1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 2.0, 3.0, 4.0], 3
    again = plus.Voting(hook.masks, PARAMS, hook.figures)
    again.load_state_dict(hook.state_dict())
    assert again.votes(loop_at(net, 0.5)) == (True, True) and again.done == 3
