"""Dynamic sparsity: drop weak connections, grow promising ones, keep the budget exact.

One engine for the methods that rewire while they train. A method chooses how many units each layer
drops and grows (`DropGrow.plan`) and where it grows (`GROWTH`); the engine does it by rank, so that
every count is exactly the planned one.
"""

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from advprune.pruning import masks as mk
from advprune.pruning import structures
from advprune.pruning.allocation import round_to_total
from advprune.pruning.masked import KeepMasked
from advprune.pruning.masks import Masks
from advprune.training.loop import Loop, gradient


def igq_densities(sizes: dict[str, int], density: float) -> dict[str, float]:
    """Densities 1 / (F·n + 1) of weighted mean `density` (docs/methods/flyingbird.md, step 1).

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


def random_masks(net: nn.Module, counts: dict[str, int], rng: torch.Generator) -> Masks:
    """Unstructured masks with the given number of random connections per layer."""
    scores = mk.random_scores(net, "unstructured", rng)
    return Masks({f"{name}.weight": mk.top_k(s, counts[name]) for name, s in scores.items()})


def igq_masks(net: nn.Module, sparsity: float, rng: torch.Generator) -> Masks:
    """Random masks with IGQ densities and exactly the sparsity over the whole net."""
    sizes = {n: w.numel() for n, w in mk.weights(net).items()}
    total = mk.kept_count(sum(sizes.values()), sparsity)
    densities = igq_densities(sizes, 1 - sparsity)
    exact = {name: densities[name] * size for name, size in sizes.items()}
    return random_masks(net, round_to_total(exact, sizes, total), rng)


def cosine_rate(start: float, end: float, time: float) -> float:
    """Drop rate annealed from `start` to `end` by a half cosine over `time` in [0, 1]."""
    return end + (start - end) * (1 + math.cos(math.pi * time)) / 2


def linear_rate(start: float, end: float, time: float) -> float:
    """Drop rate that falls from `start` to `end` in a straight line over `time` in [0, 1]."""
    return start + (end - start) * time


def drop(weight: Tensor, mask: Tensor, count: int) -> Tensor:
    """Mask without the `count` smallest active magnitudes."""
    active = int(mask.sum())
    return mk.top_k(weight.abs().masked_fill(~mask, -math.inf), active - count)


def grow(score: Tensor, mask: Tensor, count: int) -> Tensor:
    """Mask plus the `count` inactive positions of largest score."""
    return mask | mk.top_k(score.masked_fill(mask, -math.inf), count)


def random_growth(weight: nn.Parameter, loop: Loop) -> Tensor:
    """Grow anywhere."""
    return torch.rand(weight.shape, generator=loop.rng, device=weight.device)


def gradient_growth(weight: nn.Parameter, loop: Loop) -> Tensor:
    """Grow where the last batch's gradient is large."""
    return gradient(weight).abs()


def momentum_growth(weight: nn.Parameter, loop: Loop) -> Tensor:
    """Grow where gradients have agreed over the last steps; needs a momentum kept unmasked."""
    return loop.optimizer.state[weight]["momentum_buffer"].abs()


GROWTH: dict[str, Callable[[nn.Parameter, Loop], Tensor]] = {
    "random": random_growth,
    "gradient": gradient_growth,
    "momentum": momentum_growth,
}
Plan = dict[str, tuple[int, int]]


class DropGrow(KeepMasked):
    """Masked training whose masks are rewired `updates` times, evenly over the phase.

    At an update every layer drops its smallest units and grows others where the growth score is
    largest, as many of each as the plan says; units just dropped may come back and then keep their
    weights. New connections start at zero. The plan here is to drop ceil(rate · active) in each
    layer and to grow as many, in nearly full layers too: what was just dropped is then most of what
    can grow.
    """

    state: ClassVar[tuple[str, ...]] = ("masks", "done")

    def __init__(
        self,
        masks: Masks,
        updates: int,
        rate: tuple[float, float],
        growth: str = "gradient",
        structure: str = "unstructured",
    ) -> None:
        super().__init__(masks)
        self.updates, self.rate, self.kind = updates, rate, structures.named(structure)
        self.growth_score = GROWTH[growth]
        self.done = 0

    def after_step(self, loop: Loop) -> None:
        """Mask what the step moved; when an update is due, rewire and mask again.

        The first masking matters for growth: the step has moved removed weights as well, and what
        grows there must start at zero.
        """
        self.apply_masks(loop)
        due = loop.due(self.updates_in(loop))
        if due > self.done:
            self.done = due
            self.rewire(loop)
            self.apply_masks(loop)

    def updates_in(self, loop: Loop) -> int:
        """Updates that fit: none after the last step, where what grows would never be trained."""
        return min(self.updates, loop.steps - 1)

    def settled(self, loop: Loop) -> bool:
        """After the last update."""
        return self.done >= self.updates_in(loop)

    def apply_masks(self, loop: Loop) -> None:
        """Keep removed connections at zero; here their momentum as well."""
        super().after_step(loop)

    def drop_rate(self, loop: Loop) -> float:
        """Share of a layer's active units that an update drops."""
        return cosine_rate(*self.rate, loop.time)

    def counts(self) -> dict[str, tuple[int, int]]:
        """(active, all) units of every layer, by the name of its weight."""
        units = {n: self.kind.occupied(m) for n, m in self.masks.items()}
        return {n: (int(u.sum()), u.numel()) for n, u in units.items()}

    def plan(self, loop: Loop) -> Plan:
        """How many units each layer drops and grows; layers that are full are left alone."""
        rate, plan = self.drop_rate(loop), {}
        for name, (active, total) in self.counts().items():
            if active < total:
                count = math.ceil(rate * active)
                plan[name] = (count, count)
        return plan

    def rewire(self, loop: Loop) -> None:
        """One topology update of every layer in the plan."""
        parameters = dict(loop.net.named_parameters())
        for name, (dropped, grown) in self.plan(loop).items():
            weight, mask = parameters[name], self.masks[name]
            units = self.kind.occupied(mask)
            if dropped:
                units = drop(self.kind.norms(weight.detach()), units, dropped)
            scores = self.kind.norms(self.growth_score(weight, loop))
            self.masks[name] = self.kind.expand(grow(scores, units, grown), mask)
