"""Adversarial training on clean and on PGD images."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from advprune.plan.specs import Threat
from advprune.training.inner import pgd


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


OBJECTIVE = MixedAt
