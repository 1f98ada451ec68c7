"""Exact allocation under a budget and the episode of a search (docs/methods/heracles.md)."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from advprune.base.errors import UserError
from advprune.models.registry import NetSpec, build
from advprune.pruning import masks as mk
from advprune.pruning.allocation import (
    allocate,
    groups,
    rate_group,
    removed_rates,
    round_to_total,
    share_out,
    unit_counts,
)
from advprune.pruning.rate_search import Episode

IMAGE = torch.zeros(1, 1, 8, 8)


@given(st.data())
def test_whole_numbers_are_near_within_their_bounds_and_sum_to_the_total(data):
    names = data.draw(st.lists(st.text("abc", min_size=1), min_size=1, max_size=8, unique=True))
    exact = {n: data.draw(st.floats(0, 50)) for n in names}
    high = {n: data.draw(st.integers(0, 60)) for n in names}
    total = data.draw(st.sampled_from([math.floor(sum(exact.values())), sum(high.values()) + 3]))
    counts = round_to_total(exact, high, total)
    assert list(counts) == names and all(counts[n] <= high[n] for n in names)
    most, least = sum(high.values()), sum(min(math.floor(exact[n]), high[n]) for n in names)
    assert sum(counts.values()) == max(least, min(total, most))
    if all(exact[n] <= high[n] for n in names) and total < sum(exact.values()):
        assert all(abs(counts[n] - exact[n]) < 1 for n in names)
        up = [exact[n] - math.floor(exact[n]) for n in names if counts[n] > exact[n]]
        down = [exact[n] - counts[n] for n in names if counts[n] <= exact[n] < high[n]]
        assert not up or not down or min(up) >= max(down)


def test_the_earlier_of_equal_remainders_is_rounded_up_and_full_ones_take_nothing():
    exact = {"a": 1.5, "b": 1.5, "c": 0.9}
    assert round_to_total(exact, dict.fromkeys("abc", 9), 4) == {"a": 2, "b": 1, "c": 1}
    assert round_to_total(exact, {"a": 1, "b": 9, "c": 0}, 4) == {"a": 1, "b": 3, "c": 0}


@settings(max_examples=80, deadline=None)
@given(
    room=st.lists(st.integers(0, 60), min_size=1, max_size=7),
    seed=st.integers(0, 999),
    part=st.floats(0, 1.2),
)
def test_shares_fit_their_layers_and_sum_to_the_total(room, seed, part):
    shares = torch.rand(len(room), generator=torch.Generator().manual_seed(seed)).double() + 1e-3
    shares = dict(enumerate((shares / shares.sum()).tolist()))
    total = round(part * sum(room))
    found = share_out(total, shares, dict(enumerate(room)))
    assert sum(found.values()) == min(total, sum(room))
    assert all(0 <= found[i] <= room[i] for i in found)
    if all(total * shares[i] <= room[i] for i in shares):
        assert all(abs(found[i] - total * shares[i]) < 1 for i in shares)


def test_what_overflows_a_layer_is_spread_evenly():
    found = share_out(12, {"a": 0.75, "b": 0.25, "c": 0.0}, {"a": 3, "b": 10, "c": 10})
    assert found == {"a": 3, "b": 6, "c": 3}  # 9, 3, 0 with 6 too many for a


@given(st.data())
def test_the_total_is_exact_and_no_layer_empty_or_overfull(data):
    sizes = data.draw(st.dictionaries(st.text("abcdef"), st.integers(1, 500), min_size=1))
    rates = {n: data.draw(st.floats(1e-3, 1)) for n in sizes}
    total = data.draw(st.integers(len(sizes), sum(sizes.values())))
    counts = allocate(rates, sizes, total)
    assert sum(counts.values()) == total
    assert all(1 <= counts[n] <= size for n, size in sizes.items())
    removed = removed_rates(counts, sizes)
    assert all(mk.kept_count(sizes[n], removed[n]) == counts[n] for n in sizes)


def test_all_rates_are_scaled_by_one_factor():
    sizes = {"a": 1000, "b": 1000, "c": 100}
    # 0.2, 0.4 and 0.1 of the sizes are 610 units; half of each are 305
    assert allocate({"a": 0.2, "b": 0.4, "c": 0.1}, sizes, 305) == {"a": 100, "b": 200, "c": 5}
    # a full layer takes no more, the others share the rest
    assert allocate({"a": 0.1, "b": 0.2, "c": 0.9}, sizes, 700) == {"a": 200, "b": 400, "c": 100}


def test_rounding_goes_to_the_largest_remainder():
    rates = {"a": 0.26, "b": 0.27, "c": 0.47}
    assert allocate(rates, dict.fromkeys("abc", 10), 10) == {"a": 2, "b": 3, "c": 5}


def test_a_budget_below_one_unit_per_layer_is_refused():
    with pytest.raises(UserError, match="cannot keep 1 of 20 in 2 layers"):
        allocate({"a": 0.5, "b": 0.5}, {"a": 10, "b": 10}, 1)


def test_shortcuts_follow_the_convolution_they_run_beside_for_channels_only(net):
    layers = unit_counts(net, "channels")
    assert "conv1" not in layers
    assert groups(layers, "channels")["layer2.0.conv1"] == ["layer2.0.conv1", "layer2.0.shortcut.0"]
    assert len(groups(layers, "channels")) == len(layers) - 3
    assert all(
        len(g) == 1 for g in groups(unit_counts(net, "unstructured"), "unstructured").values()
    )
    assert rate_group("features.0", "channels") == "features.0"


def episode_of(net, structure="unstructured", kept=0.1, bounds=(0.01, 0.8)):
    return Episode(net, structure, kept, list(bounds), IMAGE)


@pytest.mark.parametrize("structure", ["unstructured", "channels"])
def test_the_wall_keeps_every_strategy_within_the_budget(net, rng, structure):
    episode = episode_of(net, structure, 0.3, (0.05, 0.9))
    for _ in range(20):
        states, actions, rates = episode.run(lambda s: float(torch.rand((), generator=rng)))
        spent = sum(r * c for r, c in zip(rates, episode.costs, strict=True))
        assert spent <= episode.total * (1 + 1e-9)
        assert all(0.05 <= r <= 0.9 for r in rates)
        assert states.shape == (len(episode.costs), 11) and len(actions) == len(rates)
        counts = episode.counts(rates)
        assert sum(counts.values()) == mk.kept_count(sum(episode.costs), 0.7)


def test_an_agent_that_wants_everything_meets_the_budget_and_leaves_the_minimum(net):
    episode = episode_of(net, bounds=(0.01, 0.8))
    _, _, rates = episode.run(lambda state: 1.0)
    spent = sum(r * c for r, c in zip(rates, episode.costs, strict=True))
    assert spent == pytest.approx(episode.total)
    assert rates[0] == 0.8 and rates[-1] == pytest.approx(0.01)


def test_actions_are_rates_between_the_bounds(net):
    episode = episode_of(net, kept=0.5, bounds=(0.1, 0.6))
    _, _, rates = episode.run(lambda state: 0.5)
    assert rates == pytest.approx([0.35] * len(rates))


@pytest.mark.parametrize("kept", [0.01, 0.1, 0.5])
def test_the_uniform_answer_gives_every_layer_the_kept_share(net, kept):
    episode = episode_of(net, kept=kept)
    _, _, rates = episode.run(episode.uniform)
    assert rates == pytest.approx([kept] * len(rates), rel=0.01)


def test_the_lower_bound_is_half_the_kept_share_where_that_is_less(net):
    assert episode_of(net, kept=0.01).low == 0.005
    assert episode_of(net, kept=0.1).low == 0.01


def test_the_state_says_what_was_spent_what_is_left_and_the_last_rate(net):
    episode = episode_of(net, kept=0.5)
    states, _, rates = episode.run(lambda state: 0.5)
    whole = sum(episode.costs)
    assert states[0, 8:].tolist() == pytest.approx([0, 1 - episode.costs[0] / whole, 1])
    reduced = sum(c * (1 - r) for c, r in zip(episode.costs[:3], rates, strict=False)) / whole
    rest = sum(episode.costs[4:]) / whole
    assert states[3, 8:].tolist() == pytest.approx([reduced, rest, rates[2]])


def test_the_features_describe_the_layers(net):
    episode = episode_of(net)
    features = dict(zip(episode.groups, episode.features, strict=True))
    assert episode.features.min() == 0 and episode.features.max() == 1
    # channels in: 1 for the stem, 32 at most; map: 8 at the stem, 1 at the classifier
    assert features["conv1"][1] == 0 and features["layer4.1.conv1"][1] == 1
    assert features["conv1"][3] == features["conv1"][4] == 1 and features["fc"][3] == 0
    # out / in is 0 for the classifier, kernel 1 for classifier and shortcuts
    assert features["fc"][5] == 0 and features["layer2.0.shortcut.0"][6] == 0
    assert features["layer4.1.conv1"][7] == 1
    assert net.training  # as it was


def test_episodes_exist_for_vgg():
    net = build(NetSpec("vgg16", 2, 3, 1, 8, (0.5,), (0.25,)))
    _, _, rates = episode_of(net).run(lambda state: 1.0)
    assert len(rates) == 16
