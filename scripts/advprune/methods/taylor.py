"""Taylor pruning of filters (Molchanov et al. 2017, arXiv 1611.06440): activation times gradient.

prune      a ← the map of filter k in layer l, behind BatchNorm;  for every attacked image
               Θ(l, k) = | mean over positions of a · ∂CE/∂a |,  then the mean over images
           Θ(l, ·) / ‖Θ(l, ·)‖₂ per layer;  the smallest of all layers together go

That is the first-order change of the loss when the map is closed. Behind BatchNorm it is the same
as behind the ReLU that follows, because relu(a) = a · relu'(a), and closing it is what removing a
filter does here.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks, Scores
from advprune.pruning.saliency import attacked_batches, behind_filters, evaluating


@contextmanager
def gates(net: nn.Module) -> Iterator[dict[str, tuple[Tensor, int]]]:
    """Multiply every map by a gate [B,C,1,1] of ones; (gate, positions of the map) by convolution.

    The derivative in a gate is the sum over positions of activation times gradient, per image.
    """
    found: dict[str, tuple[Tensor, int]] = {}

    def multiply(name: str, output: Tensor) -> Tensor:
        gate = torch.ones_like(output[:, :, :1, :1], requires_grad=True)
        found[name] = gate, output[0, 0].numel()
        return output * gate

    with behind_filters(net, multiply):
        yield found


def changes(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """|mean over positions of activation · gradient| of every image and filter [B,C], by layer."""
    with evaluating(net), gates(net) as found:
        loss = F.cross_entropy(net(x), y, reduction="sum")
        slopes = torch.autograd.grad(loss, [gate for gate, _ in found.values()])
    return {
        name: (slope.flatten(1) / positions).abs()
        for (name, (_, positions)), slope in zip(found.items(), slopes, strict=True)
    }


class Taylor(Method):
    """First-order Taylor criterion, normalised per layer and ranked globally."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Rank filters by what closing them would do to the robust loss."""
        batch, count = task.params["batch"], task.params["batches"]
        totals: Scores = {}
        for x, y in attacked_batches(net, task.trainer, batch, "scores", count):
            for name, change in changes(net, x, y).items():
                totals[name] = totals.get(name, 0) + change.sum(0)
        tiny = torch.finfo(torch.float32).tiny  # a layer that answers to nothing scores zero
        scores = {n: total / total.norm().clamp(min=tiny) for n, total in totals.items()}
        units = mk.rank(scores, task.sparsity, scope="global", floor=1)
        return mk.weight_masks(net, units, task.structure)


METHOD = Taylor()
