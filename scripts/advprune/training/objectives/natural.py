"""Cross-entropy on clean images."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.plan.specs import Threat


@dataclass(frozen=True)
class Natural:
    """Cross-entropy on clean images."""

    threat: Threat

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Mean cross-entropy of the clean batch."""
        return F.cross_entropy(net(x), y)


OBJECTIVE = Natural
