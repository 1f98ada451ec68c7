"""What is read off a net: what belongs to a convolution's filters, and what layers cost."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from advprune.models.graph import batchnorm_of, companions, filter_outputs, macs
from advprune.models.registry import NetSpec, build
from helpers.nets import NETS

SMALL = NetSpec("resnet18", 4, 10, 3, 32, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
WRN = replace(SMALL, arch="wrn_28_4")


def convolutions(net):
    return [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]


def following(net):
    """Pairs by the order of definition, right in nets that list the two one after the other."""
    kinds = (nn.Conv2d, nn.BatchNorm2d)
    names = [name for name, module in net.named_modules() if isinstance(module, kinds)]
    return dict(zip(names[::2], names[1::2], strict=True))


@pytest.mark.parametrize("arch", ["resnet18", "vgg16"])
def test_every_convolution_of_a_post_activation_net_has_the_batchnorm_defined_after_it(arch):
    net = build(replace(SMALL, arch=arch))
    pairs = batchnorm_of(net)
    assert list(pairs.items()) == list(following(net).items())
    assert list(pairs) == convolutions(net)


def test_in_a_pre_activation_resnet_the_stem_has_one_only_by_the_first_block_and_shortcuts_none():
    net = build(replace(SMALL, arch="preact_resnet18"))
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]
    assert batchnorm_of(net) == {f"{block}.conv1": f"{block}.bn2" for block in blocks}


def test_in_a_pre_activation_net_only_convolutions_that_are_not_added_have_one():
    net = build(WRN)
    pairs = batchnorm_of(net)
    blocks = [f"layer{group}.{block}" for group in (1, 2, 3) for block in range(4)]
    inside = {f"{block}.conv1": f"{block}.bn2" for block in blocks}
    assert pairs == {"conv1": "layer1.0.bn1"} | inside
    added = {f"{block}.conv2" for block in blocks} | {f"layer{g}.0.shortcut.0" for g in (1, 2, 3)}
    assert set(convolutions(net)) - set(pairs) == added


@pytest.mark.parametrize("net_fields", NETS.values(), ids=NETS)
def test_a_filter_without_weights_and_companions_is_silent(net_fields):
    """At the filter's own output, whatever the statistics are."""
    net = build(replace(SMALL, **net_fields)).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.fill_(0.3)
            nn.init.ones_(module.bias)
    parameters, modules = dict(net.named_parameters()), dict(net.named_modules())
    outputs, partners = filter_outputs(net), companions(net)
    assert list(outputs) == list(partners) == convolutions(net)
    for conv, output in outputs.items():
        seen = []
        names = (f"{conv}.weight", *partners[conv])
        saved = {name: parameters[name].detach().clone() for name in names}
        hook = modules[output].register_forward_hook(lambda m, i, o, seen=seen: seen.append(o))
        with torch.no_grad():
            for name in names:
                parameters[name][1:] = 0
            net(torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
            for name, value in saved.items():
                parameters[name].copy_(value)
        hook.remove()
        assert seen[0][:, 0].any() and not seen[0][:, 1:].any()


def test_a_bias_goes_with_the_filters_unless_a_batchnorm_hides_it():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1), nn.ReLU())
    assert companions(net) == {"0": ("1.weight", "1.bias"), "2": ("2.bias",)}


class Shared(nn.Module):
    """One BatchNorm behind two convolutions, and one convolution with two readers."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(1, 1, 1) for _ in range(3))
        self.shared, self.own = nn.BatchNorm2d(1), nn.BatchNorm2d(1)

    def forward(self, x):
        read = self.third(x)
        return self.shared(self.first(x)) + self.shared(self.second(x)) + self.own(read) + read


def test_a_batchnorm_or_a_map_that_others_use_too_is_nobodys_own():
    assert batchnorm_of(Shared()) == {}


def test_a_net_is_traced_once(monkeypatch):
    net = build(SMALL)
    pairs = batchnorm_of(net)
    monkeypatch.setattr("advprune.models.graph.trace", None)
    assert batchnorm_of(net) == pairs
    batchnorm_of(net).clear()
    assert batchnorm_of(net) == pairs


def test_macs_count_each_product_once():
    net = nn.Sequential(
        nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), nn.Flatten(), nn.Linear(6 * 4 * 4, 5)
    )
    assert macs(net, (4, 8, 8)) == {"0": 6 * 16 * 2 * 9, "2": 96 * 5}


def test_macs_leave_the_net_as_it_was():
    net = build(SMALL)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.bn1.eval()
    macs(net, (3, 32, 32))
    assert net.training
    assert not net.bn1.training
    assert all(value.equal(before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
