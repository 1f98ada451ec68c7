"""Lottery ticket (Frankle & Carbin 2019, arXiv 1803.03635): iterative magnitude with rewind.

prune      θ₀ fresh, m = 1;  rounds that each remove a fifth of what is left
               θ from m · θ₀ by training;  the smallest |θ| of all layers together go
               rewind to θ₀
train      the ticket (θ₀, mask) by the same training (the default)
"""

from functools import partial

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning.masks import Masks
from advprune.pruning.schedules import by_rate, most_rounds
from advprune.pruning.tickets import search


class LotteryTicket(Method):
    """Iterative global magnitude pruning, rewound to the start."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Search in as many rounds as the rate needs, or as there are epochs to share."""
        params, recipe = task.params, task.recipes["prune"]
        schedule = by_rate(task.sparsity, params["rate"], most_rounds(recipe))
        train = partial(task.fit, net, "prune")
        options = {k: params[k] for k in ("scope", "floor", "rewind")}
        return search(net, task.structure, schedule, train, recipe, **options)


METHOD = LotteryTicket()
