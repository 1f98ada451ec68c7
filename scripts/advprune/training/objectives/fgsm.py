"""Single-step adversarial training."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.plan.specs import Threat
from advprune.training.inner import pgd


@dataclass(frozen=True)
class Fgsm:
    """Cross-entropy on single-step adversarial images (Goodfellow et al. 2015).

    The step is the whole radius from the clean image; with `random_start` it is 1.25 times the
    radius from a uniform point, clipped back (FastAT, Wong et al. 2020).
    """

    single_step: ClassVar[bool] = True
    threat: Threat
    random_start: bool = False

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Mean cross-entropy of the adversarial batch."""
        eps = self.threat.eps
        single = Threat(eps, 1.25 * eps if self.random_start else eps, 1)
        adversarial = pgd(net, x, y, single, generator if self.random_start else None)
        return F.cross_entropy(net(adversarial), y)


OBJECTIVE = Fgsm
