"""Global magnitude: lowest weight magnitude, one shot, ranked over all layers together.

prune      a weight counts |w|, a filter ‖W_j‖₂ / √n for its n weights;
           the smallest of the whole net go, one unit per layer stays
"""

import math

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks, Scores


def sizes(net: nn.Module, structure: str) -> Scores:
    """Root mean square of every unit's weights, at least 0; of a single weight that is |w|."""
    weights = mk.weights(net, structure)
    norms = mk.magnitudes(net, structure)
    return {n: s / math.sqrt(weights[n].numel() / s.numel()) for n, s in norms.items()}


class GlobalMagnitude(Method):
    """LWM's order within a layer, and one threshold for all layers."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Rank the sizes of all layers together."""
        scores = sizes(net, task.structure)
        units = mk.rank(scores, task.sparsity, scope="global", floor=1)
        return mk.weight_masks(net, units, task.structure)


METHOD = GlobalMagnitude()
