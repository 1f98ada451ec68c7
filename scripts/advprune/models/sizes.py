"""Sizes of the nets' layers from their widths, for plans, which have no torch to build them with.

A test holds them against the nets themselves. A net that is not in `LAYERS` has no sizes known
before it is built, and what they would tell is found out by its first job.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import prod


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
    """Layers in the order of the net."""
    found, inputs = [Layer(width, channels)], width
    for outputs in (width, 2 * width, 4 * width, 8 * width):
        found += [Layer(outputs, inputs), Layer(outputs, outputs)]
        found += [Layer(outputs, inputs, 1)] * (inputs != outputs)
        found += [Layer(outputs, outputs)] * 2
        inputs = outputs
    return [*found, Layer(classes, inputs, 0)]


def vgg16(width: int, classes: int, channels: int) -> list[Layer]:
    """Layers in the order of the net."""
    stages = [width * units for units in (1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8)]
    found = [Layer(out, into) for into, out in pairwise([channels, *stages])]
    head = [32 * width, 4 * width, 4 * width, classes]
    return found + [Layer(out, into, 0) for into, out in pairwise(head)]


def wrn_28_4(width: int, classes: int, channels: int) -> list[Layer]:
    """Layers in the order of the net."""
    inputs = max(1, width // 4)
    found = [Layer(inputs, channels)]
    for outputs in (width, 2 * width, 4 * width):
        found += [Layer(outputs, inputs), Layer(outputs, outputs)]
        found += [Layer(outputs, inputs, 1)] * (inputs != outputs)
        found += [Layer(outputs, outputs)] * 6
        inputs = outputs
    return [*found, Layer(classes, inputs, 0)]


LAYERS: dict[str, Callable[[int, int, int], list[Layer]]] = {
    "resnet18": resnet18,
    "vgg16": vgg16,
    "wrn_28_4": wrn_28_4,
}


def layers(arch: str, width: int, classes: int, channels: int) -> list[Layer] | None:
    """Convolutions and linear layers of a net, in order; None of a net that is not known."""
    return LAYERS[arch](width, classes, channels) if arch in LAYERS else None


def units(net: list[Layer], structure: str) -> list[int]:
    """Units of every prunable layer: see `pruning.structures`."""
    convolutions = [layer for layer in net if layer.kernel]
    return {
        "unstructured": [layer.weights for layer in net],
        "filters": [layer.outputs for layer in convolutions],
        "channels": [layer.inputs for layer in net[1:]],
        "kernels": [x.outputs * x.inputs for x in convolutions[1:] if x.kernel > 1],
    }[structure]
