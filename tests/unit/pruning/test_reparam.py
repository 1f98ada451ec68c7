import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from advprune.pruning import masks as mk
from advprune.pruning.parametrization import attach, remove
from advprune.pruning.reparam import (
    CutOnce,
    FilterProduct,
    Gate,
    Product,
    kaiming_uniform,
    signed_constants,
)
from advprune.pruning.structures import named
from advprune.training.loop import Loop


def drawn(shape, rng):
    return torch.randn(shape, generator=rng)


def test_signed_constants_have_one_size_per_layer_and_keep_the_signs(net):
    before = {n: w.clone() for n, w in mk.weights(net).items()}
    signed_constants(net, {"layer1.0.conv1": 0.25})
    for name, weight in mk.weights(net).items():
        fan_in = weight[0].numel() * (0.25 if name == "layer1.0.conv1" else 1)
        assert torch.allclose(weight.square(), torch.tensor(2 / fan_in))
        assert weight.abs().unique().numel() == 1
        assert torch.equal(weight > 0, before[name] > 0), name
    signs = torch.cat([w.flatten() > 0 for w in mk.weights(net).values()]).float()
    assert signs.mean().item() == pytest.approx(0.5, abs=0.02)


def test_the_uniform_start_fills_its_interval(rng):
    draw = kaiming_uniform(torch.Size([100, 4, 5, 5]), rng)
    assert draw.abs().max().item() == pytest.approx(0.1, rel=1e-3)
    assert draw.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.02)
    assert draw.mean().item() == pytest.approx(0, abs=0.002)


def test_both_factors_of_a_product_get_the_others_share_of_the_gradient(rng):
    weight, factor, upstream = (drawn((4, 6), rng) for _ in range(3))
    weight.requires_grad_()
    product = Product(factor)
    kept = mk.top_k(drawn((4, 6), rng), 10)
    product.fix(kept)
    (product(weight) * upstream).sum().backward()
    assert torch.allclose(weight.grad, upstream * factor * kept)
    assert torch.allclose(product.factor.grad, upstream * weight * kept)


def test_a_filter_product_mixes_output_filters(rng):
    weight, factor = drawn((4, 3, 2, 2), rng), drawn((4, 4), rng)
    product = FilterProduct(factor)
    expected = torch.einsum("pq,qikl->pikl", factor, weight)
    assert torch.allclose(product(weight), expected, atol=1e-6)
    kept = torch.tensor([True, False, True, False])
    product.fix(kept)
    assert torch.allclose(product(weight), expected * kept.view(-1, 1, 1, 1), atol=1e-6)
    # a linear layer is the same without kernels
    assert torch.allclose(FilterProduct(factor)(weight[..., 0, 0]), factor @ weight[..., 0, 0])


def gate_of(weight, structure, start=0.1):
    return Gate(torch.full_like(named(structure).norms(weight), start), structure)


def test_gates_that_all_are_open_change_no_bit(net, rng):
    x = torch.rand(4, 1, 8, 8, generator=rng)
    for structure in ("unstructured", "filters", "channels"):
        gated = copy.deepcopy(net).eval()
        attach(gated, structure, lambda _, w, s=structure: gate_of(w, s))
        assert torch.equal(gated(x), net.eval()(x))


@pytest.mark.parametrize(("structure", "axis"), [("filters", 0), ("channels", 1)])
def test_gates_close_whole_units_and_hear_of_all_their_weights(rng, structure, axis):
    weight, upstream = drawn((4, 6, 3, 3), rng), drawn((4, 6, 3, 3), rng)
    gate = gate_of(weight, structure)
    with torch.no_grad():
        gate.gate.copy_(drawn(gate.gate.shape, rng))
    out = gate(weight)
    alive = out.transpose(0, axis).flatten(1).abs().sum(1) > 0
    assert torch.equal(alive, gate.gate > 0) and 0 < alive.sum() < len(alive)
    (out * upstream).sum().backward()
    heard = (weight * upstream).transpose(0, axis).flatten(1).sum(1)
    slope = 0.5 * (1 - gate.gate.tanh() ** 2)
    assert torch.allclose(gate.gate.grad, heard * slope, atol=1e-5)  # closed ones too


