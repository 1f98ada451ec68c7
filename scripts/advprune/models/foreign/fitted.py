"""A layout at the size of a file: what the file must hold, and how far it is from that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from advprune.models.foreign.formulas import Formula
from advprune.models.foreign.frames import COUNTER, frame
from advprune.models.foreign.layouts import Layout, put
from advprune.models.foreign.pickles import TensorInfo

USUAL = {"width": 64, "classes": 10, "channels": 3}


@dataclass(frozen=True)
class Fitted:
    """Shapes of a layout's tensors by their names, formulas of ours by our names.

    `net` is our net with "hidden" in numbers of units. `same` has the first name of tensors that
    lie twice in the file by their second.
    """

    net: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    tensors: Mapping[str, Formula]
    same: Mapping[str, str]


def fitted(layout: Layout, width: int, classes: int, channels: int) -> Fitted:
    """The layout's tensors for a width, and numbers of classes and of the images' channels."""
    net = dict(layout.net) | {"width": width, "classes": classes, "channels": channels}
    if "hidden" in net:
        net["hidden"] = [units * width for units in net["hidden"]]
    shapes: dict[str, tuple[int, ...]] = {n: (channels,) for n in layout.moments.values()}
    tensors: dict[str, Formula] = {}
    for layer in frame(net):
        kind, theirs = layout.kinds[layer.kind], layout.theirs(layer.name)
        shapes |= {f"{theirs}.{name}": layer.shape(words) for name, words in kind.holds.items()}
        conv = layout.theirs(layer.after) if layer.after else None
        made = {part: formula.below(theirs, conv) for part, formula in kind.makes.items()}
        tensors |= {f"{layer.name}.{part}": formula for part, formula in made.items()}
    names = [(put(name, *pair), name) for name in shapes for pair in layout.twice.items()]
    same = {second: name for second, name in names if second}
    shapes |= {second: shapes[name] for second, name in same.items()}
    return Fitted(net, shapes, tensors, same)


def sizes(layout: Layout, table: Mapping[str, TensorInfo]) -> dict[str, int]:
    """Width, classes and channels of a file; the usual ones where its names are others."""
    layers = frame(fitted(layout, **USUAL).net)
    found = dict(USUAL)
    first, last = (table.get(layout.main(layers[i])) for i in (0, -1))
    if first is not None and len(first.shape) == 4:
        found |= {"width": first.shape[0], "channels": first.shape[1]}
    if last is not None and last.shape:
        found["classes"] = last.shape[0]
    return found


def differences(layout: Fitted, table: Mapping[str, TensorInfo]) -> list[str]:
    """Where a file's tensors are not the layout's, a line each; none where it fits."""
    names = {name for name in {*layout.shapes, *table} if not name.endswith(f".{COUNTER}")}
    lacking = sorted(name for name in names if name not in table)
    more = sorted(name for name in names if name not in layout.shapes)
    other = [n for n in layout.shapes if n in table and table[n].shape != layout.shapes[n]]
    shapes = [f"{n} {list(table[n].shape)} for {list(layout.shapes[n])}" for n in other]
    return [f"lacks {name}" for name in lacking] + [f"has {name}" for name in more] + shapes
