"""docs/methods/heracles.md, "What must hold"."""

import copy
import dataclasses

import pytest
import torch

from advprune.base.errors import UserError
from advprune.data.batches import to_float
from advprune.methods import base
from advprune.methods.heracles import Reward, bounds, search
from advprune.pruning import masks as mk
from advprune.pruning.rate_search import Episode
from advprune.pruning.structures import named
from helpers.methods import task_for
from helpers.watching import check_resumes

AGENT = {"actor_lr": 1e-2, "critic_lr": 1e-2, "batch": 16}


def task_with(folder, structure="unstructured", sparsity=0.8, params=None, **recipe):
    task = task_for("heracles", folder, structure, sparsity, **(params or {}))
    recipe = dataclasses.replace(task.recipes["prune"], **recipe)
    return dataclasses.replace(task, recipes={**task.recipes, "prune": recipe})


def episode_for(net, task):
    image = to_float(task.trainer.train.images[:1])
    return Episode(net, task.structure, 1 - task.sparsity, bounds(task), image)


def test_the_reward_is_repeatable_and_sees_the_magnitude_pruned_net(net, tmp_path):
    task = task_with(tmp_path)
    reward = Reward(net, task)
    episode = episode_for(net, task)
    everything = dict(episode.sizes)
    nearly_nothing = dict.fromkeys(episode.sizes, 1)
    first = reward(everything)
    assert reward(nearly_nothing) != first  # a different net
    left = {n: int(w.count_nonzero()) for n, w in mk.weights(reward.net).items()}
    assert left == nearly_nothing
    kept = reward.net.layer3[0].conv1.weight.detach().nonzero()
    largest = net.layer3[0].conv1.weight.detach().abs()
    assert largest[tuple(kept[0])] == largest.max()
    assert reward(everything) == first  # and masks are not added up


def test_the_reward_adds_clean_and_weighted_robust_accuracy_on_training_images(net, tmp_path):
    def value(beta, eps):
        task = task_with(tmp_path, params={"beta": beta, "reward_batch": 10})
        threat = dataclasses.replace(task.trainer.threat, eps=eps)
        task = dataclasses.replace(task, trainer=dataclasses.replace(task.trainer, threat=threat))
        return Reward(net, task)(dict(episode_for(net, task).sizes))

    clean = value(0.0, 0.1)
    robust = value(1.0, 0.1) - clean
    assert value(3.0, 0.1) == pytest.approx(clean + 3 * robust)
    assert value(1.0, 0.0) == pytest.approx(2 * clean)  # no attack: both are the same
    # by hand, on all training images and with the statistics of each batch of ten
    images = Reward(net, task_with(tmp_path)).images
    task = task_with(tmp_path)
    assert len(images) == len(task.trainer.train)
    assert sorted(images.labels.tolist()) == sorted(task.trainer.train.labels.tolist())
    mine = copy.deepcopy(net).train()
    hits = 0
    with torch.no_grad():
        for pick in torch.arange(40).split(10):
            answer = mine(to_float(images.images[pick])).argmax(1)
            hits += int((answer == images.labels[pick]).sum())
    assert clean == pytest.approx(hits / 40, abs=0.03)


def test_the_attack_in_the_reward_costs_accuracy(net, tmp_path):
    task = task_with(tmp_path, epochs=10, lr=0.1)
    task.fit(net, "prune")
    wide = dataclasses.replace(task.trainer.threat, eps=0.5, step=0.25)
    task = dataclasses.replace(task, trainer=dataclasses.replace(task.trainer, threat=wide))
    reward = Reward(net, task)
    whole = dict(episode_for(net, task).sizes)
    both = reward(whole)
    reward.task = dataclasses.replace(task, params={**task.params, "beta": 0.0})
    clean = reward(whole)
    assert clean > 0.5 and both - clean < clean


