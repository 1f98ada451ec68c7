import copy
import itertools
import math

import pytest
import torch
from torch import nn

from advprune.pruning import masks as mk
from advprune.pruning.admm import Admm, search
from advprune.pruning.admm import largest as support
from advprune.training.loop import Loop


class Toy(nn.Module):
    """One linear layer."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5, 4, bias=False)
        with torch.no_grad():
            self.fc.weight.copy_(torch.linspace(-1, 1.1, 20).view(4, 5))


def largest(weights):
    return {n: mk.top_k(w.abs(), 6) for n, w in weights.items()}


def pull(rho=0.3, growth=1.3, cycles=4, **cap):
    toy = Toy()
    hook = Admm(toy, "unstructured", largest, rho, growth, cycles, **cap)
    loop = Loop(toy, torch.optim.SGD(toy.parameters(), lr=0.1), epochs=4, steps=40)
    return toy, hook, loop


def test_admm_starts_at_the_projection_and_leaves_the_weights_alone():
    toy, hook, _ = pull()
    assert torch.equal(toy.fc.weight, Toy().fc.weight)
    assert not hook.dual["fc"].any()
    assert hook.sparse["fc"].count_nonzero() == 6
    kept = hook.sparse["fc"] != 0
    assert torch.equal(hook.sparse["fc"][kept], toy.fc.weight[kept])


def test_the_penalty_gradient_is_rho_times_distance_at_any_number_of_updates():
    toy, hook, loop = pull()
    for step in range(40):
        loop.step = step
        hook.before_step(loop)
        toy.fc.weight.grad = None
        hook.penalty(loop).backward()
        expected = hook.rho * (toy.fc.weight - hook.sparse["fc"] + hook.dual["fc"])
        assert torch.allclose(toy.fc.weight.grad, expected, atol=1e-6)
        with torch.no_grad():
            toy.fc.weight -= 0.1 * toy.fc.weight.grad


def test_dual_updates_come_between_cycles_and_follow_the_equations():
    toy, hook, loop = pull()
    rhos = []
    for step in range(40):
        loop.step = step
        weight = toy.fc.weight.detach().clone()
        dual, updates = hook.dual["fc"].clone(), hook.updates
        hook.before_step(loop)
        rhos.append(hook.rho)
        if hook.updates > updates:
            assert step in (10, 20, 30)
            shifted = weight + dual
            projected = shifted * mk.top_k(shifted.abs(), 6)
            assert torch.allclose(hook.sparse["fc"], projected)
            assert torch.allclose(hook.dual["fc"], dual + weight - projected)
        with torch.no_grad():
            toy.fc.weight -= 0.02 * (toy.fc.weight - hook.sparse["fc"])
    assert hook.updates == 3
    assert rhos[::10] == pytest.approx([0.3 * 1.3**k for k in range(4)])


def test_the_residual_falls_between_updates_when_only_the_penalty_acts():
    toy, hook, loop = pull()
    residuals = []
    for step in range(10):
        loop.step = step
        hook.before_step(loop)
        residuals.append(hook.residual(toy))
        loop.optimizer.zero_grad()
        hook.penalty(loop).backward()
        loop.optimizer.step()
    assert all(b < a for a, b in itertools.pairwise(residuals))


@pytest.mark.parametrize("cap", [0.1, 0.3, 0.45, 9.0])
def test_rho_never_exceeds_its_cap(cap):
    _, hook, loop = pull(cap=cap)
    rhos = []
    for loop.step in range(40):
        hook.before_step(loop)
        rhos.append(hook.rho)
    assert rhos[::10] == pytest.approx([min(cap, 0.3 * 1.3**k) for k in range(4)])


@pytest.mark.parametrize("structure", ["unstructured", "filters", "channels", "kernels"])
def test_a_search_ends_with_the_projection_of_what_was_trained(net, structure):
    dense = copy.deepcopy(net)

    def train(hooks):
        (hook,) = hooks
        assert (hook.rho, hook.growth, hook.cycles, hook.cap) == (0.1, 2.0, 3, 0.2)
        with torch.no_grad():
            for weight in net.parameters():
                weight.copy_(weight.flatten().flip(0).view_as(weight))

    marks = []
    masks = search(net, structure, 0.5, train, marks.append, rho=0.1, growth=2.0, cycles=3, cap=0.2)
    units = mk.rank(mk.magnitudes(net, structure), 0.5)
    expected = mk.weight_masks(net, units, structure)
    assert all(torch.equal(mask, expected[n]) for n, mask in masks.items())
    weights = mk.weights(net, structure)
    kept = support(structure, 0.5)(weights)
    assert all(torch.equal(masks[f"{n}.weight"], kept[n]) for n in weights)
    start = mk.weights(dense, structure)
    assert all(torch.equal(w.flatten(), start[n].flatten().flip(0)) for n, w in weights.items())


@pytest.mark.parametrize(
    ("share", "mark"), [(1.0, "residual 0.5"), (0.5, "residual 0.2"), (0.1, "")]
)
def test_a_search_that_does_not_arrive_is_marked_with_its_residual(share, mark):
    """Of a layer whose weights are 1 and 1/√3, half each, the residual is 1/2 at the start."""
    toy, marks = Toy(), []
    small = torch.arange(20).view(4, 5) % 2 == 0
    with torch.no_grad():
        toy.fc.weight.fill_(1.0).masked_fill_(small, 3**-0.5)

    def train(hooks):
        with torch.no_grad():
            toy.fc.weight[small] *= share

    search(toy, "unstructured", 0.5, train, marks.append, rho=0.1, growth=1.0, cycles=1)
    assert len(marks) == bool(mark) and all(mark in line for line in marks)


def test_a_training_that_has_collapsed_has_not_arrived():
    toy, marks = Toy(), []

    def train(hooks):
        torch.nn.init.constant_(toy.fc.weight, math.nan)

    search(toy, "unstructured", 0.5, train, marks.append, rho=0.1, growth=1.0, cycles=1)
    assert len(marks) == 1 and "nan" in marks[0]
