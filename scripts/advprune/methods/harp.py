"""HARP (Zhao & Wressnegger 2023, arXiv 2412.14714): learn how much each layer keeps, and what.

pretrain   θ minimises the robust loss f                                  (shared stage)
prune      rate  kₗ = k_min + (1 − k_min) · sigmoid(rₗ),  k_min = α k,  k the kept share
           mask  Mₗ = top-(kₗ nₗ) of |sₗ|;  θ frozen
           s, r minimise  f(θ · M) + γ · max(Σ kₗ nₗ / (k Σ nₗ) − 1, 0)
           straight through the mask, g = ∂f/∂M:   ∂f/∂|s| = g,  ∂f/∂k = Σ g
           γ grows by one step per epoch until the budget is met, then it stays
           at the end all kₗ are scaled by one factor to the exact total
finetune   θ minimises f with the mask fixed                              (the default)
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from advprune.methods.base import Method, Task
from advprune.pruning import masks as mk
from advprune.pruning import structures
from advprune.pruning.allocation import allocate, rate_group, unit_counts
from advprune.pruning.masks import Masks, Units
from advprune.pruning.parametrization import parametrised
from advprune.pruning.scores import freeze_layers, scaled_scores
from advprune.training.loop import Hook, Loop


class _RatedTopK(torch.autograd.Function):
    """Mask of the largest entries; the gradient passes to the entries and, summed, to the rate."""

    @staticmethod
    def forward(ctx: Any, magnitude: Tensor, rate: Tensor) -> Tensor:
        keep = mk.kept_count(magnitude.numel(), 1 - float(rate))
        return mk.top_k(magnitude, keep).to(magnitude.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return gradient, gradient.sum()


class RatedMask(nn.Module):
    """Parametrization w ↦ w · top-k(|score|) with a learned kept rate in (lowest, 1)."""

    def __init__(self, scores: Tensor, start: float, lowest: float, structure: str) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores.clone())
        # the sigmoid cannot reach 1; the authors clip at 0.99
        share = min((start - lowest) / (1 - lowest), 0.99)
        self.logit = nn.Parameter(scores.new_tensor(math.log(share / (1 - share))))
        self.lowest, self.kind = lowest, structures.named(structure)

    def rate(self) -> Tensor:
        """Kept rate k, differentiable in the logit."""
        return self.lowest + (1 - self.lowest) * torch.sigmoid(self.logit)

    def forward(self, weight: Tensor) -> Tensor:
        """Masked weight."""
        mask = _RatedTopK.apply(self.scores.abs(), self.rate())
        return weight * self.kind.spread(mask, weight)


class HingeBudget(Hook):
    """γ times the share by which the rates exceed the budget; γ grows until it is met once.

    Followers, by the name of the layer that leads them, take its rate after every step.
    """

    state = ("gamma", "met")

    def __init__(
        self, layers: dict[str, RatedMask], structure: str, kept: float, step: float
    ) -> None:
        self.layers, self.kept, self.step = layers, kept, step
        groups = {name: rate_group(name, structure) for name in layers}
        self.followers = {name: group for name, group in groups.items() if group != name}
        self.gamma, self.met = step, False

    def excess(self) -> Tensor:
        """max(Σ kₗ nₗ / (k Σ nₗ) − 1, 0) with the real-valued rates."""
        sizes = [layer.scores.numel() for layer in self.layers.values()]
        pairs = zip(self.layers.values(), sizes, strict=True)
        kept = torch.stack([layer.rate() * size for layer, size in pairs]).sum()
        return torch.relu(kept / (self.kept * sum(sizes)) - 1)

    def penalty(self, loop: Loop) -> Tensor:
        """Weighted excess."""
        return self.gamma * self.excess()

    @torch.no_grad()
    def after_step(self, loop: Loop) -> None:
        """Copy the leaders' rates."""
        for name, source in self.followers.items():
            self.layers[name].logit.copy_(self.layers[source].logit)

    def after_epoch(self, loop: Loop, record: dict[str, float]) -> None:
        """Log the excess; raise gamma unless the budget has been met."""
        record["excess"], record["gamma"] = float(self.excess().detach()), self.gamma
        self.met = self.met or round(record["excess"], 4) == 0
        if not self.met:
            self.gamma += self.step


class Harp(Method):
    """Scores and rates trained together on the robust objective under one global budget."""

    def prune(self, net: nn.Module, task: Task) -> Masks:
        """Train scores, rates and BatchNorm; weights and biases stay."""
        params, structure, kept = task.params, task.structure, 1 - task.sparsity
        sizes = unit_counts(net, structure)
        start = max(params["start"][structure], kept)

        def rated(_name: str, weight: Tensor) -> RatedMask:
            scores = scaled_scores(weight, structure)
            return RatedMask(scores, start, params["alpha"] * kept, structure)

        freeze_layers(net)
        with parametrised(net, structure, rated) as layers:
            budget = HingeBudget(layers, structure, kept, params["gamma_step"][structure])
            task.fit(net, "prune", hooks=[budget])
        rates = {name: float(layer.rate().detach()) for name, layer in layers.items()}
        counts = allocate(rates, sizes, mk.kept_count(sum(sizes.values()), task.sparsity))
        units = Units({n: mk.top_k(m.scores.abs(), counts[n]) for n, m in layers.items()})
        return mk.weight_masks(net, units, structure)


METHOD = Harp()
