import copy
import dataclasses
import itertools
from functools import partial

import pytest
import torch

from advprune.data.batches import batches
from advprune.pruning import masks as mk
from advprune.pruning.tickets import by_rate, by_rounds, measure_statistics, search
from advprune.training.loop import Hook
from advprune.training.objective import make
from helpers.methods import task_for
from helpers.training import RECIPE, THREAT, KillAt, KilledError, trainer


class Shake:
    """Training that replaces every tensor by noise, removed weights included, and keeps records."""

    def __init__(self, net):
        self.net, self.names, self.before, self.after, self.masks = net, [], [], [], []

    def __call__(self, name, hooks):
        self.names.append(name)
        self.masks.append(dict(hooks[0].masks))
        self.before.append(copy.deepcopy(self.net.state_dict()))
        rng = torch.Generator().manual_seed(len(self.names))
        with torch.no_grad():
            for value in self.net.state_dict().values():
                if value.is_floating_point():
                    value.copy_(torch.randn(value.shape, generator=rng))
        self.after.append(copy.deepcopy(self.net.state_dict()))


def masked(state, masks):
    return {n: v * masks[n] if n in masks else v for n, v in state.items()}


def same(first, second):
    return all(torch.equal(v, second[n]) for n, v in first.items())


def test_rounds_remove_the_same_share_of_what_is_left():
    left = [1.0, *(1 - s for s in by_rounds(0.9, 5))]
    assert [b / a for a, b in itertools.pairwise(left)] == pytest.approx([0.1**0.2] * 5)
    assert by_rounds(0.9, 1) == [0.9]


def test_a_rate_takes_as_many_rounds_as_the_sparsity_needs():
    assert [len(by_rate(s, 0.2)) for s in (0.9, 0.95, 0.99)] == [11, 14, 21]
    assert by_rate(0.9, 0.2)[:3] == pytest.approx([0.2, 0.36, 0.488])
    assert by_rate(0.9, 0.2)[-1] == 0.9
    assert by_rate(0.75, 0.5) == pytest.approx([0.5, 0.75])  # reached exactly: no round more


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_masks_only_shrink_and_hit_every_sparsity(net, scope):
    train, schedule = Shake(net), [0.5, 0.8, 0.95]
    last = search(net, "unstructured", schedule, train, scope=scope)
    rounds = [*train.masks[1:], last]
    for earlier, later in itertools.pairwise(rounds):
        assert all(not (later[n] & ~earlier[n]).any() for n in later)
    for sparsity, masks in zip(schedule, rounds, strict=True):
        sizes = [m.numel() for m in masks.values()]
        if scope == "global":
            assert mk.count(masks.values())[0] == mk.kept_count(sum(sizes), sparsity)
        else:
            kept = [int(m.sum()) for m in masks.values()]
            assert kept == [mk.kept_count(n, sparsity) for n in sizes]


def test_every_round_starts_from_the_masked_initial_state_statistics_included(net):
    start = copy.deepcopy(net.state_dict())
    train = Shake(net)
    search(net, "unstructured", [0.5, 0.8, 0.95], train)
    assert train.masks[0] == {}
    for masks, state in zip(train.masks, train.before, strict=True):
        assert same(masked(start, masks), state)
    assert same(start, net.state_dict())


def test_the_score_is_that_of_the_trained_weights(net):
    train = Shake(net)
    masks = search(net, "unstructured", [0.9], train)
    sizes = {n: train.after[0][n].abs() for n in masks}
    kept = torch.cat([sizes[n][m] for n, m in masks.items()])
    gone = torch.cat([sizes[n][~m] for n, m in masks.items()])
    assert kept.min() >= gone.max()


@pytest.mark.parametrize("rewind", ["trained", "none"])
def test_other_rewinds_start_where_they_say(net, rewind):
    train = Shake(net)
    last = search(net, "unstructured", [0.5, 0.8, 0.95], train, rewind=rewind)
    for t, masks in enumerate([*train.masks[1:], last]):
        origin = train.after[0 if rewind == "trained" else t]
        state = train.before[t + 1] if t < 2 else masked(net.state_dict(), masks)
        assert same(masked(origin, masks), state)
    with pytest.raises(ValueError, match="unknown rewind"):
        search(net, "unstructured", [0.5], train, rewind="theta0")


def test_rounds_have_names_of_their_own(net):
    once, thrice = Shake(net), Shake(net)
    search(net, "unstructured", [0.5], once)
    search(net, "unstructured", [0.3, 0.4, 0.5], thrice)
    assert once.names == ["prune"] and thrice.names == ["prune-1", "prune-2", "prune-3"]


def test_no_layer_vanishes(net):
    def starve(name, hooks):
        with torch.no_grad():
            net.fc.weight.mul_(1e-6)

    masks = search(net, "unstructured", [0.5, 0.9], starve)
    assert masks["fc.weight"].sum() == 1
    assert search(net, "unstructured", [0.5, 0.9], starve, floor=0)["fc.weight"].sum() == 0


def test_a_search_killed_in_its_second_round_ends_with_the_same_bits(net, tmp_path):
    fresh = copy.deepcopy(net.state_dict())

    class Watch(Hook):
        def before_step(self, loop):
            seen.append(mk.count(m for m in keep.masks.values())[0])
            assert mk.violations(loop.net, keep.masks) == []

    def run(folder, kill):
        def train(name, hooks):
            nonlocal keep
            (keep,) = hooks
            extra = KillAt(kill if name == "prune-2" else -1)
            objective = make({"name": "pgd"}, THREAT)
            recipe = dataclasses.replace(RECIPE, epochs=2, batch=20)
            trainer(folder).fit(net, objective, recipe, name, [keep, Watch(), extra])

        net.load_state_dict(fresh)
        return search(net, "unstructured", [0.5, 0.9], train)

    keep, seen = None, []
    whole = run(tmp_path / "whole", -1)
    assert len(set(seen)) == 2  # dense (no mask), then half
    with pytest.raises(KilledError):
        run(tmp_path / "killed", 3)
    again = run(tmp_path / "killed", -1)
    assert same(whole, again)


def test_statistics_are_the_means_over_the_training_images(net, tmp_path):
    run = trainer(tmp_path)
    net.bn1.running_mean.fill_(7)
    before = {n: p.clone() for n, p in net.named_parameters()}
    measure_statistics(net, run, 20)
    passes = batches(run.train, 20, generator=run.rng("statistics"), augment=run.augment)
    means = [net.conv1(net.normalize(x)).mean((0, 2, 3)) for x, _ in passes]
    assert len(means) == 2
    assert torch.allclose(net.bn1.running_mean, sum(means) / 2, atol=1e-6)
    assert net.bn1.momentum == 0.1 and not net.training
    assert same(before, dict(net.named_parameters()))


def test_search_trains_through_a_task_with_one_recipe(net, tmp_path):
    """Li20, Cosentino19 and Wang20 hand over `task.fit` like this."""
    task = task_for("wang20", tmp_path)
    search(net, "unstructured", [0.5, 0.9], partial(task.fit, net, "prune"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["prune-1.pt", "prune-2.pt"]
