"""Whether a method can keep the rates that the grid asks of it."""

import math
from collections.abc import Iterable

from advprune.base.errors import UserError
from advprune.models.sizes import Layer, layers, units

Setting = tuple[str, str, str]  # method, structure, sparsity as text


def check(net: str, sizes: tuple[str, int, int, int], settings: Iterable[Setting]) -> None:
    """Refuse, as a UserError, a sparsity that leaves less than a unit for each prunable layer.

    `net` is the name in the configuration, `sizes` are architecture, width, classes and channels.
    Every method keeps one unit in each layer, so the net would miss its target or lose a layer.
    """
    found = layers(*sizes)
    if found is None:
        return
    for method, structure, sparsity in settings:
        if structure == "none":
            continue
        counts = units(found, structure)
        kept, least = _kept(sum(counts), float(sparsity)), len(counts)
        if kept < least:
            raise UserError(
                f"config: grid: {method}: a sparsity of {sparsity} leaves {kept} of {sum(counts)} "
                f"units ({structure}) of {net}, less than one for each of {least} layers"
            )
        if method == "mad":
            _check_rows(found, float(sparsity), kept, net)


def _check_rows(found: list[Layer], sparsity: float, kept: int, net: str) -> None:
    """MAD keeps the same count in every row of the classifier, and one weight in other layers."""
    head = found[-1]
    rows = head.outputs * _kept(head.inputs, sparsity)
    if kept - rows < len(found) - 1:
        raise UserError(
            f"config: grid: mad: a sparsity of {sparsity:g} leaves {kept} weights of {net}: "
            f"{rows} for the rows of its classifier, {max(0, kept - rows)} for the "
            f"{len(found) - 1} layers before"
        )


def _kept(count: int, sparsity: float) -> int:
    """Units that stay, as `pruning.masks.kept_count` counts them."""
    return count - math.floor(round(sparsity * count, 6))
