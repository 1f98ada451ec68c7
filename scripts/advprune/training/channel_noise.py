"""Mixed noise: every image of a batch gets one of several perturbations (docs/methods/luo23.md).

Besides FGSM and PGD: the momentum iterative method, an l2 attack, and a small net that learns to
perturb. All stay in [0,1] and within the threat's radius; the l2 attack within its own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.base.errors import UserError
from advprune.models.frozen import frozen
from advprune.models.registry import init_weights
from advprune.plan.specs import Threat
from advprune.training.inner import pgd

KINDS = ("fgsm", "pgd", "momentum", "l2", "learned")
Move = Callable[[Tensor], Tensor]


def climb(net: nn.Module, x: Tensor, y: Tensor, steps: int, move: Move, project: Move) -> Tensor:
    """Ascent of the cross-entropy from `x`: add `move(gradient)`, then `project`, `steps` times."""
    point = x
    with frozen(net):
        for _ in range(steps):
            point = point.detach().requires_grad_()
            loss = F.cross_entropy(net(point), y, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, point)
            point = project(point.detach() + move(gradient))
    return point.detach()


def momentum_iterative(
    net: nn.Module, x: Tensor, y: Tensor, threat: Threat, decay: float = 1.0
) -> Tensor:
    """MI-FGSM (Dong et al. 2018): sign steps along accumulated l1-normalised gradients."""
    velocity = torch.zeros_like(x)

    def move(gradient: Tensor) -> Tensor:
        scale = gradient.abs().sum((1, 2, 3), keepdim=True).clamp(min=1e-12)
        velocity.mul_(decay).add_(gradient / scale)
        return threat.step * velocity.sign()

    def project(point: Tensor) -> Tensor:
        return point.clamp((x - threat.eps).clamp(min=0), (x + threat.eps).clamp(max=1))

    return climb(net, x, y, threat.steps, move, project)


def l2_pgd(net: nn.Module, x: Tensor, y: Tensor, radius: float, steps: int) -> Tensor:
    """PGD in the l2 ball of `radius`, in steps of a fifth of it."""

    def unit(offset: Tensor) -> Tensor:
        return offset / offset.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)

    def project(point: Tensor) -> Tensor:
        offset = point - x
        length = offset.flatten(1).norm(dim=1).clamp(max=radius).view(-1, 1, 1, 1)
        # nearer to the box means nearer to x, so the second projection keeps the first
        return (x + length * unit(offset)).clamp(0, 1)

    return climb(net, x, y, steps, lambda gradient: radius / 5 * unit(gradient), project)


class Perturber(nn.Module):
    """Small net that maps images to perturbed ones, at most `eps` away in every pixel."""

    def __init__(self, channels: int, eps: float, rng: torch.Generator) -> None:
        super().__init__()
        self.eps = eps
        layers: list[nn.Module] = []
        sizes = [channels, 16, 32, 32, 16]
        # PyTorch's layers draw their first weights from the global generator when they are made
        with torch.random.fork_rng(devices=[]):
            for inputs, outputs in pairwise(sizes):
                conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
                layers += [conv, nn.BatchNorm2d(outputs), nn.ReLU()]
            layers.append(nn.Conv2d(sizes[-1], channels, 3, padding=1))
            self.body = nn.Sequential(*layers)
        self.to(rng.device)
        init_weights(self, rng)

    def forward(self, x: Tensor) -> Tensor:
        """Perturbed images in [0,1]."""
        return (x + self.eps * self.body(x).tanh()).clamp(0, 1)


class MixedNoise:
    """Draws a kind for every image and perturbs it; the learned kind learns from its images.

    `l2_share` is the l2 radius over that of the Linf ball's corners, eps · √pixels.
    """

    def __init__(
        self,
        threat: Threat,
        kinds: Sequence[str],
        channels: int,
        l2_share: float,
        lr: float,
        rng: torch.Generator,
    ) -> None:
        if unknown := set(kinds) - set(KINDS):
            raise UserError(f"unknown noise {sorted(unknown)} (known: {', '.join(KINDS)})")
        self.threat, self.kinds, self.l2_share = threat, tuple(kinds), l2_share
        self.perturber = Perturber(channels, threat.eps, rng)
        self.optimizer = torch.optim.Adam(self.perturber.parameters(), lr=lr)

    def __call__(self, net: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
        """Perturbed batch; `net` is not changed."""
        drawn = torch.randint(len(self.kinds), (len(x),), generator=rng, device=rng.device)
        noisy = x.clone()
        for index, kind in enumerate(self.kinds):
            pick = (drawn == index).nonzero().flatten().to(x.device)
            if len(pick):
                noisy[pick] = self.perturbed(kind, net, x[pick], y[pick], rng)
        return noisy

    def perturbed(
        self, kind: str, net: nn.Module, x: Tensor, y: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Images under one kind of noise."""
        threat = self.threat
        if kind == "fgsm":
            return pgd(net, x, y, replace(threat, step=threat.eps, steps=1), None)
        if kind == "pgd":
            return pgd(net, x, y, threat, rng)
        if kind == "momentum":
            return momentum_iterative(net, x, y, threat)
        if kind == "l2":
            radius = self.l2_share * threat.eps * math.sqrt(x[0].numel())
            return l2_pgd(net, x, y, radius, threat.steps)
        return self.learn(net, x, y)

    def learn(self, net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """The perturber's images, after which it makes a step towards a higher loss of `net`."""
        generated = self.perturber(x)
        parameters = list(self.perturber.parameters())
        with frozen(net):
            loss = -F.cross_entropy(net(generated), y)
            # not backward(): gates on the net must not collect this gradient
            gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        return generated.detach()

    def state_dict(self) -> dict[str, Any]:
        """State of the perturber and its optimiser."""
        return {"net": self.perturber.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the perturber and its optimiser."""
        self.perturber.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
