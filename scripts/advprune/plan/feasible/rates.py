"""Whether a method can keep the rates that the grid asks of it."""

import math
from collections.abc import Iterable, Iterator

from advprune.base.errors import UserError
from advprune.models.sizes import Layer, units

Setting = tuple[str, str, str]  # method, structure, sparsity as text


def check(net: str, found: list[Layer] | None, settings: Iterable[Setting]) -> None:
    """Refuse, as a UserError, a sparsity that leaves less units than a method keeps at least.

    `net` is the name in the configuration, `found` its layers, None where they are not known.
    """
    if found is None:
        return
    for method, structure, sparsity in settings:
        if structure == "none":
            continue
        total = sum(units(found, structure))
        kept = _kept(total, float(sparsity))
        for least, why in _floors(method, found, structure, float(sparsity)):
            if kept < least:
                raise UserError(
                    f"config: grid: {method}: a sparsity of {sparsity} leaves {kept} of {total} "
                    f"units ({structure}) of {net}, less than {why}"
                )


def _floors(
    method: str, found: list[Layer], structure: str, sparsity: float
) -> Iterator[tuple[int, str]]:
    """Units that a method keeps at least, and which: one in each layer, two methods more."""
    counts = units(found, structure)
    yield len(counts), f"one for each of {len(counts)} layers"
    if method == "mad":
        head, before = found[-1], len(found) - 1
        rows = head.outputs * _kept(head.inputs, sparsity)
        yield rows + before, f"{rows} in the classifier's rows and one for each of {before} layers"
    if method == "srgkp":
        filters = [x.outputs for x in found[1:] if x.kernel > 1]
        # the narrowest layer takes what rounding has left
        yield sum(filters) - min(filters) // 2, f"one for each of {sum(filters)} filters"


def _kept(count: int, sparsity: float) -> int:
    """Units that stay, as `pruning.masks.kept_count` counts them."""
    return count - math.floor(round(sparsity * count, 6))
