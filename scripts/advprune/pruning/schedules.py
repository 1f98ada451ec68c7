"""Pruning in rounds: how much is gone after each, and what training each gets."""

import dataclasses
import itertools

from advprune.plan.specs import Recipe
from advprune.pruning.tickets import by_rounds

SHAPES = ("geometric", "linear", "cubic")


def sparsities(target: float, rounds: int, shape: str = "geometric") -> list[float]:
    """Sparsity after each of `rounds` rounds; the last is the target itself.

    "geometric": every round removes the same share of what is left; "linear": the same share of
    the whole; "cubic": much at first and little at the end (Zhu and Gupta 2017).
    """
    if shape not in SHAPES:
        raise ValueError(f"unknown shape {shape!r}")
    if shape == "geometric":
        return by_rounds(target, rounds)
    times = [t / rounds for t in range(1, rounds)]
    if shape == "linear":
        return [target * t for t in times] + [target]
    return [target * (1 - (1 - t) ** 3) for t in times] + [target]


def split_epochs(recipe: Recipe, parts: int) -> list[Recipe]:
    """Recipes of `parts` fits that share the epochs of one; their schedules start anew.

    The numbers of epochs differ by one at most.
    """
    ends = [recipe.epochs * part // parts for part in range(parts + 1)]
    return [
        dataclasses.replace(recipe, epochs=end - begin) for begin, end in itertools.pairwise(ends)
    ]
