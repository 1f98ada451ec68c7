"""FlyingBird+ (Chen et al. 2022, arXiv 2202.09844): FlyingBird whose capacity follows two votes.

init, train   as FlyingBird: each layer drops ceil(r · active) small weights, grows as many
epoch         v ← robust validation loss;  g ← robust accuracy on training − on validation images
update        from half of the training on, over the last 4 differences of v and of g:
              g rose in at least half of them   →  drop ceil(0.4 r · active) more
              v did not fall in at least half   →  grow 5 % more
last update   layers shrink or grow by one factor, so that the net meets the target
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.allocation import share_out
from advprune.pruning.dropgrow import DropGrow, Plan, igq_masks
from advprune.pruning.masks import Masks
from advprune.training.loop import Loop, Trainer
from advprune.training.monitor import robust_figures

Figures = Callable[[nn.Module, int], tuple[float, float]]


class Voting(DropGrow):
    """Drop and grow with extra dropping and extra growth by the validation history.

    `figures(net, epoch)` returns the generalisation gap and the robust validation loss.
    """

    state = (*DropGrow.state, "gaps", "losses")

    def __init__(self, masks: Masks, params: Mapping[str, Any], figures: Figures) -> None:
        rate = (params["drop_rate"], params["last_drop_rate"])
        super().__init__(masks, params["updates"], rate, params["growth"])
        self.params, self.figures = params, figures
        self.target = mk.count(masks.values())[0]
        self.gaps: list[float] = []
        self.losses: list[float] = []

    def votes(self, loop: Loop) -> tuple[bool, bool]:
        """(drop more, grow more); nobody votes early or before the window is full."""
        window = self.params["window"]
        if loop.time < self.params["vote_start"] or len(self.gaps) <= window:
            return False, False
        gaps = itertools.pairwise(self.gaps[-window - 1 :])
        losses = itertools.pairwise(self.losses[-window - 1 :])
        needed = self.params["threshold"] * window
        return sum(b > a for a, b in gaps) >= needed, sum(b >= a for a, b in losses) >= needed

    def plan(self, loop: Loop) -> Plan:
        """FlyingBird's equal counts plus what the votes add; the last one meets the target."""
        plan, counts = super().plan(loop), self.counts()
        if self.done == self.updates_in(loop):
            return self.to_target(plan, counts)
        shrink, expand = self.votes(loop)
        extra = self.params["prune_ratio"] * self.drop_rate(loop)
        for name, (dropped, grown) in plan.items():
            active, total = counts[name]
            more = min(math.ceil(extra * active), active - dropped) if shrink else 0
            plus = math.floor(self.params["growth_ratio"] * grown + 1e-9) if expand else 0
            dropped += more
            plan[name] = (dropped, min(grown + plus, total - active + dropped))
        return plan

    def to_target(self, plan: Plan, counts: dict[str, tuple[int, int]]) -> Plan:
        """The plan, changed so that the whole net ends with the target count."""
        now = sum(active for active, _ in counts.values())
        shares = {name: active / now for name, (active, _) in counts.items()}
        goals = share_out(self.target, shares, {name: total for name, (_, total) in counts.items()})
        result = {}
        for name, (active, _) in counts.items():
            dropped = max(plan.get(name, (0, 0))[0], active - goals[name])
            result[name] = (dropped, goals[name] - active + dropped)
        return result

    def after_epoch(self, loop: Loop, record: dict[str, float]) -> None:
        """Take the figures that the votes are about."""
        gap, loss = self.figures(loop.net, loop.epoch)
        self.gaps.append(gap)
        self.losses.append(loss)
        kept, total = mk.count(self.masks.values())
        record |= {"gap": gap, "val_loss": loss, "density": kept / total}


def validation(trainer: Trainer) -> Figures:
    """Gap and loss under PGD of twice the training's steps, on as many training images."""
    threat = dataclasses.replace(trainer.threat, steps=2 * trainer.threat.steps)
    seen = trainer.train.take(len(trainer.val))

    def figures(net: nn.Module, epoch: int) -> tuple[float, float]:
        rng = trainer.rng("votes", epoch)
        learned, _ = robust_figures(net, seen, threat, rng)
        held_out, loss = robust_figures(net, trainer.val, threat, rng)
        return learned - held_out, loss

    return figures


class FlyingBirdPlus(Method):
    """Magnitude drop and gradient growth with adaptive capacity."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train sparsely from a fresh net; the last topology is the mask."""
        masks = igq_masks(net, task.sparsity, task.trainer.rng("initial topology"))
        mk.apply(net, masks)
        rewiring = Voting(masks, task.params, validation(task.trainer))
        task.fit(net, "train", hooks=[rewiring])
        return rewiring.masks


METHOD = FlyingBirdPlus()
