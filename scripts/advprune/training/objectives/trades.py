"""TRADES."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from advprune.models.frozen import frozen
from advprune.plan.specs import Threat
from advprune.training.inner import ascend, gaussian_start


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


OBJECTIVE = Trades