def test_statistics_are_the_clean_batchs_and_stay_for_the_attack(net, tmp_path, rng):
    reward = Reward(net, task_with(tmp_path))
    x = torch.rand(10, 1, 8, 8, generator=rng)
    reward.adapt(x)
    assert not reward.net.training
    with torch.no_grad():
        stem = reward.net.conv1(reward.net.normalize(x))
    assert torch.allclose(reward.net.bn1.running_mean, stem.mean((0, 2, 3)), atol=1e-6)
    assert not torch.allclose(net.bn1.running_mean, stem.mean((0, 2, 3)), atol=1e-3)


def test_the_search_leaves_the_net_alone(net, tmp_path):
    before = copy.deepcopy(net.state_dict())
    training = [m.training for m in net.modules()]
    task = task_with(tmp_path)
    counts = search(episode_for(net, task), Reward(net, task), task)
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())
    assert [m.training for m in net.modules()] == training
    total = sum(counts.values())
    assert total == mk.kept_count(sum(episode_for(net, task).sizes.values()), 0.8)


def test_the_search_finds_which_layer_does_not_matter(net, tmp_path):
    """A reward that punishes weights in the largest layers: they keep less than at one rate."""
    params = AGENT | {"warmup": 20, "episodes": 30, "updates": 5, "hidden": 32, "sigma": 0.3}
    task = task_with(tmp_path, params=params | {"start": "uniform"})
    episode = episode_for(net, task)
    redundant = "layer4.1.conv2"

    def reward(counts):
        return 1 - counts[redundant] / episode.sizes[redundant]

    counts = search(episode, reward, task)
    uniform = episode.exact(dict.fromkeys(episode.sizes, 0.2))
    assert counts[redundant] < 0.5 * uniform[redundant]
    assert reward(counts) >= reward(uniform)


def test_the_authors_search_never_judges_uniform_rates_and_takes_the_best_after_the_warm_up(
    net, tmp_path
):
    task = task_with(tmp_path, params={"warmup": 4, "episodes": 5})
    episode, seen = episode_for(net, task), []

    def reward(counts):
        seen.append(counts)
        return [5.0, 1.0, 2.0, 1.0, 1.0, 1.0, 3.0, 2.0, 3.0][len(seen) - 1]

    assert search(episode, reward, task) == seen[6]
    assert len(seen) == 4 + 5
    assert episode.exact(dict.fromkeys(episode.sizes, 0.2)) not in seen


@pytest.mark.parametrize(("start", "at"), [("authors", 0.5), ("uniform", None)])
def test_the_actor_starts_in_the_middle_of_the_bounds_or_at_uniform_rates(
    net, tmp_path, monkeypatch, start, at
):
    task = task_with(tmp_path, params={"warmup": 0, "episodes": 1, "sigma": 1e-6, "start": start})
    episode, answers = episode_for(net, task), []
    run = episode.run
    monkeypatch.setattr(episode, "run", lambda act: answers.append(found := run(act)) or found)
    search(episode, lambda counts: 0.0, task)
    expected = at or episode.uniform()
    assert answers[-1][1] == pytest.approx([expected] * len(episode.costs), abs=0.01)
    assert len(answers) == (2 if start == "uniform" else 1)


def test_an_unknown_start_is_refused(net, tmp_path):
    with pytest.raises(UserError, match=r"heracles: params\.start: 'middle' \(known: authors, uni"):
        base.load("heracles").prune(net, task_with(tmp_path, params={"start": "middle"}))


@pytest.mark.parametrize(
    ("structure", "sparsity", "expected"),
    [
        ("unstructured", 0.9, [0.01, 0.8]),
        ("unstructured", 0.99, [0.01, 0.5]),
        ("channels", 0.5, [0.1, 1.0]),
        ("channels", 0.9, [0.1, 0.5]),
    ],
)
def test_the_upper_bound_is_the_authors_at_their_targets(tmp_path, structure, sparsity, expected):
    assert bounds(task_with(tmp_path, structure, sparsity)) == expected


