"""Random pruning: the floor that a pruning criterion has to beat."""

import torch
from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks


class Random(Method):
    """Remove units of every layer uniformly at random, all layers at the same rate."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Rank random scores within each layer."""
        rng = task.trainer.rng("random mask")
        scores = {
            name: torch.rand(norms.shape, generator=rng, device=norms.device)
            for name, norms in mk.magnitudes(net, task.structure).items()
        }
        return mk.weight_masks(net, mk.rank(scores, task.sparsity), task.structure)


METHOD = Random()
