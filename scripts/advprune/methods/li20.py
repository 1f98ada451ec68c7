"""Li20, boosting tickets (Li et al. 2020, arXiv 2003.05733): a cheap mask, then a strong training.

prune      θ₀ fresh;  θ from θ₀ by FGSM training at a small learning rate
           score |θ_l| / mean|θ_l|, ranked over all layers together;  rewind to θ₀
train      the ticket (θ₀, mask) by PGD training at a large rate with warm-up (the default)
"""

import copy

from torch import nn

from advprune import masks as mk
from advprune.masks import Masks
from advprune.methods.base import Method, Task


class BoostingTicket(Method):
    """One-shot global magnitude with layer-mean normalisation, rewound to the start."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Find the mask of a quickly trained net and return to its initial weights."""
        start = copy.deepcopy(net.state_dict())
        task.fit(net, "prune")
        # without the layer's mean, wide layers (small weights) would be erased
        scores = {n: s / s.mean() for n, s in mk.magnitudes(net, task.structure).items()}
        units = mk.rank(scores, task.sparsity, scope="global", floor=task.params["floor"])
        net.load_state_dict(start)
        masks = mk.weight_masks(net, units, task.structure)
        return masks | mk.closed_batchnorm(net, masks)


METHOD = BoostingTicket()
