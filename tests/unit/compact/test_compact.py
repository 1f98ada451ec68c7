import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from advprune.compact.channels import Graph
from advprune.compact.convert import agree, compact
from advprune.compact.layers import Affine, Compact, Conv, Matrix
from advprune.models.graph import batchnorm_of, companions
from advprune.models.registry import NetSpec, build
from advprune.pruning import masks as mk
from helpers.nets import NETS, PRE_ACTIVATION

BASE = NetSpec("resnet18", 4, 5, 3, 16, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
SPECS = {
    name: replace(BASE, width=2 if fields["arch"] == "vgg16" else 4, **fields)
    for name, fields in NETS.items()
}
WIDE = replace(SPECS["vgg16"], width=8)
IMAGE = (3, 16, 16)


def lively(arch, seed=0, spec=None):
    """A net whose running statistics, scales, shifts and biases are all far from trivial."""
    rng = torch.Generator().manual_seed(seed)
    net = build(spec or SPECS[arch], rng).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=rng)
            module.running_var.uniform_(0.5, 2, generator=rng)
            module.weight.data.uniform_(-1.5, 1.5, generator=rng)
            module.bias.data.normal_(0, 0.3, generator=rng)
        elif isinstance(module, nn.Linear):
            module.bias.data.normal_(0, 0.3, generator=rng)
    return net


def kill(net, structure, share, rng, shifts=False):
    """Zero a random share of every layer's units; with `shifts` dead filters emit a constant."""
    parameters, partners = dict(net.named_parameters()), companions(net)
    for name, conv in mk.prunable(net, "filters").items():
        if structure == "unstructured":
            conv.weight.data *= torch.rand(conv.weight.shape, generator=rng) >= share
        elif structure == "filters":
            dead = torch.rand(conv.out_channels, generator=rng) < share
            conv.weight.data[dead] = 0
            for partner in () if shifts else partners[name]:
                parameters[partner].data[dead] = 0
        elif structure == "kernels" and conv.kernel_size != (1, 1):
            conv.weight.data[torch.rand(conv.weight.shape[:2], generator=rng) < share] = 0
        elif structure == "channels" and name != "conv1" and name != "features.0":
            conv.weight.data[:, torch.rand(conv.in_channels, generator=rng) < share] = 0
    return net


