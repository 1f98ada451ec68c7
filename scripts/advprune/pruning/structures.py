"""What a structure is: the layers that it prunes, and which weights of a layer are one unit.

A unit is a slice of the weight [out, in, height, width] or [out, in]: one filter is all weights of
one output, one kernel those between one output and one input. So a structure is told by the axes
that number its units, and everything that is done with units follows from them. A further structure
is one more entry of `STRUCTURES` and its name in `base.structures`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Layer = nn.Conv2d | nn.Linear
Layers = dict[str, Layer]


def _all_layers(layers: Layers) -> Layers:
    return layers


def _convolutions(layers: Layers) -> Layers:
    return {n: m for n, m in layers.items() if isinstance(m, nn.Conv2d)}


def _all_but_the_first(layers: Layers) -> Layers:
    """The first layer's inputs are the image's own colours."""
    return dict(list(layers.items())[1:])


def _with_large_kernels(layers: Layers) -> Layers:
    """In a 1×1 convolution a kernel is a single weight."""
    behind = _all_but_the_first(_convolutions(layers))
    return {n: m for n, m in behind.items() if m.kernel_size != (1, 1)}


@dataclass(frozen=True)
class Structure:
    """One kind of unit.

    `axes` of a weight number its units, in ascending order; None: every weight is a unit. `choose`
    picks the layers that are pruned out of all convolutions and linear layers. With `batchnorm`,
    removed units take their scale and shift with them.
    """

    axes: tuple[int, ...] | None
    choose: Callable[[Layers], Layers]
    batchnorm: bool = False

    def layers(self, net: nn.Module) -> Layers:
        """Layers whose units can be removed, by name in module order."""
        return self.choose({n: m for n, m in net.named_modules() if isinstance(m, Layer)})

    def shape(self, weight: Tensor) -> torch.Size:
        """Shape of what has one entry per unit of the weight."""
        return weight.shape if self.axes is None else torch.Size(weight.shape[a] for a in self.axes)

    def norms(self, weight: Tensor, order: float = 2) -> Tensor:
        """Magnitude of every unit: |w| of single weights, else the norm of the given order."""
        if self.axes is None:
            return weight.abs()
        return torch.linalg.vector_norm(_by_unit(weight, self.axes), ord=order, dim=-1)

    def occupied(self, weight: Tensor) -> Tensor:
        """Mask of the units with any entry that is not zero."""
        filled = weight != 0
        return filled if self.axes is None else _by_unit(filled, self.axes).any(-1)

    def spread(self, units: Tensor, weight: Tensor) -> Tensor:
        """`units` as a view that broadcasts against the weight.

        Anything but one entry per unit is a ValueError.
        """
        if units.shape != self.shape(weight):
            shapes = f"{tuple(units.shape)} instead of {tuple(self.shape(weight))}"
            raise ValueError(f"units of shape {shapes} for a weight {tuple(weight.shape)}")
        if self.axes is None:
            return units
        return units.view([n if axis in self.axes else 1 for axis, n in enumerate(weight.shape)])

    def expand(self, units: Tensor, weight: Tensor) -> Tensor:
        """`units` repeated to the weight's own shape."""
        return self.spread(units, weight).expand_as(weight).clone()


def _by_unit(weight: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The weight with the axes of the units first, and one more for what is in a unit."""
    return weight.movedim(axes, tuple(range(len(axes)))).flatten(len(axes))


STRUCTURES = {
    "unstructured": Structure(None, _all_layers),
    "filters": Structure((0,), _convolutions, batchnorm=True),
    "channels": Structure((1,), _all_but_the_first),
    "kernels": Structure((0, 1), _with_large_kernels),
}


def named(structure: str) -> Structure:
    """The structure of this name; an unknown one is a ValueError."""
    if structure not in STRUCTURES:
        raise ValueError(f"unknown structure {structure!r} (known: {', '.join(STRUCTURES)})")
    return STRUCTURES[structure]
