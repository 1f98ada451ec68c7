"""docs/methods/mrs.md, "What must hold"."""

import copy
import statistics

import pytest
import torch
from torch.nn import functional as F

from advprune.methods import base, mrs
from advprune.plan.methods import load_method
from advprune.pruning import masks as mk
from helpers.methods import task_for
from helpers.small import blobs

ASCENT = {"radius": 0.1, "epochs": 4, "lr": 1.0}
RULE = {"sparsity": 0.5, "kappa": 0.9, "least": 0.5}
PARAMS = load_method("mrs")["params"]
SIZES = {"a": 64, "b": 128, "c": 256, "d": 512}


@pytest.fixture
def samples():
    data = blobs(30)
    x, y = data.images / 255, data.labels
    return [(x[:15], y[:15]), (x[15:], y[15:])]


def test_sensitivity_is_the_rise_of_the_loss_at_its_highest(net, samples):
    """Never negative, zero without a radius, and higher in a larger ball."""
    net.eval()
    layer = net.layer1[0].conv1
    values = [
        mrs.sensitivity(net, layer, samples, radius, epochs=4, lr=1.0)
        for radius in (0.0, 0.02, 0.1, 0.3)
    ]
    assert values[0] == pytest.approx(0, abs=1e-6)
    assert values == sorted(values) and values[1] > 1e-4
    huge = mrs.sensitivity(net, layer, samples, 0.1, epochs=4, lr=-1.0)
    assert huge == 0  # a descent finds nothing worse than the start


def test_sensitivity_leaves_the_net_as_it_was(net, samples):
    before = copy.deepcopy(net.state_dict())
    net.train()
    mrs.sensitivity(net, net.layer2[0].conv1, samples, **ASCENT)
    assert net.training and all(p.requires_grad and p.grad is None for p in net.parameters())
    assert all(torch.equal(v, before[n]) for n, v in net.state_dict().items())


def test_the_ball_is_relative_to_the_layer():
    start = torch.tensor([3.0, 4.0])
    near, far = start + torch.tensor([0.3, 0.0]), start + torch.tensor([0.0, 7.0])
    assert torch.equal(mrs.within(near, start, 0.1), near)
    assert torch.allclose(mrs.within(far, start, 0.1), torch.tensor([3.0, 4.5]))
    assert torch.equal(mrs.within(start, start, 0.0), start)


def test_a_small_ball_gives_the_first_order_value(net, samples):
    """radius · ‖w‖ · ‖gradient‖, from one long step that is projected back."""
    net.double().eval()
    x, y = (torch.cat(t) for t in zip(*samples, strict=True))
    x, layer = x.double(), net.layer1[0].conv1
    found = mrs.sensitivity(net, layer, [(x, y)], 1e-4, epochs=1, lr=1.0)
    (gradient,) = torch.autograd.grad(F.cross_entropy(net(x), y), layer.weight)
    expected = 1e-4 * layer.weight.norm() * gradient.norm()
    assert found == pytest.approx(expected.item(), rel=0.02)


def test_batchnorm_hides_the_scale_of_a_layer(net, samples):
    """First order is scale-free; the step is long enough to reach the sphere for both."""
    net.double().eval()
    samples = [(x.double(), y) for x, y in samples]
    layer, norm = net.layer1[0].conv1, net.layer1[0].bn1
    norm.eps = 0.0
    first = mrs.sensitivity(net, layer, samples[:1], 1e-4, epochs=1, lr=10.0)
    with torch.no_grad():
        layer.weight *= 3
        norm.running_mean *= 3
        norm.running_var *= 9
    second = mrs.sensitivity(net, layer, samples[:1], 1e-4, epochs=1, lr=90.0)
    assert first == pytest.approx(second, rel=1e-3) and first > 0


def test_relative_is_linear_or_by_rank():
    assert mrs.relative({"a": 1.0, "b": 3.0, "c": 2.0}, 10) == {"a": 0, "b": 1, "c": 0.5}
    heavy = {"a": 0.1, "b": 50.0, "c": 0.2}
    assert mrs.relative(heavy, 10) == {"a": 0, "b": 1, "c": 0.5}
    assert mrs.relative(heavy, 1e6)["c"] == pytest.approx(0.1 / 49.9)
    assert mrs.relative({"a": 2.0, "b": 2.0}, 10) == {"a": 0, "b": 0}


