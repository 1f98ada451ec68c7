"""Filter pruning by l1 norm (Li et al. 2017, arXiv 1608.08710).

prune      in every convolution the filters of smallest Σ |w| go, with their BatchNorm channels
"""

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks


class FilterNorm(Method):
    """Lowest l1 norm within each layer, all layers at the same rate."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Rank the filters of every convolution by the sum of their absolute weights."""
        units = mk.rank(mk.magnitudes(net, task.structure, order=1), task.sparsity)
        return mk.weight_masks(net, units, task.structure)


METHOD = FilterNorm()
