"""What a recipe does: the learning rate over time, and the optimiser."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from advprune.plan.specs import Recipe


def multiplier(recipe: Recipe, time: float) -> float:
    """Factor on the learning rate at `time` in [0, 1) of the phase."""
    if time < recipe.warmup:
        return recipe.warmup_from + (1 - recipe.warmup_from) * time / recipe.warmup
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
