"""Optimal brain damage (LeCun, Denker & Solla 1990): second-order saliency, diagonal only.

prune      h ← diagonal of the Gauss-Newton matrix of the cross-entropy of attacked images
           the smallest  ½ h w²  of all layers together go

The paper computes its h in the Gauss-Newton approximation too. For the cross-entropy that matrix
is the mean over images x of  E[g gᵀ],  g the gradient of the loss of (x, ŷ) with the label ŷ drawn
from the net's own prediction. Such g have mean zero and are independent, so the square of their
sum over a batch is, in the mean, the sum of their squares: one backward pass per batch.
With true labels (the empirical Fisher) neither holds, and h vanishes wherever the net fits well.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from advprune.data.batches import Batch
from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks
from advprune.pruning.saliency import attacked_batches, mean_gradients


def curvature(net: nn.Module, samples: Iterable[Batch], rng: torch.Generator) -> dict[str, Tensor]:
    """Diagonal of the Gauss-Newton matrix by parameter name, mean over the images: an estimate.

    Its relative error is about √(2 / batches).
    """

    def drawn(net: nn.Module, x: Tensor, _y: Tensor) -> Tensor:
        logits = net(x)
        labels = torch.multinomial(logits.detach().softmax(1), 1, generator=rng).squeeze(1)
        return F.cross_entropy(logits, labels, reduction="sum") / len(x) ** 0.5

    def squares(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: g.square() for name, g in gradients.items()}

    return mean_gradients(net, samples, drawn, squares)


class OptimalBrainDamage(Method):
    """Smallest second-order change of the robust loss, one global ranking."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Rank ½ h w² over all layers together."""
        trainer, params = task.trainer, task.params
        samples = attacked_batches(net, trainer, params["batch"], "scores", params["batches"])
        diagonal = curvature(net, samples, trainer.rng("labels"))
        scores = {
            name: diagonal[f"{name}.weight"] * weight.square() / 2
            for name, weight in mk.weights(net, task.structure).items()
        }
        units = mk.rank(scores, task.sparsity, scope="global", floor=1)
        return mk.weight_masks(net, units, task.structure)


METHOD = OptimalBrainDamage()
