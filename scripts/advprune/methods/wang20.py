"""Wang20 (Wang et al. 2020, arXiv 2009.05423): adversarial global lottery ticket.

prune      θ₀ fresh, m = 1;  T rounds, each removing the same share of what is left
           θ from m · θ₀ by PGD training;  the smallest |θ| of all layers together go
           rewind to θ₀
train      the ticket (θ₀, mask) by PGD training (the default)
"""

from functools import partial

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning.masks import Masks
from advprune.pruning.schedules import by_rounds, most_rounds
from advprune.pruning.tickets import search


class GlobalTicket(Method):
    """Iterative global magnitude pruning; with rewind "none" the paper's unstructured pruning."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Search in rounds of equal rate, no more of them than there are epochs to share."""
        params, recipe = task.params, task.recipes["prune"]
        schedule = by_rounds(task.sparsity, min(params["rounds"], most_rounds(recipe)))
        train = partial(task.fit, net, "prune")
        options = {k: params[k] for k in ("scope", "floor", "rewind")}
        return search(net, task.structure, schedule, train, recipe, **options)


METHOD = GlobalTicket()
