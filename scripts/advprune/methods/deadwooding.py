"""Deadwooding (Kaur et al. 2022, arXiv 2202.05226): sparsity by Lagrangian duality, rebuilt.

pretrain   θ minimises the robust loss; the dense net is the teacher      (shared stage)
prune      P: the smallest |θ| of the whole net, as many as shall go;  every λ_l starts at 0
           θ minimises  J + Σ_l λ_l Σ_{j in P of layer l} |θ_j|,
           J = (1 − a) CE + a T² KL(teacher ‖ θ) on clean images
           now and then:  P anew,  λ_l ← λ_l + step · mean of |θ_j| over P of layer l
           P is removed
finetune   b CE + (1 − b) T² KL(teacher ‖ θ), θ on FGSM images and the teacher on clean ones,
           with the mask fixed

The constraints θ_j = 0 on P are relaxed, and their violations raise the multipliers.
"""

import torch
from torch import Tensor, nn

from advprune.methods.base import Method, Task
from advprune.plan.specs import Threat
from advprune.pruning import masks as mk
from advprune.pruning.masked import KeepMasked
from advprune.pruning.masks import Masks, Units
from advprune.training.distill import Distilled
from advprune.training.inner import pgd
from advprune.training.loop import Hook, Loop


class Dual(Hook):
    """Multipliers of the layers' constraints, raised `updates` times, evenly over the phase.

    `doomed` are the weights that must vanish: the smallest of the whole net.
    """

    state = ("multipliers", "doomed", "raised")

    def __init__(self, net: nn.Module, sparsity: float, step: float, updates: int) -> None:
        self.sparsity, self.step, self.updates = sparsity, step, updates
        self.raised = 0
        self.doomed = self.smallest(net)
        self.multipliers = dict.fromkeys(self.doomed, 0.0)

    def smallest(self, net: nn.Module) -> Units:
        """Weights to remove by layer name; at least one weight of each layer is none."""
        units = mk.rank(mk.magnitudes(net, "unstructured"), self.sparsity, "global", floor=1)
        return Units({name: ~kept for name, kept in units.items()})

    def violation(self, net: nn.Module) -> dict[str, float]:
        """Mean magnitude of each layer's doomed weights."""
        sizes = mk.magnitudes(net, "unstructured")
        sums = {n: float(sizes[n][doomed].sum()) for n, doomed in self.doomed.items()}
        return {n: total / max(1, int(self.doomed[n].sum())) for n, total in sums.items()}

    def before_step(self, loop: Loop) -> None:
        """Choose the doomed anew and raise the multipliers, when an update is due."""
        due = loop.due(self.updates)
        if due <= self.raised:
            return
        self.raised = due
        self.doomed = self.smallest(loop.net)
        for name, mean in self.violation(loop.net).items():
            self.multipliers[name] += self.step * mean

    def penalty(self, loop: Loop) -> Tensor:
        """Σ λ |θ| over the doomed."""
        layers = mk.prunable(loop.net, "unstructured")
        terms = [
            self.multipliers[n] * layers[n].weight[doomed].abs().sum()
            for n, doomed in self.doomed.items()
        ]
        return torch.stack(terms).sum()

    def after_epoch(self, loop: Loop, record: dict[str, float]) -> None:
        """Log the largest violation and multiplier."""
        record["violation"] = max(self.violation(loop.net).values())
        record["multiplier"] = max(self.multipliers.values())


class Deadwooding(Method):
    """Dual ascent on a global magnitude constraint, then distillation on FGSM images."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Shrink what shall go under the teacher's eyes, then remove it."""
        params = task.params
        dual = Dual(net, task.sparsity, params["dual_step"], params["updates"])
        share = params["distillation"]
        objective = Distilled(task.dense, params["temperature"], share, labels=1 - share)
        task.fit(net, "prune", objective=objective, hooks=[dual])
        units = Units({name: ~doomed for name, doomed in dual.smallest(net).items()})
        return mk.weight_masks(net, units, "unstructured")

    def finetune(self, net: nn.Module, masks: Masks, task: Task) -> None:
        """Masked training on FGSM images, by labels and by the teacher."""
        params, eps = task.params, task.trainer.threat.eps
        single = Threat(eps, 1.25 * eps, 1)  # FastAT's step (Wong et al. 2020)
        objective = Distilled(
            task.dense,
            params["temperature"],
            1 - params["labels"],
            labels=params["labels"],
            attack=lambda net, x, y, rng: pgd(net, x, y, single, rng),
            single_step=True,
        )
        task.fit(net, "finetune", objective=objective, hooks=[KeepMasked(masks)])


METHOD = Deadwooding()
