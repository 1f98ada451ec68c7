"""MART."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from advprune.models.frozen import frozen
from advprune.plan.specs import Threat
from advprune.training.inner import ascend, gaussian_start


@dataclass(frozen=True)
class Mart:
    """MART (Wang et al. 2020, equation 11): misclassified images weigh more.

    BCE(adversarial) + beta · KL(clean ‖ adversarial) · (1 − p_y(clean)), where BCE adds to the
    cross-entropy the margin term −log(1 − max_{k≠y} p_k). The attack is PGD on the cross-entropy
    from a faint Gaussian start, as in the authors' code. Constants in their code, 1.0001 in place
    of 1 and 1e-12 added within logarithms, are left out here, as in the equation: the losses
    differ by 1.5e-4 to 2.6e-4 and the gradients by 1e-4 to 5e-4 of themselves.
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


OBJECTIVE = Mart
