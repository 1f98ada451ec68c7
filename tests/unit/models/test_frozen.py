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


def test_kernels_lie_as_images_do_inside_and_as_before_outside():
    convolution = nn.Conv2d(6, 4, 3)
    place, before = convolution.weight.data_ptr(), convolution.weight.detach().clone()
    with pytest.raises(KeyError), frozen(convolution), frozen(convolution):
        assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
        assert not convolution.weight.is_contiguous()
        assert torch.equal(convolution.weight, before)
        convolution.weight.data[0, 0, 0, 0] += 1
        convolution.weight.data = 2 * convolution.weight.data
        raise KeyError
    before[0, 0, 0, 0] += 1
    assert torch.equal(convolution.weight, 2 * before)
    assert convolution.weight.data_ptr() == place and convolution.weight.is_contiguous()


def test_a_backward_pass_may_span_an_attack():
    """TRADES' clean logits may be computed before the attack: their gradient is that of the net."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    x = torch.rand(5, 2, 8, 8)
    (expected,) = torch.autograd.grad(net(x).square().sum(), net[0].weight)
    loss = net(x).square().sum()
    with frozen(net):
        net(x)
    (found,) = torch.autograd.grad(loss, net[0].weight)
    assert torch.allclose(found, expected, rtol=1e-5)
