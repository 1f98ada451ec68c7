import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from advprune.attacks.fmn import fmn
from advprune.models.frozen import frozen
from helpers.attacked_nets import digits_case


class _Doubled(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, weight):
        self.calls += 1
        return 2 * weight


def test_frozen_restores_every_flag_and_computes_masks_once():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    doubled = _Doubled()
    parametrize.register_parametrization(net[0], "weight", doubled)
    net.train()
    net[1].eval()
    net[2].bias.requires_grad_(False)
    modes = [module.training for module in net.modules()]
    flags = [parameter.requires_grad for parameter in net.parameters()]
    doubled.calls = 0
    with pytest.raises(KeyError), frozen(net) as inside:
        assert inside is net
        assert not any(module.training for module in net.modules())
        assert not any(parameter.requires_grad for parameter in net.parameters())
        net(torch.rand(2, 4))
        net(torch.rand(2, 4))
        assert doubled.calls == 1
        raise KeyError
    assert [module.training for module in net.modules()] == modes
    assert [parameter.requires_grad for parameter in net.parameters()] == flags
    net(torch.rand(2, 4)).sum().backward()
    assert net[0].parametrizations.weight.original.grad is not None


def test_attack_leaves_the_net_as_it_was():
    net, x, y = digits_case()
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    fmn(net, x[:8], y[:8], steps=3)
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    net.eval()