def test_a_gate_is_closed_at_zero_and_a_layer_never_quite(rng):
    weight = drawn((2, 3), rng)
    gate = gate_of(weight, "unstructured", 0.0)
    assert gate.open().flatten().tolist() == [1, 0, 0, 0, 0, 0]
    with torch.no_grad():
        gate.gate.copy_(torch.tensor([[-3.0, -1.0, -2.0], [-5.0, -4.0, -6.0]]))
    assert gate.open().flatten().tolist() == [0, 1, 0, 0, 0, 0]
    with torch.no_grad():
        gate.gate[1] = 1e-9  # where 0.5 tanh + 0.5 is one half in float32
    assert gate.open().flatten().tolist() == [0, 0, 0, 1, 1, 1]


def test_removed_factors_leave_a_plain_net_with_the_same_outputs(net, rng):
    names = net.state_dict().keys()
    reparams = attach(net, "unstructured", lambda _, w: FilterProduct(drawn((len(w),) * 2, rng)))
    reparams["conv1"].fix(torch.tensor([True, False, True, True]))
    net.requires_grad_(False)
    x = torch.rand(4, 1, 8, 8, generator=rng)
    before = net.eval()(x)
    remove(net, effective=True)
    assert torch.equal(net(x), before)
    assert not any(parametrize.is_parametrized(m) for m in net.modules())
    assert set(net.state_dict()) == set(names)
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in net.parameters())
    assert not net.conv1.weight[1].any()


def cutting(net, structure, at=0.5, sparsity=0.5):
    gates = attach(net, structure, lambda _, w: gate_of(w, structure))
    scores = {n: torch.rand(g.gate.shape, generator=rng_of(n)) for n, g in gates.items()}
    scores["layer1.0.conv1"] -= 10  # would leave this layer empty
    cut = CutOnce(net, gates, lambda: scores, structure, sparsity, at)
    loop = Loop(net, torch.optim.SGD(net.parameters(), lr=0.1), epochs=2, steps=10)
    return cut, loop, gates, scores


def rng_of(name):
    return torch.Generator().manual_seed(len(name))


def test_the_cut_comes_once_at_its_time_and_counts_exactly(net):
    cut, loop, gates, scores = cutting(net, "channels", at=0.3)
    for loop.step in range(10):
        cut.before_step(loop)
        opened = sum(int(g.open().sum()) for g in gates.values())
        total = sum(g.gate.numel() for g in gates.values())
        assert opened == (total if loop.step < 3 else mk.kept_count(total, 0.5))
        if loop.step == 5:  # too late to matter
            for score in scores.values():
                score.neg_()
    units = mk.rank({n: -s for n, s in scores.items()}, 0.5, scope="global", floor=1)
    assert all(torch.equal(g.open().bool(), units[n]) for n, g in gates.items())
    assert gates["layer1.0.conv1"].open().sum() == 1
    assert not any(g.gate.requires_grad for g in gates.values())


def test_removed_filters_are_silent_from_the_cut_on(net):
    cut, loop, gates, _ = cutting(net, "filters", at=0)
    cut.before_step(loop)
    alive = gates["layer1.0.conv1"].gate > 0
    assert torch.equal(net.layer1[0].bn1.weight != 0, alive)  # in this very step
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)  # what an optimiser might do
    cut.after_step(loop)
    masks = cut.finish()
    assert mk.violations(net, masks) == []
    assert torch.equal(masks["layer1.0.bn1.bias"], alive)
    assert torch.equal(net.layer1[0].bn1.bias != 0, alive)


def test_a_cut_that_never_came_happens_at_the_end(net):
    cut, _, _, scores = cutting(net, "unstructured", at=1.0)
    masks = cut.finish()
    total = sum(s.numel() for s in scores.values())
    assert mk.count(masks.values()) == (mk.kept_count(total, 0.5), total)
    assert mk.violations(net, masks) == []


def test_a_restored_cut_is_the_same_cut(net):
    twin = copy.deepcopy(net)
    cut, loop, gates, _ = cutting(net, "filters", at=0)
    other, again, theirs, _ = cutting(twin, "filters", at=0)
    other.load_state_dict(cut.state_dict())
    assert other.units == {}
    cut.before_step(loop)
    other.load_state_dict(cut.state_dict())
    assert all(torch.equal(g.gate, theirs[n].gate) for n, g in gates.items())
    assert not any(g.gate.requires_grad for g in theirs.values())
    other.score = None  # must not be asked again
    other.before_step(again)
    first, second = cut.finish(), other.finish()
    assert first.keys() == second.keys() and any("bn" in n for n in first)
    assert all(torch.equal(m, second[n]) for n, m in first.items())
