"""What a file's layout says of it: the net that it makes, and how. Without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from advprune.models.foreign.formulas import Formula
from advprune.models.foreign.frames import VGG_SIZE, with_defaults
from advprune.models.foreign.outline import Way


@dataclass(frozen=True)
class Match:
    """A file's layout, and the net of ours that it makes.

    `layouts` are all that fit and mean the same, `layout` the first; `method` is None where they
    are of several methods. `net` has "arch", "width", "classes", "channels" and of VGG16
    "final_pool" and "hidden" (numbers of units). `mean` and `std` (images in [0,1], a number per
    channel) are None where nobody knows or the layouts disagree: `images` says in words why.

    `tensors` has the formula of every tensor of our net but its normalisation; `ways` says where in
    the file the tensors lie that formulas name, and `moments`, by "mean" and "std", where the
    file's own are. `same` has ways to the first of tensors that lie there twice, by ways to the
    second, `masks` the way to a table of masks that are in the weights already. `sparsity` tells
    whether the removed share must be given, because scores are cut at it; `learned_shares` that
    equal shares of all layers are a fault. `taken` is the place of the state dict, `notes` are
    lines for the row's `marks`.
    """

    layout: str
    layouts: tuple[str, ...]
    method: str | None
    net: Mapping[str, Any]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    images: str
    tensors: Mapping[str, Formula]
    ways: Mapping[str, Way]
    moments: Mapping[str, Way]
    same: Mapping[Way, Way]
    masks: Way | None
    sparsity: bool
    learned_shares: bool
    taken: Way
    notes: tuple[str, ...]


def disagreement(match: Match, net: Mapping[str, Any]) -> str | None:
    """Why a net of a configuration is not the layout's; None if it is.

    `net` has the names of `Match.net` and "size"; options that are None or not there are the net's
    own defaults.
    """
    given = with_defaults(net)
    if given["arch"] == "vgg16" and given["size"] != VGG_SIZE:
        return f"its layout {match.layout} is for images of {VGG_SIZE}×{VGG_SIZE} pixels"
    wrong = [key for key, value in match.net.items() if given.get(key) != value]
    if not wrong:
        return None
    has, asked = (", ".join(f"{k} {n.get(k, '-')}" for k in wrong) for n in (match.net, given))
    return f"its layout {match.layout} has {has}, and the configuration {asked}"
