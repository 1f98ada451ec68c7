"""Lowest weight magnitude: the classical baseline, one shot, each layer at the same rate."""

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks


class LowestMagnitude(Method):
    """Remove the units of smallest magnitude of every layer (filters: l2 norm)."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Rank |w| or unit norms within each layer."""
        units = mk.rank(mk.magnitudes(net, task.structure), task.sparsity)
        return mk.weight_masks(net, units, task.structure)


METHOD = LowestMagnitude()
