"""Pruning in rounds: how much is gone after each, and what training each gets.

A round without training would rank weights that nothing has moved, so there are no more rounds than
epochs to share.
"""

import dataclasses
import itertools
import math

from advprune.plan.specs import Recipe

SHAPES = ("geometric", "linear", "cubic")


def by_rounds(target: float, rounds: int) -> list[float]:
    """Sparsities after each of `rounds` rounds that all remove the same share of what is left."""
    return [1 - (1 - target) ** (t / rounds) for t in range(1, rounds)] + [target]


def by_rate(target: float, rate: float, most: int | None = None) -> list[float]:
    """Sparsities when every round removes the share `rate` of what is left, rate in (0, 1).

    As many rounds as the target needs, the last of which removes only what is missing; where that
    is more than `most`, as many as that, of equal shares.
    """
    rounds = math.ceil(round(math.log(1 - target) / math.log(1 - rate), 9))
    if most is not None and rounds > most:
        return by_rounds(target, most)
    return [1 - (1 - rate) ** t for t in range(1, rounds)] + [target]


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


def most_rounds(recipe: Recipe) -> int:
    """Rounds that can share the recipe's epochs, one each at least; a single one without any."""
    return max(1, recipe.epochs)


def split_epochs(recipe: Recipe, parts: int) -> list[Recipe]:
    """Recipes of `parts` fits that share the epochs of one; their schedules start anew.

    The numbers of epochs differ by one at most. More parts than epochs are a ValueError.
    """
    if parts > most_rounds(recipe):
        raise ValueError(f"{parts} trainings cannot share {recipe.epochs} epochs")
    ends = [recipe.epochs * part // parts for part in range(parts + 1)]
    return [
        dataclasses.replace(recipe, epochs=end - begin) for begin, end in itertools.pairwise(ends)
    ]