@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.9, 0.96])
def test_rates_meet_the_target_and_fall_with_the_sensitivity(sparsity):
    relative = {"a": 0.2, "b": 0.0, "c": 0.7, "d": 1.0}
    found = mrs.rates(SIZES, relative, sparsity, kappa=0.9, least=0.5)
    removed = sum(SIZES[n] * r for n, r in found.items())
    assert removed == pytest.approx(sparsity * sum(SIZES.values()), abs=1e-6)
    assert found["b"] >= found["a"] >= found["c"] >= found["d"] > 0
    assert max(found.values()) <= (1 + sparsity) / 2 + 1e-9
    if sparsity == 0.3:  # without a bound: proportional to 1 − κ s
        free = mrs.rates(SIZES, relative, sparsity, kappa=0.9, least=0.0)
        assert free["c"] / free["a"] == pytest.approx(0.37 / 0.82)


def test_equal_sensitivities_give_one_rate():
    found = mrs.rates(SIZES, dict.fromkeys(SIZES, 0.0), **RULE)
    assert all(r == pytest.approx(0.5) for r in found.values())


def test_counts_add_up_and_leave_one_filter():
    sizes = {"a": 8, "b": 8, "c": 16, "d": 5}
    rates = {"a": 0.99, "b": 0.31, "c": 0.42, "d": 0.75}
    target = sum(sizes[n] * r for n, r in rates.items()) / 37
    counts = mrs.removals(sizes, rates, mk.removed_count(37, target))
    assert sum(counts.values()) == mk.removed_count(37, target)
    assert counts["a"] == 7 and counts["b"] == 2 and counts["d"] in (3, 4)
    assert all(abs(counts[n] - sizes[n] * rates[n]) < 1 for n in sizes)
    full = mrs.removals(sizes, dict.fromkeys(sizes, 0.99), 33)
    assert full == {n: size - 1 for n, size in sizes.items()}


@pytest.mark.parametrize("sparsity", [0.5, 0.75, 0.9])
def test_narrow_layers_are_not_starved_for_wide_ones(sparsity):
    """The widest is the most sensitive: sparing it costs the others many times their width."""
    relative = {"a": 0.0, "b": 0.1, "c": 0.2, "d": 1.0}
    found = mrs.rates(SIZES, relative, sparsity, kappa=0.9, least=0.5)
    assert all(1 - found[n] >= (1 - sparsity) / 2 - 1e-9 for n in SIZES)
    free = mrs.rates(SIZES, relative, sparsity, kappa=0.9, least=0.1)
    assert 1 - free["a"] < 0.3 * (1 - sparsity) and free["d"] < found["d"]


@pytest.mark.parametrize("sparsity", [0.5, 0.75, 0.9])
def test_the_stem_has_the_target_rate_whatever_the_others_have(sparsity):
    """As the least sensitive module of all it would have the highest rate."""
    sizes = {"stem": 64, "a": 64, "b": 128, "c": 256, "d": 512}
    found = {"a": 0.2, "b": 0.9, "c": 0.5, "d": 0.3}
    lost = mrs.counts(sizes, found, sparsity, PARAMS)
    assert lost["stem"] == mk.removed_count(64, sparsity)
    assert sum(lost.values()) == mk.removed_count(1024, sparsity)
    shares = {n: lost[n] / sizes[n] for n in found}
    assert shares["a"] >= shares["d"] >= shares["c"] > shares["b"]


def test_the_pruned_net_follows_the_sensitivities(net, tmp_path, monkeypatch):
    """Exact total over all filters, the smallest l1 norms of each layer, one set of examples."""
    made = []
    original = mrs.attacked_batches
    monkeypatch.setattr(mrs, "attacked_batches", lambda *a: made.append(a) or original(*a))
    given = iter([0.5] * 9 + [3.0] * 10)  # the stem's is not asked for
    monkeypatch.setattr(mrs, "sensitivity", lambda *a, **k: next(given))
    masks = base.load("mrs").prune(net, task_for("mrs", tmp_path, "filters", 0.5))
    assert len(made) == 1
    kept = {}
    for name, norms in mk.magnitudes(net, "filters", order=1).items():
        alive = masks[f"{name}.weight"].flatten(1).any(1)
        kept[name] = float(alive.float().mean())
        if not alive.all():
            assert norms[alive].min() >= norms[~alive].max()
    shares = list(kept.values())
    assert statistics.mean(shares[1:10]) < 0.3 < 0.5 < statistics.mean(shares[10:])
    assert shares[0] == 0.5
    units = [masks[f"{n}.weight"].flatten(1).any(1) for n in kept]
    total = sum(map(len, units))
    assert mk.count(units) == (mk.kept_count(total, 0.5), total)


def test_sensitivities_do_not_depend_on_the_order_of_layers(net, samples):
    layers = mk.prunable(net, "filters")
    names = ["conv1", "layer2.0.conv1", "layer4.1.conv2"]
    forth = [mrs.sensitivity(net, layers[n], samples, **ASCENT) for n in names]
    back = [mrs.sensitivity(net, layers[n], samples, **ASCENT) for n in reversed(names)]
    assert forth == back[::-1] and len(set(forth)) == 3
