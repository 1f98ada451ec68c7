"""FRE / FRFP (Zhuang et al. 2023): filters that contribute least to the adversarial training loss.

pretrain   θ minimises the TRADES loss L                                     (shared stage)
prune      θ trains on with L at a small rate;  R rounds of equally many batches
           every batch  I_j ← I_j + (Σ g w over filter j with its γ and β)²,  g = ∂L/∂w
           after a round  the alive filters of smallest I go, over all layers together, equally
                          many in every round;  I ← 0
finetune   θ minimises L with the mask fixed                                 (the default)
"""

import torch
from torch import Tensor, nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning.masked import KeepMasked
from advprune.pruning.masks import Masks, Scores
from advprune.pruning.saliency import filter_sums
from advprune.training.loop import Loop, gradient


class RobustnessEstimation(KeepMasked):
    """Squared first-order loss changes of every filter, and a cut after each round."""

    state = ("units", "masks", "totals", "done")

    def __init__(self, net: nn.Module, sparsity: float, rounds: int) -> None:
        super().__init__()
        self.sparsity, self.rounds, self.done = sparsity, rounds, 0
        self.units = mk.rank(mk.magnitudes(net, "filters"), 0.0)
        self.totals: Scores = self.zeros()
        self.before: dict[str, Tensor] = {}

    def zeros(self) -> Scores:
        """Empty sums, one per filter."""
        return {n: torch.zeros(len(u), device=u.device) for n, u in self.units.items()}

    def before_step(self, loop: Loop) -> None:
        """Remember the weights that the gradients of this batch belong to."""
        self.before = {n: p.detach().clone() for n, p in loop.net.named_parameters()}

    @torch.no_grad()
    def after_step(self, loop: Loop) -> None:
        """Add this batch's estimate; at the end of a round, cut."""
        super().after_step(loop)
        terms = {n: gradient(p) * self.before[n] for n, p in loop.net.named_parameters()}
        for name, change in filter_sums(loop.net, terms).items():
            self.totals[name] += change.square()
        due = loop.due(self.rounds, last=True)
        if due > self.done:
            self.done = due
            self.cut(loop.net)
            super().after_step(loop)

    def cut(self, net: nn.Module) -> None:
        """Remove the smallest of the alive filters up to this round's share."""
        alive = {n: t.masked_fill(~self.units[n], -torch.inf) for n, t in self.totals.items()}
        share = self.sparsity * self.done / self.rounds
        self.units = mk.rank(alive, share, scope="global", floor=1)
        self.masks = mk.weight_masks(net, self.units, "filters")
        self.totals = self.zeros()

    def settled(self, loop: Loop) -> bool:
        """After the last cut."""
        return self.done == self.rounds

    def after_epoch(self, loop: Loop, record: dict[str, float]) -> None:
        """Log how many filters are alive."""
        record["alive"] = mk.count(self.units.values())[0]


class FilterRobustness(Method):
    """Iterative global filter pruning by contribution to the TRADES loss."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train, estimate and cut in rounds."""
        estimation = RobustnessEstimation(net, task.sparsity, task.params["rounds"])
        task.fit(net, "prune", hooks=[estimation])
        return estimation.masks


METHOD = FilterRobustness()
