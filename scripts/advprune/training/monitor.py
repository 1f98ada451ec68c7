"""Accuracies by which a training is watched and its epoch chosen, never reported ones."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.data.batches import batches
from advprune.data.dataset import Split
from advprune.models.frozen import frozen
from advprune.plan.specs import Threat
from advprune.training.inner import pgd


@torch.no_grad()
def accuracy(net: nn.Module, split: Split, batch: int = 512) -> float:
    """Share of the split's images that the net classifies correctly, in evaluation mode."""
    with frozen(net):
        hits = sum((net(x).argmax(1) == y).sum() for x, y in batches(split, batch))
    return float(hits) / len(split)


def robust_figures(
    net: nn.Module, split: Split, threat: Threat, rng: torch.Generator, batch: int = 512
) -> tuple[float, float]:
    """(accuracy, mean cross-entropy) under PGD: a monitor, never a reported result."""
    hits: Tensor | int = 0
    loss: Tensor | float = 0.0
    with frozen(net):
        for x, y in batches(split, batch):
            adversarial = pgd(net, x, y, threat, rng)
            with torch.no_grad():
                logits = net(adversarial)
                hits += (logits.argmax(1) == y).sum()
                loss += F.cross_entropy(logits, y, reduction="sum")
    return float(hits) / len(split), float(loss) / len(split)


def robust_accuracy(
    net: nn.Module, split: Split, threat: Threat, rng: torch.Generator, batch: int = 512
) -> float:
    """Accuracy under PGD with the training threat: a monitor, never a reported result."""
    return robust_figures(net, split, threat, rng, batch)[0]
