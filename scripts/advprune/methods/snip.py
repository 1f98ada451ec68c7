"""SNIP (Lee et al. 2019, arXiv 1810.02340): connection sensitivity before any training.

prune      θ₀ fresh;  g ← gradient of the cross-entropy of a batch of attacked images at θ₀
           the smallest |g · θ₀| of all layers together go
train      the net (θ₀, mask) by PGD training (the default)
"""

import copy

from torch import Tensor, nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks, Scores
from advprune.pruning.saliency import attacked_batches, cross_entropy, mean_gradients
from advprune.pruning.tickets import measure_statistics


def in_training(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy in training mode: that of the very first step of training."""
    return cross_entropy(net.train(), x, y)


def sensitivities(net: nn.Module, task: Task) -> Scores:
    """|gradient · weight| of every weight; the net's statistics move."""
    params, trainer = task.params, task.trainer
    # attacks look at the net in evaluation mode, for which a fresh one has no statistics yet
    measure_statistics(net, trainer, params["batch"])
    samples = attacked_batches(net, trainer, params["batch"], "scores", params["batches"], True)
    gradients = mean_gradients(net, samples, in_training)
    weights = mk.weights(net, task.structure)
    return {n: (gradients[f"{n}.weight"] * w).abs() for n, w in weights.items()}


class Sensitivity(Method):
    """Single-shot global ranking at initialisation."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Rank the sensitivities and leave the net as it was drawn."""
        start = copy.deepcopy(net.state_dict())
        units = mk.rank(sensitivities(net, task), task.sparsity, scope="global", floor=1)
        net.load_state_dict(start)
        return mk.weight_masks(net, units, task.structure)


METHOD = Sensitivity()
