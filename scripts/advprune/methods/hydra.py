"""HYDRA (Sehwag et al. 2020, arXiv 2002.10509): learn which connections to keep.

pretrain   θ minimises the robust loss                                    (shared stage)
prune      s ← sqrt(6 / fan_in) · θ / max|θ| per layer;  θ frozen
           s minimises the robust loss of the net with weights θ · top-k(|s|)
finetune   θ minimises the robust loss with the mask top-k(|s|) fixed     (the default)
"""

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning.masks import Masks, prunable
from advprune.pruning.scores import attach_scores, fold_scores


class Hydra(Method):
    """Importance scores trained on the robust objective, every layer at the same rate."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train one score per weight; BatchNorm adapts along, weights and biases do not."""
        for layer in prunable(net, "unstructured").values():
            layer.requires_grad_(False)
        attach_scores(net, task.structure, task.sparsity)
        task.fit(net, "prune", parameters=[p for p in net.parameters() if p.requires_grad])
        masks = fold_scores(net, task.structure)
        net.requires_grad_(True)
        return masks


METHOD = Hydra()
