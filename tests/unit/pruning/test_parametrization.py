import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from advprune.pruning import masks as mk
from advprune.pruning.parametrization import attach, original, parametrised, parts_on, remove
from helpers.checkout import ROOT


class Times(nn.Module):
    """w ↦ factor · w."""

    def __init__(self, weight, factor=2.0):
        super().__init__()
        self.factor = nn.Parameter(torch.full_like(weight, factor))

    def forward(self, weight):
        return self.factor * weight


def double(_name, weight):
    return Times(weight)


def same(net, state, factor=1.0):
    """Whether the net's tensors are those of the state, its layers' weights times the factor."""
    layers = {f"{n}.weight" for n in mk.prunable(net, "channels")}
    pairs = ((t, state[n] * (factor if n in layers else 1)) for n, t in net.state_dict().items())
    return net.state_dict().keys() == state.keys() and all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("effective", [False, True])
def test_inside_the_weights_are_computed_and_after_it_the_net_is_plain(net, effective):
    state, before = copy.deepcopy(net.state_dict()), copy.deepcopy(net)
    with parametrised(net, "channels", double, effective) as parts:
        assert list(parts) == list(mk.prunable(before, "channels"))
        assert torch.equal(net.fc.weight, 2 * state["fc.weight"])
        assert torch.equal(net.conv1.weight, state["conv1.weight"])
        net.requires_grad_(False)
    assert not any(parametrize.is_parametrized(m) for m in net.modules())
    assert same(net, state, 2.0 if effective else 1.0)
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in net.parameters())
    assert set(dict(net.named_parameters())) == set(dict(before.named_parameters()))
    assert parts["fc"].factor.shape == net.fc.weight.shape  # still there to be asked


def test_parts_come_off_when_the_training_is_cut_short(net):
    state = copy.deepcopy(net.state_dict())
    with pytest.raises(KeyboardInterrupt), parametrised(net, "channels", double):
        raise KeyboardInterrupt
    assert same(net, state)


def test_a_part_may_fill_the_weight_that_it_is_for(net):
    def fill(_name, weight):
        return Times(weight.fill_(3.0))

    with parametrised(net, "unstructured", fill):
        assert (net.fc.weight == 6).all()
        assert (net.fc.parametrizations.weight.original == 3).all()
    assert (net.fc.weight == 3).all()


def test_every_part_is_made_before_the_first_is_on(net):
    """So what is drawn for one layer cannot depend on the part of another."""
    on = []

    def look(_name, weight):
        on.append(any(parametrize.is_parametrized(m) for m in net.modules()))
        return Times(weight)

    attach(net, "unstructured", look)
    assert on == [False] * len(mk.prunable(net, "unstructured"))


def test_biases_are_for_the_layers_that_have_one(net):
    bias = net.fc.bias.detach().clone()
    assert list(attach(net, "unstructured", double, "bias")) == ["fc"]
    attach(net, "unstructured", double)
    assert torch.equal(net.fc.bias, 2 * bias)
    remove(net)
    assert torch.equal(net.fc.bias, bias)
    assert not any(parametrize.is_parametrized(m) for m in net.modules())


def test_parts_are_found_on_their_layer_with_what_they_are_for(net):
    attach(net, "unstructured", double)
    attach(net, "unstructured", lambda _, tensor: Times(tensor, 3.0), "bias")
    (on_weight, weight), (on_bias, bias) = parts_on(net.fc, Times)
    assert weight is original(net.fc) and torch.equal(net.fc.weight, 2 * weight)
    assert on_weight.factor.unique() == 2 and on_bias.factor.unique() == 3
    assert torch.equal(net.fc.bias, 3 * bias)
    assert parts_on(net.fc, nn.Linear) == []


def test_nothing_else_in_the_library_puts_parts_on_or_takes_them_off():
    library = ROOT / "scripts" / "advprune"
    users = {
        path.stem
        for path in library.rglob("*.py")
        if "_parametriz" in path.read_text(encoding="utf-8")
    }
    assert users == {"parametrization", "plain"}  # which looks through them
