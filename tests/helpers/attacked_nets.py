"""Nets for the tests of attacks: linear ones with known distances, and one that learnt digits."""

import copy
import functools

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from advprune.base.seeds import generator


class Linear(nn.Module):
    """Logits of a random linear map of the flattened input; four classes or more.

    Only `rivals` + 1 classes ever win. With one rival the minimum-norm problem is convex, so that
    an attack has no excuse.
    """

    def __init__(self, inputs: int, rivals: int = 1, seed: int = 0) -> None:
        super().__init__()
        weight = torch.randn(max(4, rivals + 1), inputs, generator=generator(seed, "w"))
        weight[rivals + 1 :] = 0
        self.weight = nn.Parameter(weight)
        # the decision boundaries pass through the middle of the box, far from its sides
        self.bias = nn.Parameter(-0.5 * weight.sum(1))
        self.bias.data[rivals + 1 :] = -30

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight, self.bias)

    def distances(self, x: Tensor, y: Tensor) -> Tensor:
        """Smallest Linf distances without the box: min over k of (f_y - f_k) / |w_y - w_k|_1."""
        logits = self(x).detach()
        gaps = logits.gather(1, y[:, None]) - logits
        norms = (self.weight.detach()[y][:, None] - self.weight.detach()).abs().sum(2)
        ratios = gaps / norms
        return ratios.scatter(1, y[:, None], torch.inf).amin(1).clamp_min(0)


def linear_case(shape: tuple[int, ...], rivals: int = 1) -> tuple[Linear, Tensor, Tensor, Tensor]:
    """(net, inputs, its own answers, distances): 8 inputs whose nearest boundary is in the box."""
    inputs = torch.Size(shape).numel()
    net = Linear(inputs, rivals)
    x = 0.3 + 0.4 * torch.rand(200, *shape, generator=generator(1, "x"))
    y = net(x).argmax(1)
    distance = net.distances(x, y)
    keep = ((distance > 0.01) & (distance < 0.25)).nonzero().squeeze(1)[:8]
    assert len(keep) == 8
    return net, x[keep], y[keep], distance[keep]


@functools.cache
def digits_case() -> tuple[nn.Module, Tensor, Tensor]:
    """(trained net, test images [497, 1, 8, 8] in [0, 1], labels); about 95 % accurate.

    Trained in double precision and rounded, so that every processor has the same net.
    """
    digits = load_digits()
    x = torch.tensor(digits.images / 16)[:, None]
    y = torch.tensor(digits.target)
    rng = generator(0, "digits")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(256, 10),
        ).double()
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(4):
        for batch in torch.randperm(1300, generator=rng).split(64):
            optimizer.zero_grad()
            F.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
    return net.eval().float(), x[1300:].float(), y[1300:]


def exact_case() -> tuple[nn.Module, Tensor, Tensor]:
    """The same in multiples of 1/64 and double precision: nothing is rounded in a forward pass.

    The answers are then equal to the bit in batches of any size, on any processor, as long as the
    images stay multiples of 1/64.
    """
    net, x, y = digits_case()
    first, second = (
        fuse_conv_bn_eval(copy.deepcopy(net[i]), net[i + 1]).requires_grad_(False) for i in (0, 3)
    )
    net = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), copy.deepcopy(net[7]))
    return coarse(net), x.double(), y


def coarse(net: nn.Module) -> nn.Module:
    """The net in double precision with weights rounded to multiples of 1/64."""
    net.double()
    with torch.no_grad():
        for weight in net.parameters():
            weight.copy_((64 * weight).round() / 64)
    return net


class Constant(nn.Module):
    """Answers 0 with the same margin everywhere: no attack can succeed."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.arange(classes, 0, -1.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.logits + 0 * x.flatten(1).sum(1, keepdim=True)
