"""docs/methods/srgkp.md, "What must hold"."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from advprune.base.errors import UserError
from advprune.methods import base, srgkp
from advprune.pruning import masks as mk
from helpers.methods import task_for

GRID = [(i, j) for i in range(3) for j in range(3)]


def test_smoothness_of_single_kernels(rng):
    one = torch.zeros(3, 3)
    one[1, 1] = 1
    assert srgkp.smoothness(one) == 16
    signs = torch.tensor([[1.0, -1, 1], [1, 1, -1], [-1, 1, 1]])
    assert srgkp.smoothness(0.3 * signs).abs() < 1e-6  # only squares count
    kernel = torch.randn(3, 3, generator=rng)
    value = srgkp.smoothness(kernel)
    by_hand = sum(
        (kernel[i, j] ** 2 - kernel[a, b] ** 2).abs()
        for (i, j), (a, b) in itertools.permutations(GRID, 2)
        if max(abs(i - a), abs(j - b)) == 1
    )
    assert value == pytest.approx(float(by_hand), rel=1e-5)
    assert srgkp.smoothness(3 * kernel) == pytest.approx(9 * float(value), rel=1e-5)
    for same in (kernel.rot90(), kernel.flip(0)):
        assert srgkp.smoothness(same) == pytest.approx(float(value), rel=1e-5)
    stacked = srgkp.smoothness(torch.stack([one, kernel]).view(2, 1, 3, 3))
    assert stacked.shape == (2, 1) and stacked[0, 0] == 16


def test_filters_are_dealt_back_and_forth(rng):
    values = torch.randperm(20, generator=rng).float()
    labels = srgkp.deal_back_and_forth(values, 4)
    dealt = labels[values.argsort()].tolist()
    assert dealt == [0, 1, 2, 3, 3, 2, 1, 0] * 2 + [0, 1, 2, 3]
    assert labels.bincount().tolist() == [5] * 4
    assert srgkp.deal_back_and_forth(torch.zeros(4), 2).tolist() == [
        0,
        1,
        1,
        0,
    ]  # equals in their order


def test_kept_channels_meet_the_count_of_the_net():
    widths = {str(i): (w, w) for i, w in enumerate([64] * 4 + [128] * 4 + [256] * 4 + [512] * 4)}
    total = sum(f * c for f, c in widths.values())
    assert srgkp.kept_channels(widths, 0.5) == {n: c // 2 for n, (_, c) in widths.items()}
    assert srgkp.kept_channels(widths, 0.75) == {n: c // 4 for n, (_, c) in widths.items()}
    for sparsity in (0.4375, 0.9, 0.95):
        kept = srgkp.kept_channels(widths, sparsity)
        given = sum(f * kept[n] for n, (f, _) in widths.items())
        assert abs(given - mk.kept_count(total, sparsity)) <= 32
        assert all(abs(kept[n] - (1 - sparsity) * c) < 2 for n, (_, c) in widths.items())
    assert srgkp.kept_channels({"a": (8, 3)}, 0.75) == {"a": 1}
    with pytest.raises(UserError, match="leaves 3 kernels, less than one for each of 8 filters"):
        srgkp.kept_channels({"a": (8, 3)}, 0.9)


def published_cost(similarity, chosen, balance):
    left = [j for j in range(len(similarity)) if j not in chosen]
    inner = sum(float(similarity[a, b]) for a, b in itertools.combinations(chosen, 2))
    outer = sum(max(float(similarity[i, j]) for i in chosen) for j in left)
    return inner - balance * outer


def published_search(similarity, rough, count, width, check, weight):
    """docs/methods/srgkp.md, "Step 3", as plain loops over tuples."""
    channels, balance = len(similarity), None

    def ranked(values):
        order = sorted(range(len(values)), key=lambda i: values[i], reverse=True)
        return {i: position for position, i in enumerate(order)}

    def costs(beam):
        nonlocal balance
        if balance is None:
            size = len(beam[0])
            balance = (size * (size - 1) / 2) / (channels - size)
        return [published_cost(similarity, q, balance) for q in beam]

    pool = []
    for start in range(channels):
        beam, t = [(start,)], 0
        while len(beam[0]) < count:
            spawned = []
            for chosen in beam:
                free = [j for j in range(channels) if j not in chosen]
                free.sort(key=lambda j: sum(float(similarity[i, j]) for i in chosen))
                spawned += [(*chosen, j) for j in free[:width]]
            beam, t = spawned, t + 1
            if t % check == 0:
                cost = ranked(costs(beam))
                smooth = ranked([sum(float(rough[j]) for j in q) for q in beam])
                score = [weight * cost[i] + (1 - weight) * smooth[i] for i in range(len(beam))]
                best = sorted(range(len(beam)), key=lambda i: score[i], reverse=True)[:width]
                beam = [beam[i] for i in best]
        pool += beam
    return set(min(zip(costs(pool), pool, strict=True), key=lambda entry: entry[0])[1])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9])
@pytest.mark.parametrize("weight", [0.9, 0.2])
def test_the_search_is_that_of_step_3(count, weight):
    for seed in range(4):
        rng = torch.Generator().manual_seed(seed)
        kernels = torch.rand(10, 6, generator=rng, dtype=torch.float64)
        similarity = 1 - torch.cdist(kernels, kernels)
        rough = torch.rand(10, generator=rng, dtype=torch.float64)
        found = srgkp.Beams(similarity, rough, count).search(2, 3, weight)
        expected = published_search(similarity, rough, count, 2, 3, weight)
        assert set(found.nonzero()[:, 0].tolist()) == expected


def test_a_wide_beam_finds_the_optimum_and_a_narrow_one_no_less(rng):
    kernels = torch.rand(7, 5, generator=rng)
    similarity = 1 - torch.cdist(kernels, kernels)
    balance = 6 / 3
    sets = itertools.combinations(range(7), 4)
    everything = [published_cost(similarity, q, balance) for q in sets]
    costs = {}
    for width, check in ((7, 99), (2, 3)):
        chosen = srgkp.Beams(similarity, torch.rand(7, generator=rng), 4).search(width, check, 0.9)
        costs[width] = published_cost(similarity, chosen.nonzero()[:, 0].tolist(), balance)
    assert costs[7] == pytest.approx(min(everything), abs=1e-5)
    assert costs[2] >= min(everything) - 1e-5


def test_every_group_is_searched_with_its_own_kernels(tmp_path, rng, monkeypatch):
    weight = torch.randn(6, 9, 3, 3, generator=rng)
    seen = []

    class Watched(srgkp.Beams):
        def search(self, *how):
            seen.append((self.similarity, self.rough, self.count, how))
            return super().search(*how)

    monkeypatch.setattr(srgkp, "Beams", Watched)
    mask = srgkp.METHOD.channels(weight, 5, task_for("srgkp", tmp_path, "kernels", groups=3))
    rough = srgkp.smoothness(weight)
    labels = srgkp.deal_back_and_forth(rough.sum(1), 3)
    for group, (similarity, own, count, how) in enumerate(seen):
        members = (labels == group).nonzero()[:, 0].tolist()
        slabs = [torch.cat([weight[f, j].flatten() for f in members]) for j in range(9)]
        expected = torch.tensor([[1 - float((a - b).norm()) for b in slabs] for a in slabs])
        assert torch.allclose(similarity, expected, atol=1e-5)
        assert torch.allclose(own, rough[members].sum(0))
        assert (count, how) == (5, (2, 3, 0.9))
        chosen = published_search(expected, own, 5, 2, 3, 0.9)
        assert all(set(mask[f].nonzero()[:, 0].tolist()) == chosen for f in members)


def test_the_lowest_values_have_the_highest_ranks():
    assert srgkp.best_ranks(torch.tensor([[3.0, 1.0, 2.0, 3.0]])).tolist() == [[0, 3, 2, 1]]


def test_a_masked_layer_is_a_grouped_convolution(net, tmp_path, rng):
    before = {n: v.clone() for n, v in net.state_dict().items()}
    task = task_for("srgkp", tmp_path, "kernels", 0.5, groups=4)
    masks = base.load("srgkp").prune(net, task)
    mk.apply(net, masks)
    for name, value in net.state_dict().items():
        kept = masks.get(name, torch.ones_like(value, dtype=torch.bool))
        assert torch.equal(value[kept], before[name][kept])
    assert set(masks) == {f"{n}.weight" for n in mk.prunable(net, "kernels")}
    layer = net.layer2[0].conv1  # stride 2
    mask, weight = masks["layer2.0.conv1.weight"], before["layer2.0.conv1.weight"]
    labels = srgkp.deal_back_and_forth(srgkp.smoothness(weight).sum(1), 4)
    reads = mask[:, :, 0, 0]
    assert torch.equal(mask, reads[:, :, None, None].expand_as(mask))
    assert (reads.sum(1) == 2).all()
    sets = [reads[labels == g] for g in range(4)]
    assert all((s == s[0]).all() for s in sets)
    assert len({tuple(s[0].tolist()) for s in sets}) > 1  # a group's choice is its own
    gather = torch.cat([s[0].nonzero()[:, 0] for s in sets])
    order = labels.argsort(stable=True)
    slabs = [weight[f][reads[f]] for f in order.tolist()]
    x = torch.randn(3, 4, 9, 9, generator=rng)
    grouped = F.conv2d(x[:, gather], torch.stack(slabs), stride=2, padding=1, groups=4)
    assert torch.allclose(grouped[:, order.argsort()], layer(x), atol=1e-5)


def test_no_data_and_no_chance(net, tmp_path):
    first = base.load("srgkp").prune(net, task_for("srgkp", tmp_path, "kernels", 0.5))
    again = base.load("srgkp").prune(net, task_for("srgkp", tmp_path, "kernels", 0.5))
    assert all(torch.equal(first[n], again[n]) for n in first)
    none = base.load("srgkp").prune(net, task_for("srgkp", tmp_path, "kernels", 0.0))
    assert all(m.all() for m in none.values())
