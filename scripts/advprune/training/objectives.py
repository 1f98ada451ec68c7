"""Training objectives: what is minimised, and the inner attack that each needs.

An objective is called with the net in training mode and returns a scalar loss. Inner attacks run in
evaluation mode with frozen parameters (`frozen`), so they neither move BatchNorm statistics nor pay
for parameter gradients, and start from noise drawn from the given generator.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from advprune.base.errors import UserError
from advprune.models.frozen import frozen


@dataclass(frozen=True)
class Threat:
    """Linf threat during training: radius, step size (both in [0,1] pixel units) and steps."""

    eps: float
    step: float
    steps: int


class Objective(Protocol):
    """A loss with its inner attack."""

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Scalar loss of a batch, `x` [B,C,H,W] in [0,1], `y` [B]; differentiable in the net."""
        ...


def ascend(
    x: Tensor, start: Tensor, threat: Threat, criterion: Callable[[Tensor], Tensor]
) -> Tensor:
    """Projected sign-gradient ascent of `criterion` from `start` in the Linf box around `x`."""
    low, high = (x - threat.eps).clamp(min=0), (x + threat.eps).clamp(max=1)
    adversarial = start.clamp(low, high)
    for _ in range(threat.steps):
        adversarial = adversarial.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(criterion(adversarial), adversarial)
        adversarial = (adversarial.detach() + threat.step * gradient.sign()).clamp(low, high)
    return adversarial.detach()


def uniform_start(x: Tensor, eps: float, generator: torch.Generator) -> Tensor:
    """`x` plus noise, uniform in the Linf ball of radius `eps`."""
    noise = torch.rand(x.shape, generator=generator, device=x.device)
    return x + eps * (2 * noise - 1)


def gaussian_start(x: Tensor, generator: torch.Generator, scale: float = 0.001) -> Tensor:
    """`x` plus faint Gaussian noise: the start of TRADES and MART."""
    return x + scale * torch.randn(x.shape, generator=generator, device=x.device)


def pgd(
    net: nn.Module, x: Tensor, y: Tensor, threat: Threat, generator: torch.Generator | None
) -> Tensor:
    """PGD examples on the cross-entropy (Madry et al. 2018); no generator: start at `x` itself."""
    start = x if generator is None else uniform_start(x, threat.eps, generator)
    with frozen(net):
        return ascend(x, start, threat, lambda a: F.cross_entropy(net(a), y, reduction="sum"))


@dataclass(frozen=True)
class Natural:
    """Cross-entropy on clean images."""

    threat: Threat

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Mean cross-entropy of the clean batch."""
        return F.cross_entropy(net(x), y)


@dataclass(frozen=True)
class Fgsm:
    """Cross-entropy on single-step adversarial images (Goodfellow et al. 2015).

    The step is the whole radius from the clean image; with `random_start` it is 1.25 times the
    radius from a uniform point, clipped back (FastAT, Wong et al. 2020).
    """

    threat: Threat
    random_start: bool = False

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Mean cross-entropy of the adversarial batch."""
        eps = self.threat.eps
        single = Threat(eps, 1.25 * eps if self.random_start else eps, 1)
        adversarial = pgd(net, x, y, single, generator if self.random_start else None)
        return F.cross_entropy(net(adversarial), y)


@dataclass(frozen=True)
class PgdAt:
    """Cross-entropy on PGD images only (Madry et al. 2018)."""

    threat: Threat
    random_start: bool = True

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Mean cross-entropy of the adversarial batch."""
        start = generator if self.random_start else None
        return F.cross_entropy(net(pgd(net, x, y, self.threat, start)), y)


@dataclass(frozen=True)
class MixedAt:
    """Cross-entropy on clean and on PGD images, weighted (Goodfellow et al. 2015, section 6).

    `adversarial` in [0, 1] is the weight of the PGD images; `smoothing` that of the uniform
    distribution in both targets. The attack itself sees hard labels.
    """

    threat: Threat
    adversarial: float = 0.5
    smoothing: float = 0.0

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Weighted mean of the clean and the adversarial cross-entropy of the batch."""
        attacked = pgd(net, x, y, self.threat, generator)
        with parametrize.cached():
            clean = F.cross_entropy(net(x), y, label_smoothing=self.smoothing)
            robust = F.cross_entropy(net(attacked), y, label_smoothing=self.smoothing)
        return (1 - self.adversarial) * clean + self.adversarial * robust


