"""Sizes of the nets' layers from their widths, for plans, which have no torch to build them with.

A test holds them against the nets themselves. A net that is not in `LAYERS` has no sizes known
before it is built, and what they would tell is found out by its first job.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any


@dataclass(frozen=True)
class Layer:
    """A convolution of `kernel`×`kernel` weights per output and input, or a linear layer (0)."""

    outputs: int
    inputs: int
    kernel: int = 3

    @property
    def weights(self) -> int:
        """Weights without biases."""
        return prod((self.outputs, self.inputs, max(self.kernel, 1) ** 2))


def resnet18(width: int, classes: int, channels: int) -> list[Layer]:
    """Layers in the order of the net; the pre-activation net has the same."""
    found, inputs = [Layer(width, channels)], width
    for outputs in (width, 2 * width, 4 * width, 8 * width):
        found += [Layer(outputs, inputs), Layer(outputs, outputs)]
        found += [Layer(outputs, inputs, 1)] * (inputs != outputs)
        found += [Layer(outputs, outputs)] * 2
        inputs = outputs
    return [*found, Layer(classes, inputs, 0)]


def vgg16(
    width: int,
    classes: int,
    channels: int,
    final_pool: str = "none",
    hidden: Sequence[int] | None = None,
) -> list[Layer]:
    """Layers in the order of the net."""
    stages = [width * units for units in (1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8)]
    found = [Layer(out, into) for into, out in pairwise([channels, *stages])]
    inner = [4 * width, 4 * width] if hidden is None else hidden
    head = [8 * width * (4 if final_pool == "none" else 1), *inner, classes]
    return found + [Layer(out, into, 0) for into, out in pairwise(head)]


def wrn_28(width: int, classes: int, channels: int, factor: int) -> list[Layer]:
    """Layers in the order of the net."""
    inputs = max(1, width // factor)
    found = [Layer(inputs, channels)]
    for outputs in (width, 2 * width, 4 * width):
        found += [Layer(outputs, inputs), Layer(outputs, outputs)]
        found += [Layer(outputs, inputs, 1)] * (inputs != outputs)
        found += [Layer(outputs, outputs)] * 6
        inputs = outputs
    return [*found, Layer(classes, inputs, 0)]


LAYERS: dict[str, Callable[..., list[Layer]]] = {
    "preact_resnet18": resnet18,
    "resnet18": resnet18,
    "vgg16": vgg16,
    "wrn_28_10": partial(wrn_28, factor=10),
    "wrn_28_4": partial(wrn_28, factor=4),
}


def layers(
    arch: str, width: int, classes: int, channels: int, **options: Any
) -> list[Layer] | None:
    """Convolutions and linear layers of a net, in order; None of a net that is not known.

    `options` are the net's, None for its own default.
    """
    if arch not in LAYERS:
        return None
    given = {key: value for key, value in options.items() if value is not None}
    return LAYERS[arch](width, classes, channels, **given)


def units(net: list[Layer], structure: str) -> list[int]:
    """Units of every prunable layer: see `pruning.structures`."""
    convolutions = [layer for layer in net if layer.kernel]
    return {
        "unstructured": [layer.weights for layer in net],
        "filters": [layer.outputs for layer in convolutions],
        "channels": [layer.inputs for layer in net[1:]],
        "kernels": [x.outputs * x.inputs for x in convolutions[1:] if x.kernel > 1],
    }[structure]
