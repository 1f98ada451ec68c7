"""Random pruning: the floor that a pruning criterion has to beat."""

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks


class Random(Method):
    """Remove units of every layer uniformly at random, all layers at the same rate."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Rank random scores within each layer."""
        scores = mk.random_scores(net, task.structure, task.trainer.rng("random mask"))
        return mk.weight_masks(net, mk.rank(scores, task.sparsity), task.structure)


METHOD = Random()
