"""The quick check of a net: clean and PGD accuracy, and whether it gives one answer to all."""

import torch
from torch import Tensor, nn

from advprune.plan.specs import Threat
from advprune.training.inner import pgd


def measure(
    net: nn.Module, x: Tensor, y: Tensor, threat: Threat, batch: int, rng: torch.Generator
) -> dict[str, float]:
    """Shares in [0, 1] of images `x` [n,C,H,W] in [0,1] with labels `y` [n].

    `clean` and `pgd` are classified correctly as they are, and after PGD from a random start;
    `largest_answer` get the answer that the net gives most often on the images as they are.
    """
    answers, robust = [], 0
    for some, labels in zip(x.split(batch), y.split(batch), strict=True):
        attacked = pgd(net, some, labels, threat, rng)
        with torch.no_grad():
            answers.append(net(some).argmax(1))
            robust += int((net(attacked).argmax(1) == labels).sum())
    found = torch.cat(answers)
    counts = {"clean": int((found == y).sum()), "pgd": robust}
    counts["largest_answer"] = int(found.bincount().max())
    return {name: count / len(x) for name, count in counts.items()}
