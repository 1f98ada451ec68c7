"""Lottery ticket (Frankle & Carbin 2019, arXiv 1803.03635): iterative magnitude with rewind.

prune      θ₀ fresh, m = 1;  rounds that each remove a fifth of what is left
               θ from m · θ₀ by training;  the smallest |θ| of all layers together go
               rewind to θ₀
train      the ticket (θ₀, mask) by the same training (the default)
"""

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning.masks import Masks
from advprune.pruning.schedules import split_epochs
from advprune.pruning.tickets import by_rate, by_rounds, search


class LotteryTicket(Method):
    """Iterative global magnitude pruning, rewound to the start."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Search in as many rounds as the rate needs, which share the epochs of the phase.

        A round without training would rank initial weights: there are no more rounds than epochs.
        """
        params, recipe = task.params, task.recipes["prune"]
        schedule = by_rate(task.sparsity, params["rate"])
        if len(schedule) > recipe.epochs:
            schedule = by_rounds(task.sparsity, max(1, recipe.epochs))
        recipes = iter(split_epochs(recipe, len(schedule)))

        def train(name: str, hooks: list) -> None:
            task.fit(net, "prune", name, recipe=next(recipes), hooks=hooks)

        options = {k: params[k] for k in ("scope", "floor", "rewind")}
        return search(net, task.structure, schedule, train, **options)


METHOD = LotteryTicket()
