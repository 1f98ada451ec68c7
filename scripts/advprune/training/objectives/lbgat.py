"""LBGAT."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from advprune.models.plain import fresh
from advprune.plan.specs import Threat
from advprune.training.objectives.trades import Trades


@dataclass(eq=False)
class Lbgat:
    """LBGAT (Cui et al. 2021, arXiv 2011.11164): logits are guided by a net for clean images.

    CE(guide(x), y) + MSE(net(x'), guide(x)) + beta · KL(net(x) ‖ net(x')), where x' is TRADES'
    attack on the net and the MSE is a mean over images and classes. The MSE moves both nets: that
    is the learnable boundary. The net itself sees labels through the guide alone. The authors' two
    variants have beta 0 and 6. As in their code (github.com/dvlab-research/LBGAT), one optimiser
    trains both nets with the same settings, both are in training mode, and the net goes through the
    clean images even for beta 0, which its BatchNorm statistics notice.
    """

    threat: Threat
    beta: float = 6.0

    def __post_init__(self) -> None:
        """Start without a guide: `begin` makes one for every phase."""
        self.guide: nn.Module | None = None

    def begin(self, net: nn.Module, rng: torch.Generator) -> nn.Module:
        """Make the guide: a fresh dense net of the same architecture, also beside a sparse one."""
        self.guide = fresh(net, rng)
        return self.guide

    def loss(self, net: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Sum of the three terms, batch means; without a guide a ValueError."""
        if self.guide is None:
            raise ValueError("there is no guide before begin()")
        adversarial = Trades(self.threat).attack(net, x, generator)
        with parametrize.cached():
            attacked, clean = net(adversarial), net(x)
        wanted = self.guide(x)
        divergence = F.kl_div(
            F.log_softmax(attacked, dim=1), F.softmax(clean, dim=1), reduction="batchmean"
        )
        guided = F.cross_entropy(wanted, y) + F.mse_loss(attacked, wanted)
        return guided + self.beta * divergence


OBJECTIVE = Lbgat
