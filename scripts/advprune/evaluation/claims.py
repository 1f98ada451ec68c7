"""What is claimed of a net from elsewhere, counted by the rule of those who pruned it.

A rule counts the removed share in its own way; the names (`plan.specs.COUNTED`) stand in an index:
`weights` (zeros of all convolution and linear weights), `convolutions` (zeros of the convolutions'
weights), `filters` (filters without a weight, whatever their BatchNorm does), and `macs` (skipped
multiplications), which no share is held against: what exactly was counted is not known.
"""

import torch
from torch import nn

from advprune.models.graph import companions, macs
from advprune.pruning import masks as mk

HELD = ("weights", "convolutions", "filters")  # rules by which a claim is a share


@torch.no_grad()
def share(net: nn.Module, rule: str, image: tuple[int, int, int]) -> float:
    """Removed share of a net in [0, 1], for images [C, H, W], by a rule of `COUNTED`."""
    weights = mk.weights(net, "filters" if rule == "filters" else "unstructured")
    if rule == "macs":
        cost = macs(net, image)
        left = sum(cost[name] * _alive(weight) for name, weight in weights.items())
        return float(1 - left / sum(cost.values()))
    if rule == "filters":
        alive = [weight.flatten(1).any(1) for weight in weights.values()]
    else:
        alive = [w != 0 for w in weights.values() if rule == "weights" or w.ndim == 4]
    return 1 - sum(int(a.sum()) for a in alive) / sum(a.numel() for a in alive)


@torch.no_grad()
def constant_filters(net: nn.Module) -> tuple[int, int]:
    """(filters without a weight whose output is a number other than zero for all images, filters).

    Scale or shift of their BatchNorm, or their bias, was left.
    """
    parameters, partners = dict(net.named_parameters()), companions(net)
    found = total = 0
    for name, weight in mk.weights(net, "filters").items():
        left = torch.zeros(len(weight), dtype=torch.bool, device=weight.device)
        for partner in partners[name]:
            left |= parameters[partner] != 0
        found += int((left & ~weight.flatten(1).any(1)).sum())
        total += len(weight)
    return found, total


def _alive(weight: torch.Tensor) -> float:
    return int((weight != 0).sum()) / weight.numel()
