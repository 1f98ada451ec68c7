"""Recipes: epochs, optimiser and learning-rate schedule of one training phase."""

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from advprune.base.errors import UserError

SCHEDULES = ("constant", "cosine", "multistep", "onecycle", "thirds")
OPTIMIZERS = ("sgd", "adam")


@dataclass(frozen=True)
class Recipe:
    """One phase of training.

    Times are shares of the whole phase, so that a recipe keeps its shape when it is shortened:
    `milestones` (multistep) where the rate is multiplied by `factor`; `warmup`, the first share
    that rises linearly from a tenth of the rate; `peak` (onecycle), where the rate is highest;
    `cycles` (thirds), how often the rate restarts, at 1, 1/10, 1/100 for a third of a cycle each.
    `optimizer` is "sgd" or "adam", whose first moment decays by `momentum`.
    """

    epochs: int
    batch: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    milestones: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1
    warmup: float = 0.0
    peak: float = 0.3
    cycles: int = 1
    optimizer: str = "sgd"

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Recipe":
        """Recipe from configuration; an unknown key or schedule is a UserError."""
        unknown = set(content) - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            raise UserError(f"unknown recipe keys {sorted(unknown)}")
        recipe = cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in content.items()})
        if recipe.schedule not in SCHEDULES:
            raise UserError(f"unknown schedule '{recipe.schedule}' (known: {', '.join(SCHEDULES)})")
        if recipe.optimizer not in OPTIMIZERS:
            raise UserError(f"unknown optimizer '{recipe.optimizer}' (known: sgd, adam)")
        return recipe


def multiplier(recipe: Recipe, time: float) -> float:
    """Factor on the learning rate at `time` in [0, 1) of the phase."""
    if time < recipe.warmup:
        return 0.1 + 0.9 * time / recipe.warmup
    if recipe.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * time))
    if recipe.schedule == "multistep":
        return recipe.factor ** sum(time >= m for m in recipe.milestones)
    if recipe.schedule == "onecycle":
        if time < recipe.peak:
            return time / recipe.peak
        return (1 - time) / (1 - recipe.peak)
    if recipe.schedule == "thirds":
        within = (time * recipe.cycles) % 1.0
        return 0.1 ** math.floor(3 * within + 1e-9)
    return 1.0


def optimizer(recipe: Recipe, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Optimiser over the given parameters; those without gradient are left untouched by it."""
    if recipe.optimizer == "adam":
        decay, betas = recipe.weight_decay, (recipe.momentum, 0.999)
        return torch.optim.Adam(parameters, lr=recipe.lr, betas=betas, weight_decay=decay)
    return torch.optim.SGD(
        parameters, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
