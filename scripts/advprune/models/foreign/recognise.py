"""Which released layout a file has, told by the names and shapes of its tensors. Without torch.

A layout (`config/released/layouts/*.yaml`) says what an author's program writes and how a net of
ours is made of it. No numbers are read: the workflow asks while it plans.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from advprune.base.errors import UserError
from advprune.models.foreign.outline import Outline, Way


@dataclass(frozen=True)
class Formula:
    """How a tensor is made: an operation of `operations` and what it takes, in order.

    What it takes are ways to tensors of the file, or formulas in turn.
    """

    operation: str
    of: tuple["Way | Formula", ...] = ()


@dataclass(frozen=True)
class Match:
    """A file's layout, and the net of ours that it makes.

    `layouts` are all that fit and mean the same, `layout` the first; `method` is None where they
    are of several methods. `net` has "arch", "width", "classes", "channels" and, where the net has
    them, "final_pool" and "hidden" (numbers of units). `mean` and `std` (images in [0,1], a number
    per channel) are None where the layout does not say, or layouts that fit say different things.
    `tensors` has a formula for every tensor of our net but its normalisation, by our names.
    `sparsity` tells whether the removed share must be given, because scores are cut at it.
    `notes` are lines for the row's `marks`; `unused` are names of tensors that change no logit.
    """

    layout: str
    layouts: tuple[str, ...]
    method: str | None
    net: Mapping[str, Any]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    tensors: Mapping[str, Formula]
    sparsity: bool = False
    notes: tuple[str, ...] = ()
    unused: tuple[str, ...] = field(default=())


def recognise(outline: Outline, layout: str | None = None, key: str | None = None) -> Match:
    """The layout of a file; one that has none, or several that mean different nets, a `UserError`.

    `layout` is the name of a layout or of a method and leaves only those; `key` is the place of
    the state dict in the file where it holds several. The error is one line that says what was
    found and what is nearest.
    """
    asked = f"layout {layout}, key {key}: " if layout or key else ""
    raise UserError(f"{outline.path}: {asked}no layout is known yet")
