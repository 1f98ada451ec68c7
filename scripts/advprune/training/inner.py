"""Inner attacks of adversarial training.

They run in evaluation mode with frozen parameters (`frozen`), so they neither move BatchNorm
statistics nor pay for parameter gradients, and start from noise drawn from the given generator.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.models.frozen import frozen
from advprune.plan.specs import Threat


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
