"""Learned scores (HYDRA, Sehwag et al. 2020): which units to keep is trained, weights are not."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from advprune.pruning import masks as mk
from advprune.pruning import structures
from advprune.pruning.masks import Masks, Units
from advprune.pruning.parametrization import parametrised


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


def freeze_layers(net: nn.Module) -> None:
    """Hold the weights and biases of all layers still; BatchNorm can be trained."""
    for layer in mk.prunable(net, "unstructured").values():
        layer.requires_grad_(False)


def learn_masks(
    net: nn.Module,
    structure: str,
    sparsity: float | Mapping[str, float],
    train: Callable[[], object],
    start: Mapping[str, Tensor] | None = None,
) -> Masks:
    """Masks of the units whose scores are largest after `train()`, every layer at its sparsity.

    While it trains, the net's weights are behind a `ScoreMask`; afterwards they are as before. The
    scores of a layer start as given by its name or as its scaled weights.
    """

    def score_mask(name: str, weight: Tensor) -> ScoreMask:
        scores = start[name] if start else scaled_scores(weight, structure)
        rate = sparsity[name] if isinstance(sparsity, Mapping) else sparsity
        return ScoreMask(scores, mk.kept_count(scores.numel(), rate), structure)

    with parametrised(net, structure, score_mask) as parts:
        train()
    units = Units({n: mk.top_k(part.scores.abs(), part.keep) for n, part in parts.items()})
    return mk.weight_masks(net, units, structure)
