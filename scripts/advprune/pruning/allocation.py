"""Kept rates per layer under one global budget: exact counts, and layers that share a rate."""

import math
from collections.abc import Iterable, Mapping

from torch import nn

from advprune.base.errors import UserError
from advprune.pruning import masks as mk
from advprune.pruning import structures

Rates = dict[str, float]


def unit_counts(net: nn.Module, structure: str) -> dict[str, int]:
    """Units of every prunable layer."""
    shape = structures.named(structure).shape
    return {name: shape(weight).numel() for name, weight in mk.weights(net, structure).items()}


def round_to_total(
    exact: Mapping[str, float], high: Mapping[str, int], total: int
) -> dict[str, int]:
    """Whole numbers at most `high`, near to `exact`, whose sum is `total` as that of `exact` is.

    All are rounded down, and what is then missing goes to the largest remainders, among equals to
    the earlier name. Only where all are at `high` the sum is less.
    """
    counts = {name: min(math.floor(value), high[name]) for name, value in exact.items()}
    by_remainder = sorted(counts, key=lambda name: counts[name] - exact[name])
    missing = total - sum(counts.values())
    while missing > 0 and (takers := [n for n in by_remainder if counts[n] < high[n]][:missing]):
        for name in takers:
            counts[name] += 1
        missing -= len(takers)
    return counts


def share_out(total: int, shares: Mapping[str, float], room: Mapping[str, int]) -> dict[str, int]:
    """Distribute `total` over layers in proportion to `shares` (sum 1) within their `room`.

    What overflows a layer is spread evenly over those with room left, until nothing overflows
    (docs/methods/dnr.md, step 6). The counts sum to `total`, or to all the room where that is less.
    """
    total = min(total, sum(room.values()))
    exact = {name: total * share for name, share in shares.items()}
    while True:
        overflow = sum(max(0.0, exact[n] - room[n]) for n in exact)
        exact = {n: min(value, float(room[n])) for n, value in exact.items()}
        open_layers = [n for n in exact if exact[n] < room[n]]
        if overflow < 1e-6 or not open_layers:
            return round_to_total(exact, room, total)
        for name in open_layers:
            exact[name] += overflow / len(open_layers)


def allocate(rates: Mapping[str, float], sizes: Mapping[str, int], total: int) -> dict[str, int]:
    """Units to keep per layer: in proportion to rate · size, `total` of them exactly.

    All rates are multiplied by one factor; a layer keeps at least one unit and at most all. `total`
    below the number of layers is a UserError.
    """
    if not len(sizes) <= total <= sum(sizes.values()):
        raise UserError(f"cannot keep {total} of {sum(sizes.values())} in {len(sizes)} layers")

    def wanted(factor: float) -> dict[str, float]:
        return {n: min(size, max(1.0, factor * rates[n] * size)) for n, size in sizes.items()}

    low, high = 0.0, 1 / min(rates[n] for n in sizes)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(wanted(middle).values()) < total else (low, middle)
    return round_to_total(wanted(low), sizes, total)


def removed_rates(counts: Mapping[str, int], sizes: Mapping[str, int]) -> Rates:
    """Sparsity per layer that leaves exactly `counts` units."""
    return {name: 1 - count / sizes[name] for name, count in counts.items()}


def rate_group(name: str, structure: str) -> str:
    """Layer whose rate a layer takes, its own name where it has one of its own.

    A shortcut reads the same channels as the first convolution of its block; they share a rate
    where channels are pruned. Every other layer has its own.
    """
    block, shortcut, _ = name.rpartition(".shortcut.0")
    return f"{block}.conv1" if shortcut and structure == "channels" else name


def groups(names: Iterable[str], structure: str) -> dict[str, list[str]]:
    """Layers by the one that leads them, itself included, in the order of the leaders."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(rate_group(name, structure), []).append(name)
    return found
