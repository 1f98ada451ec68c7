"""Layers of our nets, in order, with the shapes of their weights. Without torch.

A layout says how each kind of layer is made; the frame says which layers there are. That a frame
is its net (`models/nets`) is tested.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from advprune.base.errors import UserError

COUNTER = "num_batches_tracked"  # of a BatchNorm: changes no logit, and old files lack it
# parts of our layers by kind, with their shapes in words: see `Layer.shape`
PARTS: dict[str, dict[str, tuple[str | int, ...]]] = {
    "conv": {"weight": ("out", "in", "k", "k")},
    "norm": dict.fromkeys(("weight", "bias", "running_mean", "running_var"), ("out",))
    | {COUNTER: ()},
    "linear": {"weight": ("out", "in"), "bias": ("out",)},
}
PARTS["hidden"] = PARTS["linear"]
_VGG = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))  # channels in units of the width
VGG_SIZE = 32  # side of the images for which VGG16's layers have the numbers below


@dataclass(frozen=True)
class Layer:
    """A layer of a net of ours: `after` is the convolution that a BatchNorm alone reads.

    `kind` is "conv", "norm", "linear", or "hidden" for a linear layer that is not the last.
    """

    kind: str
    name: str
    outputs: int
    inputs: int
    kernel: int = 1
    after: str | None = None

    def shape(self, words: tuple[str | int, ...]) -> tuple[int, ...]:
        """A shape from its words: `out`, `in`, `k` for the side of the kernel, numbers."""
        known = {"out": self.outputs, "in": self.inputs, "k": self.kernel}
        return tuple(known[word] if isinstance(word, str) else word for word in words)


def frame(net: Mapping[str, Any]) -> list[Layer]:
    """Layers of a net: "arch", "width", "classes", "channels", of VGG16 "final_pool" and "hidden".

    An architecture without a frame is a `UserError`.
    """
    if net["arch"] not in FRAMES:
        raise UserError(f"no layout can be of a {net['arch']} (known: {', '.join(FRAMES)})")
    return FRAMES[net["arch"]](net)


def with_defaults(net: Mapping[str, Any]) -> dict[str, Any]:
    """A description of a net without options that are None, and with VGG16's own instead."""
    given = {key: value for key, value in net.items() if value is not None}
    if given["arch"] != "vgg16":
        return given
    width = given["width"]
    given = {"final_pool": "none", "hidden": (4 * width, 4 * width)} | given
    return given | {"hidden": list(given["hidden"])}


def _resnet18(net: Mapping[str, Any]) -> list[Layer]:
    width = net["width"]
    layers = _pair("conv1", "bn1", width, net["channels"], 3)
    for place, outputs, inputs in _blocks(width):
        layers += _pair(f"{place}.conv1", f"{place}.bn1", outputs, inputs, 3)
        layers += _pair(f"{place}.conv2", f"{place}.bn2", outputs, outputs, 3)
        if outputs != inputs:
            layers += _pair(f"{place}.shortcut.0", f"{place}.shortcut.1", outputs, inputs, 1)
    return [*layers, Layer("linear", "fc", net["classes"], 8 * width)]


def _preact_resnet18(net: Mapping[str, Any]) -> list[Layer]:
    """BatchNorm before each convolution; a shortcut is a convolution alone."""
    width = net["width"]
    layers = [Layer("conv", "conv1", width, net["channels"], 3)]
    for place, outputs, inputs in _blocks(width):
        layers.append(Layer("norm", f"{place}.bn1", inputs, inputs))
        layers += _pair(f"{place}.conv1", f"{place}.bn2", outputs, inputs, 3)
        layers.append(Layer("conv", f"{place}.conv2", outputs, outputs, 3))
        if outputs != inputs:
            layers.append(Layer("conv", f"{place}.shortcut.0", outputs, inputs, 1))
    layers.append(Layer("norm", "bn", 8 * width, 8 * width))
    return [*layers, Layer("linear", "fc", net["classes"], 8 * width)]


def _vgg16(net: Mapping[str, Any]) -> list[Layer]:
    """Every convolution is followed by BatchNorm and ReLU, four of the five stages by a pooling."""
    layers: list[Layer] = []
    place, inputs = 0, net["channels"]
    for stage in _VGG:
        for units in stage:
            names = (f"features.{place}", f"features.{place + 1}")
            layers += _pair(*names, units * net["width"], inputs, 3)
            place, inputs = place + 3, units * net["width"]
        place += 1
    inputs *= 4 if net["final_pool"] == "none" else 1  # of 2×2 places
    sizes = [*net["hidden"], net["classes"]]
    for i, outputs in enumerate(sizes):
        kind = "hidden" if i < len(sizes) - 1 else "linear"
        layers.append(Layer(kind, f"classifier.{2 * i}", outputs, inputs))
        inputs = outputs
    return layers


FRAMES = {"resnet18": _resnet18, "preact_resnet18": _preact_resnet18, "vgg16": _vgg16}


def _blocks(width: int) -> list[tuple[str, int, int]]:
    """Name, outputs and inputs of the eight blocks."""
    sizes = [width, width, 2 * width, 4 * width, 8 * width]
    return [
        (f"layer{stage}.{block}", sizes[stage], sizes[stage if block else stage - 1])
        for stage in (1, 2, 3, 4)
        for block in (0, 1)
    ]


def _pair(conv: str, norm: str, outputs: int, inputs: int, kernel: int) -> list[Layer]:
    return [
        Layer("conv", conv, outputs, inputs, kernel),
        Layer("norm", norm, outputs, outputs, after=conv),
    ]
