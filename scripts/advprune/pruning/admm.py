"""ADMM: training that is drawn to a set of sparse nets, one projection per cycle.

Z ← Π(W), U ← 0;  every batch a step on f(W) + Σ ρ/2 ‖W − Z + U‖²
between cycles:  ρ grows,  Z ← Π(W + U),  U ← U + W − Z
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from advprune.pruning import masks as mk
from advprune.pruning import structures
from advprune.pruning.masks import Masks
from advprune.training.loop import Hook, Loop

Weights = dict[str, Tensor]  # by layer name
Support = Callable[[Weights], Weights]
FAR = 0.1  # residual above which a net has not come to the sparse set


def largest(structure: str, sparsity: float) -> Support:
    """Support of the Euclidean projection of each layer: its largest weights, or units by l2 norm.

    The function returned maps weights by layer name to masks of the same shapes, for `Admm`.
    """
    kind = structures.named(structure)

    def support(weights: Weights) -> Weights:
        units = mk.rank({n: kind.norms(w) for n, w in weights.items()}, sparsity)
        return {n: kind.expand(u, weights[n]) for n, u in units.items()}

    return support


class Admm(Hook):
    """ADMM pull of the weights towards their projection (docs/methods/radmm.md, stage B).

    `project` maps weights by layer name to masks of the same shapes. Z and U live beside the
    weights and carry no gradient; after each of `cycles` equal parts of the phase but the last
    they are updated and rho grows by `growth`, but never beyond `cap`.
    """

    state = ("sparse", "dual", "rho", "updates")

    def __init__(
        self,
        net: nn.Module,
        structure: str,
        project: Support,
        rho: float,
        growth: float,
        cycles: int,
        cap: float = math.inf,
    ) -> None:
        self.structure, self.project = structure, project
        self.rho, self.growth, self.cap, self.cycles = min(rho, cap), growth, cap, cycles
        self.updates = 0
        current = mk.weights(net, structure)
        self.dual = {n: torch.zeros_like(w) for n, w in current.items()}
        self.sparse = self._projected(current)

    def _projected(self, current: Weights) -> Weights:
        kept = self.project(current)
        return {n: w.masked_fill(~kept[n], 0.0) for n, w in current.items()}

    def penalty(self, loop: Loop) -> Tensor:
        """Augmented-Lagrangian term: sum over layers of rho/2 · ‖W − Z + U‖²."""
        layers = mk.prunable(loop.net, self.structure)
        terms = [
            (layer.weight - self.sparse[n] + self.dual[n]).square().sum()
            for n, layer in layers.items()
        ]
        return self.rho / 2 * torch.stack(terms).sum()

    def before_step(self, loop: Loop) -> None:
        """Update rho, Z and U at the start of every cycle but the first."""
        due = loop.due(self.cycles - 1)
        if due <= self.updates:
            return
        self.updates = due
        self.rho = min(self.rho * self.growth, self.cap)
        current = mk.weights(loop.net, self.structure)
        self.sparse = self._projected({n: w + self.dual[n] for n, w in current.items()})
        self.dual = {n: self.dual[n] + w - self.sparse[n] for n, w in current.items()}

    def residual(self, net: nn.Module) -> float:
        """Largest relative distance ‖W − Z‖ / ‖W‖ over the layers."""
        current = mk.weights(net, self.structure)
        return max(float((w - self.sparse[n]).norm() / w.norm()) for n, w in current.items())

    def after_epoch(self, loop: Loop, record: dict[str, float]) -> None:
        """Log how far the weights still are from the sparse set."""
        record["residual"] = self.residual(loop.net)
        record["rho"] = self.rho


def search(
    net: nn.Module,
    structure: str,
    sparsity: float,
    train: Callable[..., object],
    mark: Callable[[str], None],
    *,
    rho: float,
    growth: float,
    cycles: int,
    cap: float = math.inf,
) -> Masks:
    """Masks of the projection of the net that `train(hooks=…)` has drawn to the sparse set.

    The net stays dense, with the weights that were drawn there. If they have not arrived, the masks
    are little more than those of the magnitudes it began with, and `mark` is told so in a line.
    """
    pull = Admm(net, structure, largest(structure, sparsity), rho, growth, cycles, cap)
    train(hooks=[pull])
    residual = pull.residual(net)
    if not residual <= FAR:  # not a number is no arrival either
        mark(f"ADMM has not drawn the weights to the sparse set: residual {residual:.2f}")
    return mk.weight_masks(net, mk.rank(mk.magnitudes(net, structure), sparsity), structure)
