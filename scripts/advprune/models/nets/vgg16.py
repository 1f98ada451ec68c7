"""VGG16 with batch normalisation for small images (Simonyan & Zisserman 2015, configuration D)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from advprune.base.errors import UserError

# Channels of the thirteen convolutions in units of `width`, by stage.
_STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))


def build(
    normalize: nn.Module,
    *,
    width: int,
    classes: int,
    channels: int,
    size: int,
    final_pool: str = "none",
    hidden: Sequence[int] | None = None,
) -> nn.Module:
    """Return the net, which shows its images to `normalize` first.

    `final_pool` makes the last map 1×1 by its "mean" or "max", or leaves it 2×2 ("none"). `hidden`
    has the units of the layers between it and the logits, 4·width twice if None.
    """
    hidden = [4 * width, 4 * width] if hidden is None else hidden
    return VGG16(normalize, width, classes, channels, size, final_pool, hidden)


class VGG16(nn.Module):
    """Thirteen convolutions and a three-layer head: 15,311,818 parameters at width 64.

    The map is halved after a stage only while at least 2×2 is left (four times from 32×32, twice
    from 8×8) and ends at 2×2, so the head is the same, 32·width - 4·width - 4·width - classes
    (2048-256-256-10 at width 64), for every image size. Behind a mean or maximum it begins with
    8·width; with no hidden layer there these are 14,724,042 parameters.
    """

    def __init__(
        self,
        normalize: nn.Module,
        width: int,
        classes: int,
        channels: int,
        size: int,
        final_pool: str,
        hidden: Sequence[int],
    ) -> None:
        """Build for images of `channels` channels and `size`×`size` pixels."""
        super().__init__()
        self.normalize = normalize
        self.features = _features(channels, width, size, final_pool)
        self.classifier = _head([8 * width * (4 if final_pool == "none" else 1), *hidden, classes])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map images in [0,1], [N, C, size, size], to logits [N, classes]."""
        return self.classifier(self.features(self.normalize(x)).flatten(1))


def _features(channels: int, width: int, size: int, final_pool: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for stage in _STAGES:
        for units in stage:
            outputs = units * width
            conv = nn.Conv2d(channels, outputs, 3, padding=1, bias=False)
            layers += [conv, nn.BatchNorm2d(outputs), nn.ReLU()]
            channels = outputs
        if size >= 4:
            layers.append(nn.MaxPool2d(2))
            size //= 2
    return nn.Sequential(*layers, _final(final_pool, size))


def _final(pool: str, size: int) -> nn.Module:
    kinds: dict[str, nn.Module] = {
        "none": nn.AdaptiveAvgPool2d(2),
        "mean": nn.AdaptiveAvgPool2d(1),
        # not an adaptive one, whose gradients differ from run to run on a GPU
        "max": nn.MaxPool2d(size),
    }
    if pool not in kinds:
        raise UserError(f"net description: final_pool '{pool}' (known: {', '.join(kinds)})")
    return kinds[pool]


def _head(units: Sequence[int]) -> nn.Sequential:
    """Linear layers from each number of units to the next, with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(units):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
