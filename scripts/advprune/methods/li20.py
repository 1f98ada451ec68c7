"""Li20, boosting tickets (Li et al. 2020, arXiv 2003.05733): a cheap mask, then a strong training.

prune      θ₀ fresh;  θ from θ₀ by FGSM training at a small learning rate
           score |θ_l| / mean|θ_l|, ranked over all layers together;  rewind to θ₀
train      the ticket (θ₀, mask) by PGD training at a large rate with warm-up (the default)
"""

from functools import partial

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks, Scores
from advprune.pruning.tickets import search


def normalised(net: nn.Module, structure: str) -> Scores:
    """Magnitudes over their layer's mean: without it, wide layers (small weights) would go."""
    return {n: s / s.mean() for n, s in mk.magnitudes(net, structure).items()}


class BoostingTicket(Method):
    """One-shot global magnitude with layer-mean normalisation, rewound to the start."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Find the mask of a quickly trained net and return to its initial weights."""
        train, recipe = partial(task.fit, net, "prune"), task.recipes["prune"]
        once = [task.sparsity]
        floor = task.params["floor"]
        masks = search(net, task.structure, once, train, recipe, score=normalised, floor=floor)
        return mk.close_batchnorm(net, masks)


METHOD = BoostingTicket()
