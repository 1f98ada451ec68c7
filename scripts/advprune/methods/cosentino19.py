"""Cosentino19 (Cosentino et al. 2019, arXiv 1912.02386): adversarial iterative lottery tickets.

prune      θ₀ fresh, m = 1;  until the sparsity is reached
           θ from m · θ₀ by training on clean and adversarial images, half and half
           every layer loses the share p of its smallest surviving |θ|, the last layer p / 2
           rewind to θ₀
train      the ticket (θ₀, mask) by the same training (the default)
"""

import math
from functools import partial

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks
from advprune.pruning.schedules import by_rate, most_rounds
from advprune.pruning.tickets import Schedule, search


def layer_rates(
    sizes: dict[str, int], sparsity: float, rate: float, last: float
) -> dict[str, float]:
    """Sparsity of every layer when the net as a whole is at `sparsity`.

    In the time in which rounds at `rate` reach the sparsity, rounds at `last` bring the last layer
    to its own; the other layers share the rest equally, so that the total is right.
    """
    rounds = math.log(1 - sparsity) / math.log(1 - rate)
    total, output = sum(sizes.values()), list(sizes)[-1]
    kept = (1 - last) ** rounds * sizes[output]
    others = 1 - ((1 - sparsity) * total - kept) / (total - sizes[output])
    return dict.fromkeys(sizes, others) | {output: 1 - kept / sizes[output]}


class IterativeTicket(Method):
    """Iterative magnitude pruning within each layer, rewound to the start."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Search over as many rounds as the rate needs, or as there are epochs to share."""
        params, recipe = task.params, task.recipes["prune"]
        totals = by_rate(task.sparsity, params["rate"], most_rounds(recipe))
        schedule: Schedule = totals
        if params["scope"] == "layer":
            sizes = {n: w.numel() for n, w in mk.weights(net, task.structure).items()}
            rates = (params["rate"], params["last_rate"])
            schedule = [layer_rates(sizes, s, *rates) for s in totals]
        train = partial(task.fit, net, "prune")
        options = {k: params[k] for k in ("scope", "floor", "rewind")}
        return search(net, task.structure, schedule, train, recipe, **options)


METHOD = IterativeTicket()
