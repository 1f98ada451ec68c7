"""Sehwag19 (Sehwag et al. 2019, arXiv 1906.06110): magnitude, with one robust objective throughout.

pretrain   θ minimises the robust loss R                                  (shared stage)
prune      m ← 1;  for t = 1 … T
               m ← the largest |θ| that m still keeps, at sparsity 1 − (1 − s)^(t/T); the units are
               weights or filters (mean |θ|), ranked within each layer or over all of them
               θ minimises R with m fixed, no rewinding           (all rounds but the last)
finetune   θ minimises R with m fixed                                     (the default)
"""

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masked import KeepMasked
from advprune.pruning.masks import Masks, Scores
from advprune.pruning.schedules import sparsities, split_epochs


def sizes(net: nn.Module, structure: str) -> Scores:
    """Mean |θ| of every unit: within a layer the order of the l1 norm, and fair between layers."""
    weights = mk.weights(net, structure)
    sums = mk.magnitudes(net, structure, order=1)
    return {n: s / (weights[n].numel() // s.numel()) for n, s in sums.items()}


class IterativeMagnitude(Method):
    """Least weight magnitude in rounds; masks only shrink, and data never enters the ranking."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Cut and train in turns; the epochs are shared by the trainings between the cuts."""
        params, recipe = task.params, task.recipes["prune"]
        rounds = min(params["rounds"], recipe.epochs + 1)
        schedule = sparsities(task.sparsity, rounds, params["schedule"])
        recipes = split_epochs(recipe, max(1, rounds - 1))
        for t, sparsity in enumerate(schedule, 1):
            # what is gone is zero and stays last
            units = mk.rank(sizes(net, task.structure), sparsity, scope=params["scope"], floor=1)
            masks = mk.weight_masks(net, units, task.structure)
            mk.apply(net, masks)
            if t < len(schedule):
                hooks = [KeepMasked(masks)]
                task.fit(net, "prune", f"prune-{t}", recipe=recipes[t - 1], hooks=hooks)
        return masks


METHOD = IterativeMagnitude()