@dataclass(frozen=True)
class Trades:
    """TRADES (Zhang et al. 2019): CE(clean) + beta · KL(clean ‖ adversarial).

    The clean branch of the KL carries gradient, as in the authors' code. One clean forward serves
    both terms (the authors run two): same loss and gradient, one BatchNorm update fewer.
    """

    threat: Threat
    beta: float = 6.0

    def attack(self, net: nn.Module, x: Tensor, generator: torch.Generator) -> Tensor:
        """Images that maximise the KL to the clean prediction, from a faint Gaussian start."""
        with frozen(net):
            with torch.no_grad():
                clean = F.softmax(net(x), dim=1)
            start = gaussian_start(x, generator)
            return ascend(
                x,
                start,
                self.threat,
                lambda a: F.kl_div(F.log_softmax(net(a), dim=1), clean, reduction="sum"),
            )

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Natural cross-entropy plus the weighted robust divergence, both batch means."""
        adversarial = self.attack(net, x, generator)
        with parametrize.cached():
            clean_logits, adversarial_logits = net(x), net(adversarial)
        divergence = F.kl_div(
            F.log_softmax(adversarial_logits, dim=1),
            F.softmax(clean_logits, dim=1),
            reduction="batchmean",
        )
        return F.cross_entropy(clean_logits, y) + self.beta * divergence


@dataclass(frozen=True)
class Mart:
    """MART (Wang et al. 2020, equation 11): misclassified images weigh more.

    BCE(adversarial) + beta · KL(clean ‖ adversarial) · (1 − p_y(clean)), where BCE adds to the
    cross-entropy the margin term −log(1 − max_{k≠y} p_k). The attack is PGD on the cross-entropy
    from a faint Gaussian start, as in the authors' code.
    """

    threat: Threat
    beta: float = 5.0

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Mean boosted cross-entropy plus the mean weighted divergence."""
        with frozen(net):
            start = gaussian_start(x, generator)
            attacked = ascend(
                x, start, self.threat, lambda a: F.cross_entropy(net(a), y, reduction="sum")
            )
        with parametrize.cached():
            clean, logits = F.log_softmax(net(x), dim=1), net(attacked)
        adversarial = F.log_softmax(logits, dim=1)
        own = F.one_hot(y, logits.shape[1]).bool()
        others = adversarial.masked_fill(own, -math.inf).amax(dim=1)
        # the clamp keeps the term finite where a wrong class has all the probability
        margin = -torch.log1p(-others.exp().clamp(max=1 - 1e-6))
        boosted = F.nll_loss(adversarial, y) + margin.mean()
        divergence = (clean.exp() * (clean - adversarial)).sum(dim=1)
        return boosted + self.beta * (divergence * (1 - clean.exp()[own])).mean()


OBJECTIVES: dict[str, type] = {
    "natural": Natural,
    "fgsm": Fgsm,
    "pgd": PgdAt,
    "mixed": MixedAt,
    "trades": Trades,
    "mart": Mart,
}


def make(spec: dict[str, Any], threat: Threat) -> Objective:
    """Objective from its configuration `{name: …, <parameter>: …}`."""
    parameters = dict(spec)
    name = parameters.pop("name")
    if name not in OBJECTIVES:
        raise UserError(f"unknown objective '{name}' (known: {', '.join(sorted(OBJECTIVES))})")
    try:
        return OBJECTIVES[name](threat, **parameters)
    except TypeError:
        raise UserError(f"objective '{name}' does not take {sorted(parameters)}") from None
