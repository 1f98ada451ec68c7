"""RobustBird (Chen et al. 2022, arXiv 2202.09844): an early-bird ticket from cheap training.

prune      θ trains on clean images;  after every epoch the magnitude mask of all convolutions
           is compared with those of the last few epochs;  once none of them differs in more than
           a small share of its entries, stop
           m ← largest |θ| over all layers together
train      the ticket (θ, mask), not rewound, by PGD training with a fresh schedule (the default)
"""

import logging

import torch
from torch import nn

from advprune.methods.base import Method, Task
from advprune.plan.specs import Recipe
from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks
from advprune.training.loop import Hook, Loop
from advprune.training.recipes import multiplier

log = logging.getLogger("advprune")
SETTLED = 0.5  # below this share of its peak it is the learning rate that holds masks still


def threshold(limit: float, sparsity: float, reference: float | None) -> float:
    """Mask distance at which the search stops.

    Two masks of the same density d differ in at most 2 · min(d, 1 − d) of their entries, so a
    fixed limit holds for any two masks once they are sparse enough. With a `reference` density the
    limit shrinks below it along with that bound; None keeps it fixed.
    """
    density = min(sparsity, 1 - sparsity)
    return limit if reference is None else limit * min(1.0, density / reference)


def fall(recipe: Recipe, epochs: int) -> float:
    """Learning rate in the last of the first `epochs` epochs, relative to the highest till then."""
    rates = [multiplier(recipe, (epoch + 0.5) / recipe.epochs) for epoch in range(epochs)]
    return rates[-1] / max(rates) if rates else 1.0


class EarlyBird(Hook):
    """Ends the search when the newest mask is close to each of the `queue` − 1 before it."""

    state = ("masks",)

    def __init__(self, sparsity: float, queue: int, limit: float, floor: int = 1) -> None:
        self.sparsity, self.queue, self.limit, self.floor = sparsity, queue, limit, floor
        self.masks: list[torch.Tensor] = []

    def mask(self, net: nn.Module) -> torch.Tensor:
        """Flat global magnitude mask over the convolutions, at least `floor` in each."""
        # layers whose filters could go: the convolutions
        sizes = {n: w.abs() for n, w in mk.weights(net, "filters").items()}
        units = mk.rank(sizes, self.sparsity, scope="global", floor=self.floor)
        return torch.cat([m.flatten() for m in units.values()])

    def after_epoch(self, loop: Loop, record: dict[str, float]) -> None:
        """Compare this epoch's mask with the queue and stop the phase if it has settled."""
        self.masks = [*self.masks, self.mask(loop.net)][-self.queue :]
        if len(self.masks) < self.queue:
            return
        newest = self.masks[-1]
        distance = max(float((newest ^ m).float().mean()) for m in self.masks[:-1])
        record["mask_distance"] = distance
        loop.stop = distance <= self.limit


class RobustBird(Method):
    """Global magnitude of a net trained until its mask settles."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train until the bird is found, or to the end of the search, and cut."""
        params = task.params
        limit = threshold(params["threshold"], task.sparsity, params["reference_density"])
        bird = EarlyBird(task.sparsity, params["queue"], limit, params["floor"])
        epochs = task.fit(net, "prune", hooks=[bird])
        last = epochs[-1].get("mask_distance", 1.0) if epochs else 1.0
        found = len(epochs)
        log.info("mask distance %.4g in epoch %d, limit %.4g", last, found, limit)
        fallen = fall(task.recipes["prune"], found)
        if last > limit:
            task.mark(f"no early bird: mask distance {last:.3g} > {limit:.3g} in the last epoch")
        elif found == params["queue"]:
            task.mark(f"the early bird is the first that could be, in epoch {found}")
        elif fallen < SETTLED:
            task.mark(f"the masks settled when the rate had fallen to {fallen:.2g} of its peak")
        scores = mk.magnitudes(net, task.structure)
        units = mk.rank(scores, task.sparsity, scope="global", floor=params["floor"])
        return mk.weight_masks(net, units, task.structure)


METHOD = RobustBird()
