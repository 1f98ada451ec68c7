"""Kept rates per layer under one global budget: exact counts, and layers that share a rate."""

import math
from collections.abc import Iterable, Mapping

from torch import nn

from advprune.pruning import masks as mk

Rates = dict[str, float]


def unit_counts(net: nn.Module, structure: str) -> dict[str, int]:
    """Units of every prunable layer."""
    scores = mk.magnitudes(net, structure)
    return {name: score.numel() for name, score in scores.items()}


def allocate(rates: Mapping[str, float], sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Units to keep per layer: in proportion to rate · size, `total` of them exactly.

    All rates are multiplied by one factor; a layer keeps at least one unit and at most all. What
    rounding down leaves goes to the largest remainders. `total` below the number of layers is a
    ValueError.
    """
    if not len(sizes) <= total <= sum(sizes.values()):
        raise ValueError(f"cannot keep {total} of {sum(sizes.values())} in {len(sizes)} layers")

    def wanted(factor: float) -> dict[str, float]:
        return {n: min(size, max(1.0, factor * rates[n] * size)) for n, size in sizes.items()}

    low, high = 0.0, 1 / min(rates[n] for n in sizes)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(wanted(middle).values()) < total else (low, middle)
    real = wanted(low)
    counts = {n: math.floor(value) for n, value in real.items()}
    by_remainder = sorted(counts, key=lambda n: counts[n] - real[n])
    open_layers = [n for n in by_remainder if counts[n] < sizes[n]]
    for name in open_layers[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def removed_rates(counts: Mapping[str, int], sizes: Mapping[str, int]) -> Rates:
    """Sparsity per layer that leaves exactly `counts` units."""
    return {name: 1 - count / sizes[name] for name, count in counts.items()}


def leader(name: str, structure: str) -> str:
    """Layer whose rate a layer takes.

    A shortcut reads the same channels as the first convolution of its block; they share a rate
    where channels are pruned. Every other layer has its own.
    """
    block, shortcut, _ = name.rpartition(".shortcut.0")
    return f"{block}.conv1" if shortcut and structure == "channels" else name


def groups(names: Iterable[str], structure: str) -> dict[str, list[str]]:
    """Layers by the one that leads them, itself included, in the order of the leaders."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(leader(name, structure), []).append(name)
    return found
