import copy
import dataclasses
import itertools
from functools import partial

import pytest
import torch

from advprune.data.batches import batches
from advprune.pruning import masks as mk
from advprune.pruning.tickets import measure_statistics, search
from advprune.training.loop import Hook
from advprune.training.objective import make
from helpers.methods import task_for
from helpers.training import RECIPE, THREAT, KillAt, KilledError, trainer


class Shake:
    """Training that replaces every tensor by noise, removed weights included, and keeps records."""

    def __init__(self, net):
        self.net, self.names, self.before, self.after, self.masks = net, [], [], [], []
        self.epochs = []

    def __call__(self, name, recipe, hooks):
        self.names.append(name)
        self.epochs.append(recipe.epochs)
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


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_masks_only_shrink_and_hit_every_sparsity(net, scope):
    train, schedule = Shake(net), [0.5, 0.8, 0.95]
    last = search(net, "unstructured", schedule, train, RECIPE, scope=scope)
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
    search(net, "unstructured", [0.5, 0.8, 0.95], train, RECIPE)
    assert train.masks[0] == {}
    for masks, state in zip(train.masks, train.before, strict=True):
        assert same(masked(start, masks), state)
    assert same(start, net.state_dict())


def test_the_score_is_that_of_the_trained_weights(net):
    train = Shake(net)
    masks = search(net, "unstructured", [0.9], train, RECIPE)
    sizes = {n: train.after[0][n].abs() for n in masks}
    kept = torch.cat([sizes[n][m] for n, m in masks.items()])
    gone = torch.cat([sizes[n][~m] for n, m in masks.items()])
    assert kept.min() >= gone.max()


@pytest.mark.parametrize("rewind", ["trained", "none"])
def test_other_rewinds_start_where_they_say(net, rewind):
    train = Shake(net)
    last = search(net, "unstructured", [0.5, 0.8, 0.95], train, RECIPE, rewind=rewind)
    for t, masks in enumerate([*train.masks[1:], last]):
        origin = train.after[0 if rewind == "trained" else t]
        state = train.before[t + 1] if t < 2 else masked(net.state_dict(), masks)
        assert same(masked(origin, masks), state)
    with pytest.raises(ValueError, match="unknown rewind"):
        search(net, "unstructured", [0.5], train, RECIPE, rewind="theta0")


def test_rounds_have_names_of_their_own(net):
    once, thrice = Shake(net), Shake(net)
    search(net, "unstructured", [0.5], once, RECIPE)
    search(net, "unstructured", [0.3, 0.4, 0.5], thrice, RECIPE)
    assert once.names == ["prune"] and thrice.names == ["prune-1", "prune-2", "prune-3"]


def test_no_layer_vanishes(net):
    def starve(name, recipe, hooks):
        with torch.no_grad():
            net.fc.weight.mul_(1e-6)

    masks = search(net, "unstructured", [0.5, 0.9], starve, RECIPE)
    assert masks["fc.weight"].sum() == 1
    assert search(net, "unstructured", [0.5, 0.9], starve, RECIPE, floor=0)["fc.weight"].sum() == 0


def test_a_search_killed_in_its_second_round_ends_with_the_same_bits(net, tmp_path):
    fresh = copy.deepcopy(net.state_dict())

    class Watch(Hook):
        def before_step(self, loop):
            seen.append(mk.count(m for m in keep.masks.values())[0])
            assert mk.violations(loop.net, keep.masks) == []

    def run(folder, kill):
        def train(name, recipe, hooks):
            nonlocal keep
            (keep,) = hooks
            extra = KillAt(kill if name == "prune-2" else -1)
            objective = make({"name": "pgd"}, THREAT)
            trainer(folder).fit(net, objective, recipe, name, [keep, Watch(), extra])

        net.load_state_dict(fresh)
        four = dataclasses.replace(RECIPE, epochs=4, batch=20)
        return search(net, "unstructured", [0.5, 0.9], train, four)

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


def test_rounds_share_the_epochs_of_a_recipe(net):
    """However many they are, the search costs what one training does."""
    train = Shake(net)
    seven = dataclasses.replace(RECIPE, epochs=7)
    search(net, "unstructured", [0.3, 0.6, 0.9], train, seven)
    assert train.epochs == [2, 2, 3]
    with pytest.raises(ValueError, match="3 trainings cannot share 2 epochs"):
        two = dataclasses.replace(RECIPE, epochs=2)
        search(net, "unstructured", [0.3, 0.6, 0.9], train, two)


def test_search_trains_through_a_task(net, tmp_path):
    """The methods hand over `task.fit` like this."""
    task = task_for("wang20", tmp_path)
    search(net, "unstructured", [0.5, 0.9], partial(task.fit, net, "prune"), task.recipes["prune"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["prune-1.pt", "prune-2.pt"]
