"""Dynamic sparsity: drop weak connections, grow promising ones, keep every layer's count exact.

One engine for the methods that rewire while they train. Counts are by rank, so that a layer has
exactly as many connections after an update as before it.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from advprune import masks as mk
from advprune.masks import Masks
from advprune.sparse import KeepMasked
from advprune.training import Loop


def igq_densities(sizes: dict[str, int], density: float) -> dict[str, float]:
    """Layer densities 1 / (F·n + 1) whose weighted mean is `density` (card flyingbird, step 1).

    The larger a layer, the sparser. F is found by bisection; `density` in (0, 1].
    """
    total = density * sum(sizes.values())
    low, high = 0.0, 1.0
    while sum(n / (high * n + 1) for n in sizes.values()) > total:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if sum(n / (middle * n + 1) for n in sizes.values()) > total:
            low = middle
        else:
            high = middle
    return {name: 1 / (high * n + 1) for name, n in sizes.items()}


def allocate(densities: dict[str, float], sizes: dict[str, int], total: int) -> dict[str, int]:
    """Integer counts nearest to density · size that sum to `total` (largest remainders)."""
    exact = {name: densities[name] * sizes[name] for name in sizes}
    counts = {name: math.floor(value) for name, value in exact.items()}
    # a layer can be full; the sort is stable, so ties go to the earlier layer
    open_layers = [n for n in sizes if counts[n] < sizes[n]]
    by_remainder = sorted(open_layers, key=lambda n: counts[n] - exact[n])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def random_masks(net: nn.Module, counts: dict[str, int], rng: torch.Generator) -> Masks:
    """Unstructured masks with the given number of random connections per layer."""
    masks = {}
    for name, layer in mk.prunable(net, "unstructured").items():
        scores = torch.rand(layer.weight.shape, generator=rng, device=layer.weight.device)
        masks[f"{name}.weight"] = mk.top_k(scores, counts[name])
    return masks


def cosine_rate(start: float, end: float, time: float) -> float:
    """Drop rate annealed from `start` to `end` by a half cosine over `time` in [0, 1]."""
    return end + (start - end) * (1 + math.cos(math.pi * time)) / 2


def drop(weight: Tensor, mask: Tensor, count: int) -> Tensor:
    """Mask without the `count` smallest active magnitudes."""
    active = int(mask.sum())
    return mk.top_k(weight.abs().masked_fill(~mask, -math.inf), active - count)


def grow(score: Tensor, mask: Tensor, count: int) -> Tensor:
    """Mask plus the `count` inactive positions of largest score."""
    return mask | mk.top_k(score.masked_fill(mask, -math.inf), count)


class DropGrow(KeepMasked):
    """Masked training whose masks are rewired `updates` times, evenly over the phase.

    At an update every layer drops ceil(rate · active) of its smallest weights and grows as many
    where the growth score (`gradient`: |dL/dw| of the last batch; `random`) is largest; positions
    just dropped may come back and then keep their weight. New connections start at zero.
    """

    def __init__(
        self, masks: Masks, updates: int, rate: tuple[float, float], growth: str = "gradient"
    ) -> None:
        super().__init__(masks)
        self.updates, self.rate, self.growth = updates, rate, growth
        self.done = 0

    def after_step(self, loop: Loop) -> None:
        """Mask weights and momentum; when an update is due, rewire and mask again.

        The first masking matters for growth: the step has moved removed weights as well, and what
        grows there must start at zero and without momentum.
        """
        super().after_step(loop)
        due = min(self.updates, math.floor(loop.time * (self.updates + 1)))
        if due > self.done:
            self.done = due
            self.rewire(loop)
            super().after_step(loop)

    def rewire(self, loop: Loop) -> None:
        """One topology update of every layer."""
        rate = cosine_rate(*self.rate, loop.time)
        parameters = dict(loop.net.named_parameters())
        for name, mask in self.masks.items():
            weight = parameters[name]
            active = int(mask.sum())
            if active == mask.numel():  # nowhere to grow
                continue
            count = min(math.ceil(rate * active), mask.numel() - active)
            kept = drop(weight.detach(), mask, count)
            self.masks[name] = grow(self.growth_score(weight, loop.rng), kept, count)

    def growth_score(self, weight: nn.Parameter, rng: torch.Generator) -> Tensor:
        """Where connections are promising: any tensor of the weight's shape."""
        if self.growth == "random":
            return torch.rand(weight.shape, generator=rng, device=weight.device)
        return weight.grad.abs()

    def state_dict(self) -> dict[str, Any]:
        """Current masks and the number of updates so far."""
        return {"masks": self.masks, "done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore masks and the number of updates."""
        self.masks, self.done = state["masks"], state["done"]
