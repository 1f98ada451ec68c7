"""Learned scores (HYDRA, Sehwag et al. 2020): which units to keep is trained, weights are not."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from advprune.pruning import masks as mk
from advprune.pruning import structures
from advprune.pruning.masks import Masks, Units


class _TopK(torch.autograd.Function):
    """Mask of the k largest entries; the gradient passes straight through to the scores."""

    @staticmethod
    def forward(ctx: Any, magnitude: Tensor, keep: int) -> Tensor:
        return mk.top_k(magnitude, keep).to(magnitude.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class ScoreMask(nn.Module):
    """Parametrization w ↦ w · top-k(|score|), one score per unit (HYDRA, card section 3)."""

    def __init__(self, scores: Tensor, keep: int, structure: str) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores.clone())
        self.keep, self.kind = keep, structures.named(structure)

    def forward(self, weight: Tensor) -> Tensor:
        """Masked weight; d/dscore = sign(score) · weight · gradient, on removed entries too."""
        return weight * self.kind.spread(_TopK.apply(self.scores.abs(), self.keep), weight)


def scaled_scores(weight: Tensor, structure: str) -> Tensor:
    """HYDRA's score initialisation: the units' magnitudes scaled to sqrt(6 / fan_in).

    Signed for single weights. The first mask is the layer's magnitude mask, because the scaling
    is positive within a layer.
    """
    fan_in = weight[0].numel()
    units = weight if structure == "unstructured" else structures.named(structure).norms(weight, 1)
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
    units = Units({})
    for name, layer in mk.prunable(net, structure).items():
        mask = layer.parametrizations.weight[0]
        units[name] = mk.top_k(mask.scores.detach().abs(), mask.keep)
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    return mk.weight_masks(net, units, structure)
