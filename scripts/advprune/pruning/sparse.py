"""Sparse training: masked training, learned scores, ADMM and drop-and-grow.

Each mechanism is a hook for the training loop or a parametrization on a plain net that is folded
away at the end. Methods combine them.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from advprune.pruning import masks as mk
from advprune.pruning.masks import Masks
from advprune.training.loop import Hook, Loop


class KeepMasked(Hook):
    """Masked training: removed entries are exactly zero after every step, and so is their momentum.

    Acting on the data rather than in the forward pass leaves gradients dense, which growth
    criteria need, and costs nothing inside an attack.
    """

    def __init__(self, masks: Masks) -> None:
        self.masks = masks

    def after_step(self, loop: Loop) -> None:
        """Zero what the step moved, weight decay and momentum included."""
        mk.apply(loop.net, self.masks)
        parameters = dict(loop.net.named_parameters())
        for name, mask in self.masks.items():
            momentum = loop.optimizer.state[parameters[name]].get("momentum_buffer")
            if momentum is not None:
                momentum.masked_fill_(~mask, 0.0)


class _TopK(torch.autograd.Function):
    """Mask of the k largest entries; the gradient passes straight through to the scores."""

    @staticmethod
    def forward(ctx: Any, magnitude: Tensor, keep: int) -> Tensor:
        return mk.top_k(magnitude, keep).to(magnitude.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class ScoreMask(nn.Module):
    """Parametrization w ↦ w · top-k(|score|), by units (docs/methods/hydra.md, step 3)."""

    def __init__(self, scores: Tensor, keep: int, structure: str) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores.clone())
        self.keep = keep
        self.structure = structure

    def forward(self, weight: Tensor) -> Tensor:
        """Masked weight; d/dscore = sign(score) · weight · gradient, on removed entries too."""
        mask = _TopK.apply(self.scores.abs(), self.keep)
        if self.structure == "unstructured":
            return weight * mask
        shape = [1] * weight.dim()
        shape[0 if self.structure == "filters" else 1] = -1
        return weight * mask.view(shape)


def scaled_scores(weight: Tensor, structure: str) -> Tensor:
    """HYDRA's score initialisation: the units' magnitudes scaled to sqrt(6 / fan_in).

    Signed for single weights. The first mask is the layer's magnitude mask, because the scaling
    is positive within a layer.
    """
    fan_in = weight[0].numel()
    units = weight if structure == "unstructured" else mk.unit_norms(weight, structure, 1)
    return math.sqrt(6 / fan_in) * units / units.abs().max()


def attach_scores(
    net: nn.Module,
    structure: str,
    sparsity: float | Mapping[str, float],
    start: Mapping[str, Tensor] | None = None,
) -> None:
    """Put a `ScoreMask` on every prunable layer; its scores start as given or as scaled weights."""
    for name, layer in mk.prunable(net, structure).items():
        scores = start[name] if start else scaled_scores(layer.weight.detach(), structure)
        rate = sparsity[name] if isinstance(sparsity, Mapping) else sparsity
        keep = mk.kept_count(scores.numel(), rate)
        parametrize.register_parametrization(
            layer, "weight", ScoreMask(scores, keep, structure), unsafe=True
        )


def fold_scores(net: nn.Module, structure: str) -> Masks:
    """Remove the parametrizations, leave the unmasked weights, and return the learned mask set."""
    units = {}
    for name, layer in mk.prunable(net, structure).items():
        mask = layer.parametrizations.weight[0]
        units[name] = mk.top_k(mask.scores.detach().abs(), mask.keep)
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    return mk.weight_masks(net, units, structure)


def largest(structure: str, sparsity: float) -> Callable[[dict[str, Tensor]], Masks]:
    """Support of the Euclidean projection of each layer: its largest weights, or units by l2 norm.

    The function returned maps weights by layer name to masks of the same shapes, for `Admm`.
    """

    def support(weights: dict[str, Tensor]) -> Masks:
        scores = {n: mk.unit_norms(w, structure) for n, w in weights.items()}
        units = mk.rank(scores, sparsity)
        return {n: mk.expand(u, weights[n], structure) for n, u in units.items()}

    return support


class Admm(Hook):
    """ADMM pull of the weights towards their projection (docs/methods/radmm.md, stage B).

    `project` maps weights by layer name to masks of the same shapes. Z and U live beside the
    weights and carry no gradient; after each of `cycles` equal parts of the phase but the last
    they are updated and rho grows by `growth`.
    """

    def __init__(
        self,
        net: nn.Module,
        structure: str,
        project: Callable[[dict[str, Tensor]], Masks],
        rho: float,
        growth: float,
        cycles: int,
    ) -> None:
        self.structure, self.project = structure, project
        self.rho, self.growth, self.cycles = rho, growth, cycles
        self.updates = 0
        current = mk.weights(net, structure)
        self.dual = {n: torch.zeros_like(w) for n, w in current.items()}
        self.sparse = self._projected(current)

    def _projected(self, current: dict[str, Tensor]) -> dict[str, Tensor]:
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
        due = math.floor(loop.step * self.cycles / loop.steps)
        if due <= self.updates:
            return
        self.updates = due
        self.rho *= self.growth
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

    def state_dict(self) -> dict[str, Any]:
        """Z, U, rho and the number of updates so far."""
        return {
            "sparse": self.sparse,
            "dual": self.dual,
            "rho": self.rho,
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore Z, U, rho and the number of updates."""
        self.sparse, self.dual = state["sparse"], state["dual"]
        self.rho, self.updates = state["rho"], state["updates"]
