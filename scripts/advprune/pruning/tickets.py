"""Lottery tickets: one train → score → prune → rewind routine for the methods that look for one.

θ₀ fresh, m = 1
for each sparsity s₁ < s₂ < … < s of the schedule
    θ ← train the net with weights m · θ, for an equal part of the epochs
    m ← the best scores among the weights that m still keeps, at this sparsity
    θ ← θ₀, BatchNorm statistics included                                     (rewind)
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from advprune.data.batches import batches
from advprune.plan.specs import Recipe
from advprune.pruning import masks as mk
from advprune.pruning.masked import KeepMasked
from advprune.pruning.masks import Masks, Scores, Units
from advprune.pruning.schedules import split_epochs
from advprune.training.loop import Trainer

Schedule = Sequence[float | Mapping[str, float]]
REWINDS = ("start", "trained", "none")


def search(
    net: nn.Module,
    structure: str,
    schedule: Schedule,
    train: Callable[..., object],
    recipe: Recipe,
    *,
    score: Callable[[nn.Module, str], Scores] = mk.magnitudes,
    scope: str = "global",
    floor: int = 1,
    rewind: str = "start",
) -> Masks:
    """Masks of the ticket, leaving in `net` the weights that its training starts from, unmasked.

    `schedule` holds the sparsity to reach in each round, one number or (scope "layer") one per
    layer name, and never falls. `train(name=…, recipe=…, hooks=…)` trains the net for one round;
    the rounds share the epochs of `recipe` evenly, so that searches of any length cost the same.
    Each round has a name of its own, hence its own randomness, resume file and fresh optimiser, and
    a search of one round is called `prune`. Masks only shrink: what is removed is never scored
    again. `rewind` is "start" (the initial weights), "trained" (those after the first round) or
    "none".
    """
    if rewind not in REWINDS:
        raise ValueError(f"unknown rewind {rewind!r}")
    anchor = copy.deepcopy(net.state_dict())
    units, masks = Units({}), Masks({})
    recipes = split_epochs(recipe, len(schedule))
    for t, (sparsity, part) in enumerate(zip(schedule, recipes, strict=True), 1):
        mk.apply(net, masks)
        name = "prune" if len(schedule) == 1 else f"prune-{t}"
        train(name=name, recipe=part, hooks=[KeepMasked(masks)])
        scores = score(net, structure)
        left = {n: s.masked_fill(~units[n], -math.inf) if units else s for n, s in scores.items()}
        units = mk.rank(left, sparsity, scope=scope, floor=floor)
        masks = mk.weight_masks(net, units, structure)
        if t == 1 and rewind == "trained":
            anchor = copy.deepcopy(net.state_dict())
        if rewind != "none":
            net.load_state_dict(anchor)
    return masks


class Keep(nn.Module):
    """Parametrization w ↦ m · w, so that a gradient in w is one in the surviving weights."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """Masked weight."""
        return weight * self.mask


@torch.no_grad()
def measure_statistics(net: nn.Module, trainer: Trainer, batch: int) -> None:
    """Set the running statistics of BatchNorm to the means over one pass of training batches.

    A fresh net has none, and in evaluation mode computes another function than in training.
    """
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    net.train()
    rng = trainer.rng("statistics")
    for x, _ in batches(trainer.train, batch, generator=rng, augment=trainer.augment):
        if len(x) > 1:
            net(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    net.eval()
