"""HYDRA (Sehwag et al. 2020, arXiv 2002.10509): learn which connections to keep.

pretrain   θ minimises the robust loss                                    (shared stage)
prune      s ← sqrt(6 / fan_in) · θ / max|θ| per layer;  θ frozen
           s minimises the robust loss of the net with weights θ · top-k(|s|)
finetune   θ minimises the robust loss with the mask top-k(|s|) fixed     (the default)
"""

from functools import partial

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning.masks import Masks
from advprune.pruning.scores import freeze_layers, learn_masks


class Hydra(Method):
    """Importance scores trained on the robust objective, every layer at the same rate."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train one score per weight; BatchNorm adapts along, weights and biases do not."""
        freeze_layers(net)
        return learn_masks(net, task.structure, task.sparsity, partial(task.fit, net, "prune"))


METHOD = Hydra()