def images(n=6, seed=3):
    return torch.rand(n, *IMAGE, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(
    arch=st.sampled_from(sorted(SPECS)),
    structure=st.sampled_from(["unstructured", "filters", "channels", "kernels"]),
    share=st.sampled_from([0.0, 0.3, 0.75, 0.97]),
    shifts=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_logits_are_equal_for_any_mask(arch, structure, share, shifts, seed):
    rng = torch.Generator().manual_seed(seed)
    net = kill(lively(arch, seed), structure, share, rng, shifts)
    agree(net, compact(net, IMAGE), images(seed=seed))


@pytest.mark.parametrize("arch", sorted(SPECS))
def test_gradients_are_equal(arch):
    net = kill(lively(arch), "filters", 0.5, torch.Generator().manual_seed(1), shifts=True)
    small, x = compact(net, IMAGE), images().requires_grad_()
    expected, found = (torch.autograd.grad(f(x).square().sum(), x)[0] for f in (net, small))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


def kept_by_convolutions(net):
    """Kept channels of every convolution, by layer name."""
    graph = Graph(copy.deepcopy(net), IMAGE)
    return {n.target: graph.kept[n] for n in graph.nodes if graph.kind[n] == "conv"}


def test_a_chain_keeps_exactly_the_filters_that_are_left():
    net = kill(
        lively("vgg16", spec=WIDE), "filters", 0.5, torch.Generator().manual_seed(0), shifts=True
    )
    modules = dict(net.named_modules())
    for name, kept in kept_by_convolutions(net).items():
        alive = modules[name].weight.flatten(1).any(1)
        assert torch.equal(kept, alive)


def test_a_chain_keeps_exactly_the_channels_that_are_read():
    net = kill(lively("vgg16", spec=WIDE), "channels", 0.5, torch.Generator().manual_seed(1))
    kept = list(kept_by_convolutions(net).values())
    convs = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    for before, conv in zip(kept, convs[1:], strict=False):
        assert torch.equal(before, conv.weight.transpose(0, 1).flatten(1).any(1))


@pytest.mark.parametrize("shifts", [False, True])
@pytest.mark.parametrize("name", ["layer2.0.conv1", "layer2.0.conv2", "layer3.0.shortcut.0"])
def test_a_whole_layer_may_be_dead(name, shifts):
    net = lively("resnet18")
    modules = dict(net.named_modules())
    modules[name].weight.data.zero_()
    if not shifts:
        norm = modules[batchnorm_of(net)[name]]
        norm.weight.data.zero_()
        norm.bias.data.zero_()
    agree(net, compact(net, IMAGE), images())


def test_only_batchnorms_of_sums_are_left():
    kinds = {arch: [type(m) for m in compact(lively(arch), IMAGE).layers] for arch in SPECS}
    assert {arch: k.count(Affine) for arch, k in kinds.items()} == {
        **dict.fromkeys(SPECS, 0),
        "preact_resnet18": 9,  # the second ones of the blocks are folded; two read the stem
        "wrn_28_4": 12,  # that of the stem and the second ones of the blocks are folded
        "wrn_28_10": 12,
    }


@pytest.mark.parametrize("arch", sorted(SPECS))
def test_a_net_that_ignores_its_images(arch):
    net = lively(arch)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data.zero_()
    small, x = compact(net, IMAGE), images().requires_grad_()
    agree(net, small, x.detach())
    assert not torch.autograd.grad(small(x).sum(), x)[0].any()


def test_a_residual_channel_stays_if_one_of_its_producers_uses_it():
    net = lively("resnet18")
    modules = dict(net.named_modules())
    producers = ("conv1", "layer1.0.conv2", "layer1.1.conv2")

    def kill_channel(names, channel):
        for name in names:
            norm = modules[batchnorm_of(net)[name]]
            for tensor in (modules[name].weight, norm.weight, norm.bias):
                tensor.data[channel] = 0

    kill_channel(producers, 0)
    kill_channel(producers[1:], 1)
    assert kept_by_convolutions(net)["conv1"].tolist() == [False, True, True, True]
    agree(net, compact(net, IMAGE), images())


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("structure", ["unstructured", "filters", "channels", "kernels"])
@pytest.mark.parametrize("sparsity", [0.5, 0.9])
@pytest.mark.parametrize("arch", PRE_ACTIVATION)
def test_a_pre_activation_net_masked_in_every_structure(arch, structure, sparsity, size):
    net = lively(arch, spec=replace(SPECS[arch], size=size))
    rng = torch.Generator().manual_seed(2)
    magnitudes = mk.magnitudes(net, structure)
    scores = {n: torch.rand(m.shape, generator=rng) for n, m in magnitudes.items()}
    mk.apply(net, mk.weight_masks(net, mk.rank(scores, sparsity), structure))
    x = torch.rand(4, 3, size, size, generator=rng)
    agree(net, compact(net, (3, size, size)), x)


@pytest.mark.parametrize("name", ["vgg16-max", "vgg16-mean-12"])
def test_channels_that_nobody_reads_are_really_taken_out_of_a_head_of_any_form(name):
    """A dead filter of the last convolution is a constant of the first linear layer."""
    net = lively(name, spec=replace(SPECS[name], width=8))
    last = [m for m in net.features if isinstance(m, nn.Conv2d)][-1]
    last.weight.data[[0, 3, 4, 9]] = 0
    small = compact(net, IMAGE)
    assert small.layers[-1 - len(SPECS[name].hidden)].weight.shape[0] == 8 * 8 - 4
    agree(net, small, images())


def test_a_pre_activation_block_reads_only_the_channels_that_it_needs():
    """The sums keep all channels, what the next convolution reads of them is picked."""
    net = lively("wrn_28_4")
    block = net.layer2[1]
    block.conv1.weight.data[:, [1, 2, 5]] = 0
    graph = Graph(copy.deepcopy(net), IMAGE)
    (norm,) = (n for n in graph.nodes if n.target == "layer2.1.bn1")
    assert graph.kept[norm].tolist() == [i not in (1, 2, 5) for i in range(8)]
    assert graph.kept[norm.all_input_nodes[0]].all()
    small = compact(net, IMAGE)
    assert 5 in [
        len(layer.pick) for layer in small.layers if getattr(layer, "pick", None) is not None
    ]
    agree(net, small, images())


def test_a_pre_activation_net_whose_sums_lose_channels():
    """Dead in all that is added: after BatchNorm they are constants, not zero."""
    net = lively("wrn_28_4")
    for name in ("0.conv2", "0.shortcut.0", "1.conv2", "2.conv2", "3.conv2"):
        net.get_submodule(f"layer3.{name}").weight.data[[0, 3, 4]] = 0
    graph = Graph(copy.deepcopy(net), IMAGE)
    sums = [n for n in graph.nodes if graph.kind[n] == "add"][-4:]
    assert all(graph.kept[n].tolist() == [i not in (0, 3, 4) for i in range(16)] for n in sums)
    agree(net, compact(net, IMAGE), images())


class Split(nn.Module):
    """BatchNorm of a sum, which is added to something else that a convolution makes."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = (nn.Conv2d(3, 4, 3, padding=1) for _ in range(3))
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        normed = self.norm(self.one(x) + self.two(x))
        return self.head((F.relu(normed) + self.three(x)).mean((2, 3)))


@pytest.mark.parametrize("channel", [0, 2])
def test_a_normalised_channel_that_is_dead_while_what_it_is_added_to_lives(channel):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Split().eval()
        net.norm.running_mean.normal_()
    net.norm.bias.data.fill_(0.7)
    for conv in (net.one, net.two):
        conv.weight.data[channel] = 0
    agree(net, compact(net, IMAGE), images())


class Odd(nn.Module):
    """Biased convolutions without BatchNorm, odd strides, a value used twice, a final ReLU."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=2)
        self.second = nn.Conv2d(6, 6, 3, padding=2, dilation=2)
        self.head = nn.Linear(6 * 49, 4)

    def forward(self, x):
        a = self.first(x)
        b = F.relu(a + self.second(F.relu(a)))
        return F.relu(self.head((b + a).flatten(1)))


def test_other_nets_of_known_parts():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Odd().eval()
    net.first.weight.data[2:4] = 0
    agree(net, compact(net, IMAGE), images())


def test_unknown_parts_are_refused():
    class Strange(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return torch.sigmoid(self.conv(x)).mean((2, 3))

    with pytest.raises(ValueError, match="sigmoid"):
        compact(Strange().eval(), IMAGE)


def test_the_copy_is_frozen_and_the_net_untouched():
    net = lively("resnet18").train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    small = compact(net, IMAGE)
    assert isinstance(small, Compact) and not small.training and not list(small.parameters())
    assert net.training and all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in before.items())


def test_small_maps_become_matrices():
    spec = NetSpec("resnet18", 8, 10, 1, 8, (0.5,), (0.25,))
    layers = list(compact(build(spec), (1, 8, 8)).layers)
    assert sum(isinstance(layer, Matrix) for layer in layers) > 10
    assert sum(isinstance(layer, Conv) for layer in layers) > 5


def test_the_gate_sees_a_wrong_net():
    net = lively("resnet18")
    small = compact(net, IMAGE)
    next(layer for layer in small.layers if isinstance(layer, Conv)).weight[0] += 0.01
    with pytest.raises(RuntimeError, match="logits are off by"):
        agree(net, small, images())


def test_a_collapsed_net_is_only_copied():
    net = lively("resnet18")
    net.layer3[0].conv1.weight.data[0, 0, 0, 0] = torch.nan
    copied = compact(net, IMAGE)
    assert type(copied) is type(net)
    agree(net, copied, images())
