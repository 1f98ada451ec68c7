"""Robust datasets (Ilyas et al. 2019, arXiv 1905.02175): images of what a robust net sees.

for every image x with label y
    z ← another training image
    repeat   z ← clip(z − step · d / ‖d‖₂),   d the gradient in z of ‖φ(z) − φ(x)‖
    the pair (z, y) is in the robust dataset

φ are the activations that the robust net's last layer reads. What they do not show of x, features
that are predictive but not robust among it, is not carried over to z.
"""

import torch
from torch import Tensor, nn

from advprune.data.batches import to_float
from advprune.data.dataset import Split
from advprune.models.frozen import frozen
from advprune.pruning import masks as mk


def penultimate(net: nn.Module, x: Tensor) -> Tensor:
    """Inputs of the net's last layer [B,F] for images [B,C,H,W] in [0,1]; differentiable."""
    seen: list[Tensor] = []
    last = list(mk.prunable(net, "unstructured").values())[-1]
    hook = last.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0]))
    try:
        net(x)
    finally:
        hook.remove()
    return seen[0]


def others(n: int, rng: torch.Generator) -> Tensor:
    """For each of n > 1 indexes a random other one; every index is taken once."""
    order = torch.randperm(n, generator=rng, device=rng.device)
    taken = torch.empty_like(order)
    taken[order] = order.roll(1)
    return taken


def imitate(net: nn.Module, start: Tensor, goal: Tensor, steps: int, step: float) -> Tensor:
    """Images in [0,1] that come from `start` towards the activations `goal` [B,F].

    Each of the steps has the l2 length `step` before clipping.
    """
    images = start
    for _ in range(steps):
        images = images.detach().requires_grad_()
        # the square has the direction of the norm, and a derivative where the distance is zero
        distance = (penultimate(net, images) - goal).square().sum()
        (gradient,) = torch.autograd.grad(distance, images)
        length = gradient.flatten(1).norm(dim=1).clamp(min=1e-30).view(-1, 1, 1, 1)
        images = (images.detach() - step * gradient / length).clamp(0, 1)
    return images.detach()


def robust_dataset(
    net: nn.Module, split: Split, steps: int, step: float, rng: torch.Generator, batch: int = 512
) -> Split:
    """Robust version of the split as seen by `net`: same labels, 8-bit images."""
    sources = others(len(split), rng).to(split.images.device)
    made = []
    with frozen(net):
        for begin in range(0, len(split), batch):
            part = slice(begin, begin + batch)
            with torch.no_grad():
                goal = penultimate(net, to_float(split.images[part]))
            start = to_float(split.images[sources[part]])
            images = imitate(net, start, goal, steps, step)
            made.append((images * 255).round().to(torch.uint8))
    return Split(torch.cat(made), split.labels)