def test_from_uniform_the_first_strategy_is_uniform_and_the_best_of_all_wins(net, tmp_path):
    task = task_with(tmp_path, params={"warmup": 4, "episodes": 5, "start": "uniform"})
    episode, seen = episode_for(net, task), []

    def reward(counts):
        seen.append(counts)
        return [0.5, 1.0, 2.0, 1.0, 1.0, 1.0, 3.0, 5.0, 2.0, 5.0][len(seen) - 1]

    assert search(episode, reward, task) == seen[7]
    assert len(seen) == 1 + 4 + 5
    assert seen[0] == episode.exact(dict.fromkeys(episode.sizes, 0.2))
    assert search(episode, lambda counts: float(counts == seen[0]), task) == seen[0]


def test_random_episodes_spend_more_or_less_than_the_budget(net, tmp_path, monkeypatch):
    """Each draws its own level, so that the wall does not starve the last layers in all of them."""
    task = task_with(tmp_path, params={"warmup": 20, "episodes": 0, "start": "uniform"})
    episode, spent = episode_for(net, task), []
    run = episode.run

    def watched(act):
        states, actions, rates = run(act)
        spent.append(sum(r * c for r, c in zip(rates, episode.costs, strict=True)) / episode.total)
        return states, actions, rates

    monkeypatch.setattr(episode, "run", watched)
    search(episode, lambda counts: 0.0, task)
    assert sum(s < 0.9 for s in spent) >= 3 and sum(s > 0.99 for s in spent) >= 3


def test_the_search_is_seeded(net, tmp_path):
    task = task_with(tmp_path)
    episode = episode_for(net, task)

    def reward(counts):
        return counts["fc"] / episode.sizes["fc"]

    assert search(episode, reward, task) == search(episode, reward, task)
    other = dataclasses.replace(task, trainer=dataclasses.replace(task.trainer, seed=99))
    assert search(episode, reward, other) != search(episode, reward, task)


def test_given_rates_replace_the_search(net, tmp_path, monkeypatch):
    monkeypatch.setattr("advprune.methods.heracles.search", None)
    names = list(mk.prunable(net, "unstructured"))
    rates = {n: 0.6 if n.startswith("layer1") else 0.15 for n in names}
    task = task_with(tmp_path, params={"rates": rates})
    expected = episode_for(net, task).exact(rates)
    masks = base.load("heracles").prune(net, task)
    assert {n: int(masks[f"{n}.weight"].sum()) for n in names} == expected
    early, late = (expected[f"{n}.1.conv1"] for n in ("layer1", "layer4"))
    sizes = episode_for(net, task).sizes
    assert early / sizes["layer1.1.conv1"] == pytest.approx(
        4 * late / sizes["layer4.1.conv1"], rel=0.05
    )
    with pytest.raises(UserError, match=r"rates lack or should not have fc$"):
        del rates["fc"]
        base.load("heracles").prune(net, task_with(tmp_path, params={"rates": rates}))


@pytest.mark.parametrize("structure", ["unstructured", "channels"])
def test_scores_are_learned_at_the_found_rates_with_frozen_weights(
    net, tmp_path, monkeypatch, structure
):
    def few(counts):
        return 1 - counts["layer2.0.conv1"] / 9999

    monkeypatch.setattr("advprune.methods.heracles.Reward", lambda net, task: few)
    before = copy.deepcopy(net.state_dict())
    task = task_with(tmp_path, structure, 0.5)
    counts = search(episode_for(net, task), few, task)
    masks = base.load("heracles").prune(net, task)
    for name, count in counts.items():
        alive = named(structure).occupied(masks[f"{name}.weight"])
        assert int(alive.sum()) == count
        assert torch.equal(net.state_dict()[f"{name}.weight"], before[f"{name}.weight"])
    assert len({round(c / episode_for(net, task).sizes[n], 3) for n, c in counts.items()}) > 3
    if structure == "channels":
        rates = {n: c / episode_for(net, task).sizes[n] for n, c in counts.items()}
        assert rates["layer2.0.shortcut.0"] == rates["layer2.0.conv1"]


def test_a_killed_run_resumes_to_the_same_bits(net, tmp_path, monkeypatch):
    def prune(net, name):
        return base.load("heracles").prune(net, task_with(tmp_path / name))

    check_resumes(monkeypatch, net, prune, at=4)
