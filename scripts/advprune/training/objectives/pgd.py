"""Adversarial training with PGD."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.plan.specs import Threat
from advprune.training.inner import pgd


@dataclass(frozen=True)
class PgdAt:
    """Cross-entropy on PGD images only (Madry et al. 2018)."""

    threat: Threat
    random_start: bool = True

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Mean cross-entropy of the adversarial batch."""
        start = generator if self.random_start else None
        return F.cross_entropy(net(pgd(net, x, y, self.threat, start)), y)


OBJECTIVE = PgdAt
